/** The npm package: the same widget, with its wasm module inside, started by code. */

import wasm from "widget-wasm";
import { startOnce } from "./widget.js";

/** Starts the widget. Documented in index.d.ts. */
export async function start(options) {
  // On a server there is nothing to do, and nothing to complain about.
  if (typeof document === "undefined") return { stop() {} };
  return startOnce(options, "", () => wasm);
}
