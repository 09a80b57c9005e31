/** Whoever on the page wants to know a count: where the page's callbacks and the Rust's numbers meet. */

import { known, page } from "./page.js";

/**
 * @param {object} engine the functions that the Rust exports
 * @param {(address: string) => string} rule the owner's rule
 */
export function createSubscriptions(engine, rule) {
  /** The subscriptions by their numbers. */
  const all = [undefined];

  /** What the engine takes for an address: nothing for this page; ` ` for an address that is none, and has no viewers. */
  const addressOf = (url) => {
    try {
      return url === undefined ? "" : rule(new URL(url, document.baseURI).href) || " ";
    } catch {
      return " ";
    }
  };
  const notify = (number, viewers) => {
    const subscription = all[number];
    try {
      subscription?.callback(known(viewers));
    } catch (error) {
      // The page's own functions throw the page's own exceptions.
      reportError(error);
    }
  };
  const attach = (subscription) => {
    let number = all.indexOf(subscription);
    if (number < 1) number = all.push(subscription) - 1;
    engine.attach(number, addressOf(subscription.url));
  };

  return {
    attach,
    detach(subscription) {
      const number = all.indexOf(subscription);
      if (number < 1) return;
      engine.detach(number);
      all[number] = undefined;
    },
    count: (url) => known(engine.count(addressOf(url)) ?? -1),
    notify,
    /** Every address may mean another page. */
    renew: () => page().subscriptions.forEach(attach),
    /** They hear that nobody knows any more. */
    stop() {
      all.length = 0;
    },
  };
}
