/** What the entries of the npm package that start the widget share. */

import { count, subscribe } from "./page.js";
import { startOnce } from "./widget.js";

/** The handle where there is no page to show anything on: on a server. */
const NOWHERE = { ready: Promise.resolve(), total: 0, count, subscribe, stop() {} };

/**
 * Brings up the widget where WebAssembly may be missing.
 * @param {() => Promise<object>} loadEngine
 */
export const withAdvice = (loadEngine) => () =>
  loadEngine().catch((cause) => {
    const where = "where it is refused (Lockdown Mode, a policy without 'wasm-unsafe-eval')";
    throw new Error(`WebAssembly does not start (${cause?.message}); ${where} import start from "connection-counter/no-wasm"`);
  });

/** Starts the widget with the engine that `loadEngine` answers with. */
export function startPackage(options, loadEngine) {
  // On a server there is nothing to do, and nothing to complain about.
  if (typeof document === "undefined") return NOWHERE;
  const given = Object.entries(options ?? {}).map(([name, value]) => [name, name, value]);
  return startOnce(given, undefined, loadEngine);
}
