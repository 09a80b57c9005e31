/** The page's tab, for the Rust code: its events, its address, and the time. */

import { canonicalAddress } from "./page.js";
import { isFirefox } from "./socket.js";
import { outside } from "./warn.js";

/**
 * @param {object} engine the functions that the Rust exports
 * @param {(address: string) => string} rule the owner's rule
 * @param {{ signal: AbortSignal }} listening options for listeners, which end with the widget
 */
export function createTab(engine, rule, listening) {
  let entry, lastPlace;
  const timers = [];
  listening.signal.onabort = () => timers.forEach(clearTimeout);

  return {
    listen() {
      // The numbers are those in `tab.rs`.
      const on = (target, type, event) =>
        // The page may have replaced the object with a variable of the same name, such as `var navigation`.
        target?.addEventListener?.(type, () => engine.tab(event, document.hidden), listening);
      on(window, "pagehide", 1);
      if (isFirefox) on(window, "beforeunload", 2);
      on(window, "offline", 3);
      on(window, "online", 4);
      on(window, "pageshow", 4);
      on(window, "popstate");
      on(window, "hashchange");
      on(document, "prerenderingchange");
      on(document, "visibilitychange", 5);
      // This event also reports `history.pushState`. In browsers without it, we notice the new page's changes to the document.
      on(globalThis.navigation, "currententrychange");
    },
    isHidden: () => document.hidden,
    // The numbers are those in `dom.rs`.
    reader: (agents) => (navigator.globalPrivacyControl ? 2 : navigator.webdriver || RegExp(agents, "i").test(navigator.userAgent)),
    isPrerendering: () => document.prerendering,
    here() {
      const named = canonicalAddress() || "";
      // Without the Navigation API we compare the length of the history, which stays the same if an address is replaced.
      const before = entry;
      entry = globalThis.navigation?.currentEntry?.key || history.length;
      const place = `${location.href}\n${named}`;
      if (place === lastPlace) return "";
      lastPlace = place;
      return `${entry === before ? "=" : ""}\n${rule(location.href)}\n${rule(named)}`;
    },
    wait(alarm, delayMs) {
      clearTimeout(timers[alarm]);
      if (delayMs >= 0) timers[alarm] = outside(() => setTimeout(engine.due, delayMs, alarm));
    },
    /** The browser works out what a frame costs right after those who wait for one had their say. */
    measure() {
      requestAnimationFrame(() => {
        const begun = performance.now();
        setTimeout(() => engine.measured(performance.now() - begun));
      });
    },
    nowMs: () => performance.now(),
    random: Math.random,
  };
}
