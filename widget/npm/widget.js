/** One widget per page, however often and by whatever means it is started. */

import { defineElement } from "./element.js";
import { createDrawing } from "./drawing.js";
import { createLife } from "./life.js";
import { createLinks } from "./links.js";
import { readOptions } from "./options.js";
import { count, page, subscribe, tidy } from "./page.js";
import { createPages } from "./pages.js";
import { createRoom } from "./room.js";
import { safely, warn } from "./warn.js";

/**
 * Starts the widget unless there is one, and answers with its handle. Never throws: what goes wrong is one warning on the
 * console.
 *
 * @param {object} given see Options in index.d.ts
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
      if (page().handle === handle) running = runWidget(readOptions(given, home), head);
    } catch (error) {
      warn(error);
    }
  };
  // One turn later, when the handle is where `run` looks for it.
  handle.ready = Promise.resolve().then(run);
  return handle;
}

/** Wires the head, which is the wasm module, to the hands, which are all that `create…` makes here. */
function runWidget(options, head) {
  const { server, path, scope, hash, query } = options;
  if (!server) throw new Error("no server given, such as https://live.example.com");

  const drawing = createDrawing(options, (link) => links.forget(link));
  const pages = createPages(head, drawing.add);
  const links = createLinks(options, head, pages, drawing, () => life.look());
  const look = safely((isHere, suffix) => {
    const canonical = document.head?.querySelector("link[rel~=canonical]")?.href ?? "";
    const mayLeadElsewhere = head.look(location.href, canonical, suffix, isHere);
    if (!isHere) room.leave();
    if (!mayLeadElsewhere) return;
    links.renew();
    pages.renew();
  });
  const life = createLife(options, look, head.probe);
  const room = createRoom(head, pages.read);
  const rooms = server.replace(/^http/, "ws").replace(/\/+$/, "") + path;
  head.start({ ...pages.hands, ...room, warn }, rooms, scope === "all", hash, `${query}`);

  page().widget = pages.widget;
  defineElement();
  life.look();
  return {
    get total() {
      return pages.total;
    },
    stop: safely(() => {
      page().widget = undefined;
      life.stop();
      links.stop();
      pages.stop();
      room.stop();
      head.stop();
    }),
  };
}
