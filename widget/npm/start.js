/** What both entries of the npm package share. */

import { bringUp } from "./head.js";
import { count, subscribe } from "./page.js";
import { startOnce } from "./widget.js";

/** The handle where there is no page to show anything on: on a server. */
const NOWHERE = { ready: Promise.resolve(), total: 0, count, subscribe, stop() {} };

/** Starts the widget with a wasm module. */
export function startPackage(options, getModule) {
  // On a server there is nothing to do, and nothing to complain about.
  if (typeof document === "undefined") return NOWHERE;
  return startOnce(options ?? {}, undefined, () => bringUp(async () => getModule()));
}
