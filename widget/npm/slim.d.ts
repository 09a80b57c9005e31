/** Types of `connection-counter/slim`: the widget with its WebAssembly module in a separate file. */

import type { Handle, Options } from "./index.js";

export { count, subscribe } from "./index.js";
export type { Handle, Options, ViewerCountElement, ViewersEvent } from "./index.js";

/** Options of the widget, and where its module is. */
export interface SlimOptions extends Options {
  /**
   * The WebAssembly module: its bytes, or the response to a request for them. Default: a request for `widget.wasm` beside
   * this entry. Most bundlers find that file through `new URL("./widget.wasm", import.meta.url)`. Set this option for those that do not.
   * A page loads one module, however often the widget is started.
   *
   * @example
   * import url from "connection-counter/widget.wasm?url";
   * start({ server: "https://live.example.com", module: fetch(url) });
   */
  module?: Response | BufferSource | Promise<Response | BufferSource>;
}

/**
 * Shows live viewer counts on the links of this page, like `start` of `connection-counter`. The module is loaded when this is
 * called. It is a fifth smaller than in the default entry, where it has to be text.
 *
 * @example
 * import { start } from "connection-counter/slim";
 * const handle = start({ server: "https://live.example.com" });
 */
export function start(options: SlimOptions): Handle;
