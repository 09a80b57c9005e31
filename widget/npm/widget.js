/** One widget per page, however often and by whatever means it is started. */

import { defineElement } from "./element.js";
import { createDrawing } from "./drawing.js";
import { createLife } from "./life.js";
import { createLinks } from "./links.js";
import { readOptions } from "./options.js";
import { count, page, subscribe, tidy } from "./page.js";
import { createPages } from "./pages.js";
import { createRoom } from "./room.js";
import { fail, safely, warn } from "./warn.js";

/** Loads what few pages need. */
const loadExtras = () => import(EXTRAS_FILE);

/**
 * Starts the widget unless there is one, and answers with its handle. Never throws: what goes wrong is one warning on the
 * console.
 *
 * @param {[string, string, unknown][]} given the options, see `readOptions`
 * @param {string | undefined} home the server to use unless the options name one
 * @param {() => Promise<object>} loadHead called when the head is needed; answers with the functions it exports
 */
export function startOnce(given, home, loadHead) {
  return (page().handle ??= createHandle(given, home, loadHead));
}

function createHandle(given, home, loadHead) {
  let running;
  const handle = {
    ready: undefined,
    count,
    subscribe,
    get total() {
      return running?.total ?? 0;
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
  const run = async () => {
    try {
      const head = await loadHead();
      const options = readOptions(given, home);
      const rule = options.omit || options.pageOf ? (await loadExtras()).createRule(options) : (address) => address;
      if (page().handle === handle) running = runWidget(options, head, rule);
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  // One turn later, when the handle is where `run` looks for it.
  handle.ready = Promise.resolve().then(run);
  // For those who wait for it only: nobody else hears of it.
  handle.ready.catch(() => {});
  return handle;
}

/** Wires the head, which is the wasm module, to the hands, which are all that `create…` makes here. */
function runWidget(options, head, rule) {
  const { server, path, scope, hash, query, canonical, mistakes } = options;
  if (!server) throw new Error("no server given, such as https://live.example.com");

  const drawing = createDrawing(options, (link) => links.forget(link), (entry) => entry === pages.entryAt("", false));
  const pages = createPages(head, rule, drawing.add);
  const links = createLinks(options, head, pages, drawing, () => life.look());
  let entry;
  const look = safely((isHere, suffix) => {
    const named = document.head?.querySelector("link[rel~=canonical]")?.href ?? "";
    // Where there is no Navigation API, an address that is replaced leaves the history as long as it was.
    const before = entry;
    entry = globalThis.navigation?.currentEntry?.key ?? history.length;
    const mayLeadElsewhere = head.look(rule(location.href), rule(named), entry === before, suffix, isHere);
    if (!isHere) room.leave();
    if (!mayLeadElsewhere) return;
    links.renew();
    pages.renew();
    if (canonical === "follow" && named && named.split("?")[0] !== location.origin + location.pathname) {
      loadExtras().then(({ explainCanonical }) => explainCanonical(rule(named), rule(location.href)), fail);
    }
  });
  const life = createLife(options, look, head.probe);
  const room = createRoom(head, pages.read);
  const rooms = server.replace(/^http/, "ws").replace(/\/+$/, "") + path;
  const hands = { ...pages.hands, ...room, warn: (text) => warn("connection", text) };
  head.start(hands, rooms, scope === "all", hash, query, canonical === "follow");

  page().widget = pages.widget;
  defineElement();
  life.look();
  const isDebugging = options.debug || /[?&]viewers-debug\b/.test(location.search);
  let stopDebugging;
  if (isDebugging || mistakes.length) {
    loadExtras().then(({ explainMistakes, startDebugging }) => {
      explainMistakes(mistakes);
      if (isDebugging && page().widget === pages.widget) stopDebugging = startDebugging(options, rooms);
    }, fail);
  }
  return {
    get total() {
      return pages.total;
    },
    stop: safely(() => {
      page().widget = page().room = undefined;
      stopDebugging?.();
      life.stop();
      links.stop();
      pages.stop();
      room.stop();
      head.stop();
    }),
  };
}
