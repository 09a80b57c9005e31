/** The pages that anyone here wants to know about: who wants to, and how many viewers they have. */

import { known, page } from "./page.js";
import { safely } from "./warn.js";

/** Calls a page's own function, whose exceptions are the page's. */
const notify = ({ callback }, viewers) => {
  try {
    callback(known(viewers));
  } catch (error) {
    reportError(error);
  }
};

/**
 * A watcher is a link or a subscription: whatever has an `entry`, the page that it wants to know about.
 *
 * @param {object} head the functions that the wasm module exports
 * @param {(address: string) => string} rule from an address to the one that stands for it
 * @param {(link: object) => void} changed called with each link that has a new count
 */
export function createPages(head, rule, changed) {
  /** For each page id the key that the head knows it by, and for that what we know. */
  const keys = new Map();
  const entries = new Map();
  let nextKey = 0;
  /** How many of them have a watcher. */
  let watched = 0;

  /** Has a watcher watch another page, or none. */
  const follow = (watcher, entry) => {
    const before = watcher.entry;
    if (entry === before) return;
    watcher.entry = entry;
    if (entry) {
      entry.watchers.add(watcher);
      if (entry.watchers.size === 1) watched += 1;
      head.want(entry.key, 1);
    }
    if (before) {
      before.watchers.delete(watcher);
      if (before.watchers.size === 0) watched -= 1;
      head.want(before.key, -1);
    }
  };
  /** The entry of the page at this absolute address; of the page itself for an empty one. */
  const entryAt = (address, isLink) => entries.get(head.find(address && rule(address), isLink));
  /** The entry of the page at `url`. An address that is none has no viewers. */
  const entryOf = (url) => {
    try {
      return entryAt(url === undefined ? "" : new URL(url, document.baseURI).href, false);
    } catch {
      return undefined;
    }
  };

  /** What the rest of the page may ask for. */
  const widget = {
    attach(subscription) {
      const before = subscription.entry;
      const entry = entryOf(subscription.url);
      follow(subscription, entry);
      head.tell();
      if (entry !== before && (before || entry.viewers >= 0)) notify(subscription, entry?.viewers ?? -1);
    },
    detach(subscription) {
      follow(subscription, undefined);
      head.tell();
    },
    count(url) {
      const entry = entryOf(url);
      // The head forgets what nobody wants.
      head.tell();
      return entry && known(entry.viewers);
    },
  };

  return {
    entryAt,
    follow,
    widget,
    get watched() {
      return watched;
    },
    get total() {
      let total = 0;
      for (const { viewers } of entries.values()) total += Math.max(viewers, 0);
      return total;
    },
    /** Every address may mean another page. */
    renew() {
      page().subscriptions.forEach(widget.attach);
    },
    stop() {
      for (const subscription of page().subscriptions) {
        if (!subscription.entry) continue;
        subscription.entry = undefined;
        notify(subscription, -1);
      }
    },
    /** What the head needs. */
    hands: {
      /** The key of the page with this id: always the same, until the page is forgotten; never given twice. */
      keyOf(id) {
        let key = keys.get(id);
        if (key === undefined) {
          keys.set(id, (key = nextKey++));
          entries.set(key, { id, key, watchers: new Set(), viewers: -1 });
        }
        return key;
      },
      forget(key) {
        const entry = entries.get(key);
        entry.isForgotten = true;
        entries.delete(key);
        keys.delete(entry.id);
      },
      /** Takes in counts, as the head tells them: pairs of key and viewers. */
      show: safely((counts) => {
        // The list is the head's, and gone when whoever hears of a count has the head work again.
        const ours = [...counts];
        for (let idx = 0; idx < ours.length; idx += 2) {
          const entry = entries.get(ours[idx]);
          if (!entry) continue;
          entry.viewers = ours[idx + 1];
          for (const watcher of [...entry.watchers]) {
            // Whoever heard of it first may have stopped the others.
            if (watcher.entry !== entry) continue;
            if (watcher.callback) notify(watcher, entry.viewers);
            else changed(watcher);
          }
        }
      }),
    },
    /** What a message from the server says, in pairs of key and viewers. A newer server may say more, a broken one anything. */
    read(text) {
      const counts = [];
      try {
        const message = JSON.parse(text);
        if (message[WIRE_TYPE] === WIRE_UPDATE) {
          for (const [id, viewers] of Object.entries(message[WIRE_CONNECTIONS])) {
            const key = keys.get(id);
            if (key !== undefined && Number.isSafeInteger(viewers) && viewers >= 0) counts.push(key, viewers);
          }
        }
      } catch {
        // No message of ours.
      }
      return counts;
    },
  };
}
