/** Timers that are set again and again. */

import { safely } from "./warn.js";

/**
 * Has `work` done later, once for all who asked in the meantime.
 * @param {() => void} work
 */
export function createTimer(work) {
  let timer;
  let at = Infinity;
  const ring = safely(() => {
    at = Infinity;
    work();
  });
  return {
    /** In so many milliseconds, unless that is planned for sooner already. */
    in(delayMs) {
      const asked = performance.now() + delayMs;
      if (asked >= at) return;
      clearTimeout(timer);
      at = asked;
      timer = setTimeout(ring, delayMs);
    },
    /** For good. */
    stop() {
      clearTimeout(timer);
      at = -Infinity;
    },
  };
}
