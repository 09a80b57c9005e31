/**
 * The life of a tab: whether its viewer is here, and when to look where the page is. A page in the back/forward cache, one
 * that is being prerendered and one that has been out of sight for a while have no viewer.
 */

import { isFirefox } from "./room.js";
import { agreeOnToken } from "./tabs.js";
import { safely } from "./warn.js";

/** How often to make sure that the connection still is one: often enough after a sleep, seldom enough for a server. */
const PROBE_EVERY_MS = 45_000;
/**
 * Who has set out and is still here after this long stays: they downloaded something, or were asked and changed their mind.
 * Few pages take longer to answer; a reader on the way to one of them is counted until it does, and this page is not kept.
 */
const STAYS_AFTER_MS = 2_000;
/** The longest that a timer of a browser can wait, 24.8 days: one that is set to more rings at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * @param {object} options as `readOptions` has understood them
 * @param {(isHere: boolean, suffix: string) => void} look called with what to add to the room's address, whenever the page
 *   may be elsewhere or the viewer may have come or gone
 * @param {(isBack: boolean) => void} probe called when the connection may have broken unnoticed
 */
export function createLife({ hiddenAfter, mergeTabs, observe }, look, probe) {
  const stopping = new AbortController();
  const { signal } = stopping;
  let isAway = false;
  let isOffline = false;
  let isHidden = document.hidden;
  let hiding;
  let leaving;
  let token;
  let tabs;

  const lookAgain = () => {
    const isHere = !isAway && !isOffline && !isHidden && !document.prerendering;
    if (mergeTabs && !isHere) tabs = tabs?.close();
    else if (mergeTabs && !tabs) {
      // It answers at once with our own token, or a moment later with one that others have already.
      tabs = agreeOnToken(token, (agreed) => {
        token = agreed;
        lookAgain();
      });
    }
    const suffix = observe ? "?observe" : mergeTabs && token ? `?viewer=${token}` : "";
    look(isHere && !(mergeTabs && !token), suffix);
  };

  const on = (target, type, react) =>
    // A page may have put a variable of its own in its place, such as `var navigation`.
    target?.addEventListener?.(
      type,
      safely((event) => {
        react?.(event);
        lookAgain();
      }),
      // Options have no prototype, here and elsewhere: some pages have given one to all objects, such as a `signal` or `once`.
      { __proto__: null, signal },
    );
  const comeBack = () => {
    isAway = isOffline = false;
    probe(true);
  };

  // Both the next page and the back/forward cache: it keeps no page that has an open WebSocket.
  on(window, "pagehide", () => (isAway = true));
  // Firefox decides between the two events; why, and what else it takes, says room.js.
  if (isFirefox) {
    on(window, "beforeunload", () => {
      isAway = true;
      clearTimeout(leaving);
      leaving = setTimeout(() => {
        isAway = false;
        lookAgain();
      }, STAYS_AFTER_MS);
    });
  }
  on(window, "pageshow", comeBack);
  on(window, "offline", () => (isOffline = true));
  on(window, "online", comeBack);
  on(document, "prerenderingchange");
  const hideIn = (ms) => {
    hiding = setTimeout(() => {
      if (ms > LONGEST_TIMER_MS) return hideIn(ms - LONGEST_TIMER_MS);
      isHidden = true;
      lookAgain();
    }, Math.min(ms, LONGEST_TIMER_MS));
  };
  on(document, "visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hideIn(hiddenAfter * 1000);
    else {
      isHidden = false;
      probe(true);
    }
  });
  // Tells of `history.pushState` too. In browsers without it, the new page's changes to the document do.
  on(globalThis.navigation, "currententrychange");
  on(window, "popstate");
  on(window, "hashchange");
  const probing = setInterval(() => probe(false), PROBE_EVERY_MS);

  return {
    look: lookAgain,
    stop() {
      stopping.abort();
      clearTimeout(hiding);
      clearTimeout(leaving);
      clearInterval(probing);
      tabs?.close();
    },
  };
}
