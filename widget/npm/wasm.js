/**
 * Loads the engine, which is the Rust code as a wasm module. Numbers are passed as they are. A text is passed as two numbers: its
 * position in the module's memory, and its length. On the Rust side, wasm-bindgen's code handles them.
 */

import { fail, safely } from "./warn.js";

/** The loaded engine. It is loaded once and stays. */
let engine;
/** The functions that the module exports. */
let wasm;
/** Those that it calls, which `dom.d.ts` describes. */
let dom;

// In the JavaScript version the memory is a new buffer after it has grown, so a view of it must not be kept.
const read = (at, length) => new TextDecoder("utf-8", { __proto__: null, ignoreBOM: true }).decode(new Uint8Array(wasm.memory.buffer, at, length));
const encoder = new TextEncoder();
function pass(text) {
  const bytes = encoder.encode(text);
  const at = wasm.malloc(bytes.length, 1);
  new Uint8Array(wasm.memory.buffer, at).set(bytes);
  return [at, bytes.length];
}

/** A module's imports of one kind. Exceptions are caught here, because they would stop the Rust code in the middle of its work. */
const importsOf = (passing) =>
  new Proxy({}, { __proto__: null, get: (_, name) => passing(safely((...values) => dom[name](...values))) });
/** What the module imports, by how it is called: `build/src/glue.rs` sorts it. */
const imports = {
  __proto__: null,
  n: importsOf((call) => call),
  t: importsOf((call) => (at, length) => call(read(at, length))),
  a: importsOf((call) => (to) => {
    const passed = pass(call() || "");
    new Int32Array(wasm.memory.buffer, to).set(passed);
  }),
};

/**
 * The functions that the engine exports.
 * @param {() => Promise<Response | BufferSource>} getModule called the first time
 */
export const bringUp = (getModule) =>
  (engine ||= instantiate(getModule).catch((error) => {
    engine = undefined;
    throw error;
  }));

async function instantiate(getModule) {
  const source = await getModule();
  if (source.ok === false) throw new Error(`${source.status} ${source.url}`);
  const { instance } = await WebAssembly.instantiate((await source.arrayBuffer?.()) || source, imports);
  return open(instance.exports);
}

/** The functions that a module exports, under their names. They never throw. */
function open(exports) {
  wasm = exports;
  const opened = { __proto__: null, setDom: (functions) => (dom = functions) };
  for (const [name, entry] of Object.entries(wasm)) {
    opened[name] = safely((...values) => entry(...values.flatMap((value) => (typeof value === "string" ? pass(value) : value))));
  }
  return opened;
}

/** The same with the module as JavaScript. */
export const openPlain = (instantiatePlain) => open(instantiatePlain(imports));
