/** What the entries of the npm package that start the widget share. */

import { count, subscribe } from "./page.js";
import { startOnce } from "./widget.js";

/** The handle where there is no page to show anything on: on a server. */
const NOWHERE = { ready: Promise.resolve(), total: 0, count, subscribe, stop() {} };

/** Starts the widget with the head that `loadHead` answers with. */
export function startPackage(options, loadHead) {
  // On a server there is nothing to do, and nothing to complain about.
  if (typeof document === "undefined") return NOWHERE;
  const given = Object.entries(options ?? {}).map(([name, value]) => [name, name, value]);
  return startOnce(given, undefined, loadHead);
}
