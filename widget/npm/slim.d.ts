/** Types of `connection-counter/slim`: the widget with its WebAssembly module in a file of its own. */

import type { Handle, Options } from "./index.js";

export { count, subscribe } from "./index.js";
export type { Handle, Options, ViewerCountElement, ViewersEvent } from "./index.js";

/** What the widget may be told, and where its module is. */
export interface SlimOptions extends Options {
  /**
   * The WebAssembly module: its bytes, or the answer to a request for them. Default: the request for `widget.wasm` beside
   * this entry, which bundlers find by `new URL("./widget.wasm", import.meta.url)`; name it for those that do not. A page
   * needs one, however often the widget is started.
   *
   * @example
   * import url from "connection-counter/widget.wasm?url";
   * start({ server: "https://live.example.com", module: fetch(url) });
   */
  module?: Response | BufferSource | Promise<Response | BufferSource>;
}

/**
 * Shows live viewer counts on the links of this page, as `start` of `connection-counter` does. The module is loaded when
 * this is called, and weighs a fifth less than inside of the default entry, where it has to be text.
 *
 * @example
 * import { start } from "connection-counter/slim";
 * const handle = start({ server: "https://live.example.com" });
 */
export function start(options: SlimOptions): Handle;
