/** Starts and stops the widget. A page has one, however often and from wherever it is started. */

import { lengthOf } from "./annotate.js";
import { begin } from "./dom.js";
import { load, loadExtras } from "./load.js";
import { readOptions } from "./options.js";
import { canonicalAddress, count, page, subscribe, tidy } from "./page.js";
import { isFirefox } from "./socket.js";
import { shownText } from "./style.js";
import { createSubscriptions } from "./subscriptions.js";
import { fail, outside, safely } from "./warn.js";

/**
 * Starts the widget unless one runs, and returns its handle. It never throws: an error is one warning in the console.
 *
 * @param {[string, string, unknown][]} given the options, see `readOptions`
 * @param {string | undefined} home the server to use unless the options name one
 * @param {() => Promise<object>} loadEngine loads the Rust code when it is needed, and returns the functions it exports
 */
export function startOnce(given, home, loadEngine) {
  if (home && page().handle) load(({ explainTags }) => explainTags());
  return (page().handle ||= createHandle(given, home, loadEngine));
}

function createHandle(given, home, loadEngine) {
  let running;
  const run = async () => {
    try {
      const engine = await loadEngine();
      const options = readOptions(given, home, engine);
      const isRuled = options.omit || options.pageOf;
      const needsExtras = isRuled || isFirefox || options.mergeTabs || !options.server;
      const extras = needsExtras ? await loadExtras() : {};
      if (!options.server) throw new Error(extras.explainServer(options.mistakes));
      const rule = isRuled ? extras.createRule(options, given) : (address) => address;
      if (page().handle === handle) running = runWidget(options, engine, rule, extras);
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  const handle = {
    // `run` starts one turn later, because it compares the handle with `page().handle`, which is not set yet.
    ready: outside(() => Promise.resolve().then(run)),
    count,
    subscribe,
    get total() {
      return running?.total || 0;
    },
    stop() {
      if (page().handle === handle) {
        page().handle = undefined;
        running?.stop();
      }
      running = undefined;
      tidy();
    },
  };
  // The browser must not report the rejection of a promise that nobody uses.
  handle.ready.catch(() => {});
  return handle;
}

/** Brings the Rust and the browser together. */
function runWidget(options, engine, rule, extras) {
  const subscriptions = createSubscriptions(engine, rule);
  const rooms = `${options.server}`.replace(/^http/, "ws").replace(/\/+$/, "") + options.path;
  engine.setDom(begin(options, rule, rooms, engine, subscriptions, extras));
  page().widget = subscriptions;
  engine.start(`${options.query}`.replace(/\s/g, ""), lengthOf(shownText(options).replace("{count}", "")));

  let stopAdvice;
  const named = canonicalAddress() || location.href;
  // A file has no address on the web, and a page with `https:` may not use a server with `http:`. The last is so after a link to another
  // address than the canonical one.
  const isOdd = /[?&]viewers-debug|^[^h]|s:.*,ws:/.test([location, rooms]) || (named !== location.href && document.referrer.includes(location.host));
  if (options.debug || options.mistakes.length || isOdd) {
    load(({ advise }) => {
      if (page().widget === subscriptions) stopAdvice = advise(options, rule, rooms);
    });
  }
  return {
    get total() {
      return engine.total();
    },
    stop: safely(() => {
      page().widget = page().room = undefined;
      stopAdvice?.();
      engine.stop();
      subscriptions.stop();
    }),
  };
}
