/**
 * The state that all copies of our code on a page share: the one widget that runs, and all subscriptions. A script tag, two copies
 * of the npm package and the console all use this one object. It stays when the widget stops.
 */

/** The key of that object in `globalThis`. */
export const KEY = Symbol.for("connection-counter");

/**
 * Has `subscriptions`, all of them, from the start, and the others when there is one. `handle`: the handle of the running widget.
 * `widget`: attaches and detaches subscriptions. `room`: the last WebSocket, whether one was ever open, and the event of the
 * last close.
 */
export const page = () => (globalThis[KEY] ||= { __proto__: null, subscriptions: new Set() });

/** The address that the page's canonical link names. */
export function canonicalAddress() {
  const head = document.querySelector("head");
  const link = head?.querySelector("link[rel~=canonical]");
  return link?.href;
}

/** Deletes the object if nothing needs it any more. */
export function tidy() {
  const { handle, subscriptions } = page();
  if (!handle && subscriptions.size === 0) delete globalThis[KEY];
}

/** Calls `callback` with the viewers of the page at `url` (or of this page): at once if they are known, and whenever they change. */
export function subscribe(url, callback) {
  // On a server nothing would ever end the subscription.
  if (!globalThis.document) return () => {};
  const { widget, subscriptions } = page();
  // In Angular, the callback runs in the zone in which it was given.
  const subscription = { url, callback: globalThis.Zone?.current?.wrap?.(callback, "viewers") || callback };
  subscriptions.add(subscription);
  widget?.attach(subscription);
  return () => {
    if (!subscriptions.delete(subscription)) return;
    page().widget?.detach(subscription);
    tidy();
  };
}

/** The viewers of the page at `url` (or of this page), if they are known. */
export const count = (url) => globalThis[KEY]?.widget?.count(url);

/** The number of viewers for the page's code. A number below 0 means that the count is not known. */
export const known = (viewers) => (viewers < 0 ? undefined : viewers);

/** The event for a changed count. */
export const viewersEvent = (viewers) =>
  new CustomEvent("viewers", { __proto__: null, bubbles: true, composed: true, detail: { viewers: known(viewers) } });
