/** One widget per page, however often and by whatever means it is started. */

import init, { start, stop } from "widget-glue";

/** Where the page's one handle is, for everyone: two script tags, two copies of the npm package, a console. */
const KEY = Symbol.for("connection-counter");

/** The wasm instance, once and for all: a second one under the same glue would get calls meant for the first. */
let instance;

/**
 * Starts the widget unless there is one, and answers with its handle as soon as it runs. Never rejects: what goes wrong is
 * one warning on the console.
 *
 * @param {object} options see Options in index.d.ts
 * @param {string} home the server to use unless the options name one
 * @param {() => URL | Uint8Array | Promise<URL | Uint8Array>} findModule called when the wasm module is needed
 */
export async function startOnce(options, home, findModule) {
  const handle = (globalThis[KEY] ??= createHandle(options, home, findModule));
  await handle.ready;
  return handle;
}

function createHandle(options, home, findModule) {
  let isRunning = false;
  const run = async () => {
    try {
      const module_or_path = await findModule();
      if (globalThis[KEY] !== handle) return;
      await (instance ??= init({ module_or_path }));
      if (globalThis[KEY] !== handle) return;
      isRunning = true;
      start(document, options, home);
    } catch (error) {
      console.warn("connection-counter:", error);
    }
  };
  const handle = {
    ready: undefined,
    stop() {
      if (globalThis[KEY] === handle) delete globalThis[KEY];
      if (isRunning) stop();
      isRunning = false;
    },
  };
  // One turn later, when the handle is where `run` looks for it.
  handle.ready = Promise.resolve().then(run);
  return handle;
}
