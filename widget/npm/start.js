/** Common code of the entries of the npm package that start the widget. */

import { count, subscribe } from "./page.js";
import { startOnce } from "./widget.js";

/** The handle on a server, where there is no page. */
const NOWHERE = { ready: Promise.resolve(), total: 0, count, subscribe, stop() {} };

/**
 * Loads the engine. If WebAssembly is missing, the error says what to import instead.
 * @param {() => Promise<object>} loadEngine
 */
export const withAdvice = (loadEngine) => () =>
  loadEngine().catch((cause) => {
    const where = "where it is refused (Lockdown Mode, a policy without 'wasm-unsafe-eval')";
    throw new Error(`WebAssembly does not start (${cause?.message}); ${where} import start from "connection-counter/no-wasm"`);
  });

/** Starts the widget with the engine that `loadEngine` returns. */
export function startPackage(options, loadEngine) {
  // On a server there is nothing to do, and nothing to warn about.
  if (typeof document === "undefined") return NOWHERE;
  // The entry that was imported has its engine.
  const given = Object.entries(options || {}).map(([name, value]) => [name, name === "engine" ? "" : name, value]);
  return startOnce(given, undefined, loadEngine);
}
