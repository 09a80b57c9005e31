/** The subscriptions to counts. This connects the page's callbacks to the numbers of the Rust code. */

import { known, page } from "./page.js";

/**
 * @param {object} engine the functions that the Rust code exports
 * @param {(address: string) => string} rule the owner's rule
 */
export function createSubscriptions(engine, rule) {
  /** The subscriptions by their numbers. */
  const all = [null];

  /** An address in the form that the engine expects: an empty text for this page, and ` ` for an invalid address. */
  const addressOf = (url) => {
    try {
      return url === undefined ? "" : rule(new URL(url, document.baseURI).href) || " ";
    } catch {
      return " ";
    }
  };
  const notify = (number, viewers) => {
    try {
      all[number]?.callback(known(viewers));
    } catch (error) {
      // This exception comes from the page's own code, so it is reported as the page's.
      reportError(error);
    }
  };
  const attach = (subscription) => {
    if (!all.includes(subscription)) all.push(subscription);
    engine.attach(all.indexOf(subscription), addressOf(subscription.url));
  };

  return {
    attach,
    detach(subscription) {
      const number = all.indexOf(subscription);
      engine.detach(number);
      all[number] = undefined;
    },
    count: (url) => known(engine.count(addressOf(url))),
    notify,
    /** Attaches all subscriptions again, because their addresses may now mean other pages. */
    moved: () => page().subscriptions.forEach(attach),
    /** Drops all subscriptions. */
    stop() {
      all.length = 0;
    },
  };
}
