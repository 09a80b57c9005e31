/** The npm package: the widget with its wasm module inside, started by code. */

import module from "widget-wasm";

import { bringUp } from "./wasm.js";
import { startPackage, withAdvice } from "./start.js";

export { count, subscribe } from "./page.js";

/** Starts the widget. Documented in index.d.ts. */
export const start = (options) => startPackage(options, withAdvice(() => bringUp(async () => module)));
