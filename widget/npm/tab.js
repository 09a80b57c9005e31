/** The page's tab, for the Rust code: its events, its address, the other tabs, and the time. */

import { isFirefox } from "./socket.js";
import { outside } from "./warn.js";

/** The token of a viewer's tabs, the time when it was made and a random part. A page may send anything to its other tabs. */
const TOKEN = /^[\da-z]{8,9}-[\da-z]{1,14}$/;

/**
 * @param {object} engine the functions that the Rust exports
 * @param {(address: string) => string} rule the owner's rule
 * @param {{ signal: AbortSignal }} listening options for listeners, which end with the widget
 */
export function createTab(engine, rule, listening) {
  let channel;
  let entry;
  let lastPlace;
  const timers = [];
  const close = () => {
    channel?.close();
    channel = undefined;
  };
  const end = () => {
    timers.forEach(clearTimeout);
    close();
  };
  listening.signal.onabort = end;

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
    isPrerendering: () => Boolean(document.prerendering),
    here() {
      const named = document.head?.querySelector("link[rel~=canonical]")?.href ?? "";
      // Without the Navigation API we compare the length of the history, which stays the same if an address is replaced.
      const before = entry;
      entry = globalThis.navigation?.currentEntry?.key ?? history.length;
      const place = `${location.href}\n${named}`;
      if (place === lastPlace) return "";
      lastPlace = place;
      return `${entry === before ? "=" : ""}\n${rule(location.href)}\n${rule(named)}`;
    },
    newToken: () => `${Date.now().toString(36)}-${crypto.getRandomValues(new BigUint64Array(1))[0].toString(36)}`,
    channel(isOpen) {
      close();
      try {
        if (isOpen) channel = new BroadcastChannel("connection-counter");
      } catch {
        // Pages that may not store anything cannot reach their other tabs.
        return false;
      }
      if (channel) channel.onmessage = ({ data }) => TOKEN.test(data) && engine.heardToken(`${data}`);
      return true;
    },
    post(text) {
      try {
        channel?.postMessage(text);
      } catch {
        // As above. This tab is then counted alone.
      }
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
