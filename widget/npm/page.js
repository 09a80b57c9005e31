/**
 * What a page has of us: the one widget that runs on it, and whoever wants to know a count, for however long. It is one for
 * everyone, a script tag, two copies of the npm package, a console, and it outlives the widget.
 */

/** Where it is. */
export const KEY = Symbol.for("connection-counter");

/**
 * `handle`: that of the running widget. `widget`: takes and drops subscriptions. `subscriptions`: all there are. `room`: the
 * last WebSocket, whether one was ever open, and the code and reason of the last close.
 */
export const page = () => (globalThis[KEY] ??= { handle: undefined, widget: undefined, subscriptions: new Set(), room: undefined });

/** Forgets everything unless it is still needed. */
export function tidy() {
  const { handle, subscriptions } = page();
  if (!handle && subscriptions.size === 0) delete globalThis[KEY];
}

/** Calls back with the viewers of the page at `url` (of this page without one) now, if known, and whenever they change. */
export function subscribe(url, callback) {
  // On a server nothing would ever end it.
  if (typeof document === "undefined") return () => {};
  const { widget, subscriptions } = page();
  // In Angular, whoever asks to be called back is called in the zone where they asked.
  const zone = globalThis.Zone?.current;
  const subscription = { url, callback: zone?.wrap?.(callback, "viewers") ?? callback };
  subscriptions.add(subscription);
  widget?.attach(subscription);
  return () => {
    if (!subscriptions.delete(subscription)) return;
    page().widget?.detach(subscription);
    tidy();
  };
}

/** The viewers of the page at `url` (of this page without one), if known. */
export const count = (url) => globalThis[KEY]?.widget?.count(url);

/** A number of viewers, as people know it: below none nobody does. */
export const known = (viewers) => (viewers < 0 ? undefined : viewers);

/** The event that tells of a count. */
export const viewersEvent = (viewers) =>
  new CustomEvent("viewers", { __proto__: null, bubbles: true, composed: true, detail: { viewers: known(viewers) } });
