/** The npm package without wasm: the same code, compiled to JavaScript. */

import { engine } from "./plain.js";
import { startPackage } from "./start.js";

export { count, subscribe } from "./page.js";

/** Starts the widget. Documented in no-wasm.d.ts. */
export const start = (options) => startPackage(options, async () => engine);
