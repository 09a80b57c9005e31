/**
 * Brings up the engine: the Rust as a wasm module. Numbers cross as they are; a text crosses as two, where it begins in the
 * module's memory and how long it is, for which the Rust has wasm-bindgen's code.
 */

import { ANSWER_TEXT, CALLS, ENTRIES, TAKE_TEXT } from "widget-glue";

import { safely } from "./warn.js";

/** What is brought up once, stays. */
let engine;
/** What the module exports, and what it calls: see `dom.d.ts`. */
let wasm, dom;

// As JavaScript, the module has other bytes for a memory when that has grown: none may be kept.
const read = (at, length) => new TextDecoder("utf-8", { __proto__: null, ignoreBOM: true }).decode(new Uint8Array(wasm.memory.buffer, at, length));
function pass(text) {
  const bytes = new TextEncoder().encode(text);
  const at = wasm.malloc(bytes.length, 1);
  new Uint8Array(wasm.memory.buffer, at).set(bytes);
  return [at, bytes.length];
}

// What is thrown here stays here: an exception would leave the Rust half done.
const call = safely((name, ...values) => dom[name](...values));
const imports = { __proto__: null };
CALLS.split(" ").forEach((name, idx) => {
  let work = (...values) => call(name, ...values);
  if (idx < TAKE_TEXT) work = (at, length) => call(name, read(at, length));
  else if (idx < TAKE_TEXT + ANSWER_TEXT) {
    work = (to) => {
      const [at, length] = pass(call(name) ?? "");
      new Int32Array(wasm.memory.buffer, to).set([at, length]);
    };
  }
  imports[`i${idx}`] = work;
});

/**
 * The functions that the engine exports.
 * @param {() => Promise<Response | BufferSource>} getModule called the first time
 */
export const bringUp = (getModule) =>
  (engine ??= instantiate(getModule).catch((error) => {
    engine = undefined;
    throw error;
  }));

async function instantiate(getModule) {
  let source = await getModule();
  if (source instanceof Response) {
    if (!source.ok) throw new Error(`${source.status} ${source.url}`);
    source = await source.arrayBuffer();
  }
  const { instance } = await WebAssembly.instantiate(source, { __proto__: null, dom: imports });
  return open(instance.exports);
}

/** The functions of a module's exports, under their names. They throw nothing. */
function open(exports) {
  wasm = exports;
  const opened = { __proto__: null, setDom: (value) => (dom = value) };
  ENTRIES.split(" ").forEach((name, idx) => {
    const entry = wasm[`e${idx}`];
    opened[name] = safely((...values) => entry(...values.flatMap((value) => (typeof value === "string" ? pass(value) : value))));
  });
  return opened;
}

/** The same with the module as JavaScript. */
export const openPlain = (instantiatePlain) => open(instantiatePlain({ __proto__: null, dom: imports }));
