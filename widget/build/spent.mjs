/** What the bytes of the widget are spent on, by source file. Brotli's bytes are shared out in proportion to those it was given. */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";

const glue = path.join(import.meta.dirname, "../../target/wasm/glue");
/** The modules of the widget. */
const MODULES = readdirSync(path.join(import.meta.dirname, "../src")).map((file) => path.basename(file, ".rs"));

/** The sections of a module that are read here, by their numbers. */
const [CUSTOM, IMPORT, CODE] = [0, 2, 10];
const FUNCTION_IMPORT = 0;
const FUNCTION_NAMES = 1;

/** What crosses between the module and the JavaScript. */
const CROSSING = Object.keys(JSON.parse(readFileSync(path.join(glue, "names.json"), "utf8")));

/** Reads a module's numbers and names from where it is. */
class Reader {
  constructor(bytes, at = 0) {
    Object.assign(this, { bytes, at });
  }
  number() {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value >>> 0;
    }
  }
  text() {
    const length = this.number();
    this.at += length;
    return this.bytes.toString("utf8", this.at - length, this.at);
  }
}

/** The functions of a module: for each its mangled name and its size. All imports of ours are functions. */
function functionsOf(bytes) {
  const reader = new Reader(bytes, 8);
  const names = new Map();
  const sizes = [];
  let imported = 0;
  while (reader.at < bytes.length) {
    const section = bytes[reader.at++];
    const length = reader.number();
    const end = reader.at + length;
    if (section === IMPORT) imported = reader.number();
    if (section === CODE) {
      for (let left = reader.number(); left > 0; left--) {
        const size = reader.number();
        sizes.push(size);
        reader.at += size;
      }
    }
    if (section === CUSTOM && reader.text() === "name") {
      while (reader.at < end) {
        const kind = bytes[reader.at++];
        const next = reader.number() + reader.at;
        if (kind === FUNCTION_NAMES) for (let left = reader.number(); left > 0; left--) names.set(reader.number(), reader.text());
        reader.at = next;
      }
    }
    reader.at = end;
  }
  return sizes.map((size, idx) => [names.get(imported + idx) ?? "", size]);
}

/** Where a function comes from, by its name as rustc has mangled it: a module of the widget, the protocol, or neither. */
function sourceOf(name) {
  const [, crate, length, rest] = /connection_counter_(widget|protocol)(\d+)(\w+)/.exec(name) ?? [];
  if (crate === "protocol") return "protocol/src";
  if (!crate && /9lol_alloc/.test(name)) return "allocator (lol_alloc)";
  if (!crate) return CROSSING.includes(name) ? "widget/src/lib" : "standard library";
  const file = MODULES.find((module) => module === rest.slice(0, length)) ?? "lib";
  return `widget/src/${file}`;
}

/**
 * Prints the parts of what is downloaded until counts show, the dearest first.
 * @param {number} script bytes of the compressed script
 * @param {number} module bytes of the compressed module
 */
export function printSpent(script, module) {
  const parts = new Map();
  const add = (name, bytes) => parts.set(name, (parts.get(name) ?? 0) + bytes);
  const share = (entries, compressed) => {
    const total = entries.reduce((sum, [, size]) => sum + size, 0);
    for (const [name, size] of entries) add(name, (size / total) * compressed);
  };
  const { outputs } = JSON.parse(readFileSync(path.join(glue, "tag.js.json"), "utf8"));
  share(Object.values(outputs).flatMap(({ inputs }) => Object.entries(inputs).map(([file, { bytesInOutput }]) => [`widget/npm/${path.basename(file)}`, bytesInOutput])), script);
  const bytes = readFileSync(path.join(glue, "named.wasm"));
  share(functionsOf(bytes).map(([name, size]) => [sourceOf(name), size]), module);
  for (const [name, size] of [...parts].sort(([, one], [, other]) => other - one)) console.log(`  ${name.padEnd(44)}${size.toFixed(0).padStart(10)}`);
}
