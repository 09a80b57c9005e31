/** The npm package with the wasm module in a separate file, for bundlers that handle `new URL(…, import.meta.url)`. */

import { bringUp } from "./wasm.js";
import { startPackage, withAdvice } from "./start.js";

export { count, subscribe } from "./page.js";

/** Starts the widget. Documented in slim.d.ts. */
export const start = ({ module, ...options } = {}) =>
  startPackage(
    options,
    withAdvice(() => bringUp(async () => module ?? fetch(new URL("./widget.wasm", import.meta.url)))),
  );
