/** Brings up the engine: the Rust as a wasm module, with the glue that wasm-bindgen made for it. */

import glue from "widget-glue";

/** What is brought up once, stays: a second instance under the same glue would get calls meant for the first. */
let engine;

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
  const { instance } = await WebAssembly.instantiate(source, { "./widget_bg.js": glue });
  return start(instance.exports);
}

/** Has the glue call these functions. */
export function start(exports) {
  glue.__wbg_set_wasm(exports);
  return glue;
}
