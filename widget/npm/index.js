/** The npm package: the widget with its wasm module inside, started by code. */

import { bringUp } from "./wasm.js";
import { startPackage, withAdvice } from "./start.js";
// The last, because gzip makes more of code and module if neither is amid the other.
import module from "widget-wasm";

export { count, subscribe } from "./page.js";

/** Starts the widget. Documented in index.d.ts. */
export const start = (options) => startPackage(options, withAdvice(() => bringUp(async () => module)));
