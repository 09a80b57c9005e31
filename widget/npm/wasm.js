/**
 * Loads the engine, which is the Rust code as a wasm module. Numbers are passed as they are. A text is passed as two numbers: its
 * position in the module's memory, and its length. On the Rust side, wasm-bindgen's code handles them.
 */

import { ANSWER_TEXT, CALLS, ENTRIES, TAKE_TEXT } from "widget-glue";

import { fail, safely } from "./warn.js";

/** The loaded engine. It is loaded once and stays. */
let engine;
/** The functions that the module exports. */
let wasm;
/** Those that it calls, which `dom.d.ts` describes, in the order of their numbers. */
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

const names = CALLS.split(" ");
const imports = { __proto__: null };
names.forEach((name, idx) => {
  // Exceptions are caught here, because they would stop the Rust code in the middle of its work.
  const call = (one, two, three) => {
    try {
      return dom[idx](one, two, three);
    } catch (error) {
      fail(error);
    }
  };
  let work = call;
  if (idx < TAKE_TEXT) work = (at, length) => call(read(at, length));
  else if (idx < TAKE_TEXT + ANSWER_TEXT) {
    work = (to) => {
      const [at, length] = pass(call() ?? "");
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

/** The functions that a module exports, under their names. They never throw. */
function open(exports) {
  wasm = exports;
  const opened = { __proto__: null, setDom: (functions) => (dom = names.map((name) => functions[name])) };
  ENTRIES.split(" ").forEach((name, idx) => {
    const entry = wasm[`e${idx}`];
    opened[name] = safely((...values) => entry(...values.flatMap((value) => (typeof value === "string" ? pass(value) : value))));
  });
  return opened;
}

/** The same with the module as JavaScript. */
export const openPlain = (instantiatePlain) => open(instantiatePlain({ __proto__: null, dom: imports }));
