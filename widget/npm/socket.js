/** The page's WebSocket. There is one at a time. */

import { page } from "./page.js";
import { safely, warn } from "./warn.js";

/** The close code of a server that refuses this page. We use it, too, if the page's own policy refuses the server. */
const REFUSED = 1008;
/** The state of an open socket. That of one that closes is greater. */
const OPEN = 1;

/**
 * Whether this is Firefox, the only browser with this property. Firefox keeps a page out of its back/forward cache if the page has
 * a WebSocket right after `beforeunload`, even if the WebSocket is closing (seen in 153). It does not count a WebSocket whose window
 * was removed before. So in Firefox our WebSocket belongs to the window of an empty frame, which we remove when the viewer leaves.
 */
export const isFirefox = "mozInnerScreenX" in globalThis;

/** The counts in a message from the server, one on each line. A newer server may send other messages, a broken one anything. */
function read(text) {
  let lines = "";
  try {
    const message = JSON.parse(text);
    if (message[WIRE_TYPE] === WIRE_UPDATE) {
      for (const [id, viewers] of Object.entries(message[WIRE_CONNECTIONS])) {
        if (viewers >= 0 && Number.isSafeInteger(viewers)) lines += `${viewers} ${id}\n`;
      }
    }
  } catch {
    // This is not one of our messages.
  }
  return lines;
}

/**
 * @param {object} engine the functions that the Rust exports
 * @param {string} rooms the start of every room's address
 * @param {object} listening options for listeners, which end with the widget
 * @param {typeof import("./frame.js").createFrame | undefined} createFrame for Firefox
 */
export function createSocket(engine, rooms, listening, createFrame) {
  let current;

  // Without this we would try again for ever, and the browser would report each attempt.
  const onViolation = ({ blockedURI, disposition }) => {
    if (blockedURI === current?.url && disposition === "enforce") {
      engine.closed(REFUSED, "the page's policy lacks it in connect-src");
    }
  };
  document.addEventListener("securitypolicyviolation", onViolation, listening);
  const frame = isFirefox ? createFrame(engine, onViolation) : undefined;

  const open = (room) => {
    const [id, parameter] = room.split(" ");
    // A parameter after the page's id begins the query, unless the id did.
    const suffix = rooms.includes("?") ? parameter : parameter.replace("&", "?");
    const socket = new (frame?.window || window).WebSocket(rooms + encodeURIComponent(id) + suffix);
    current = socket;
    // For `debug`.
    const state = (page().room ||= { __proto__: null });
    state.socket = socket;
    const on = (type, react) => socket.addEventListener(type, safely((event) => socket === current && react(event)));
    on("open", () => {
      state.wasOpen = true;
      engine.opened();
    });
    on("message", ({ data }) => engine.heard(read(data)));
    on("close", (event) => {
      state.closed = event;
      engine.closed(event.code, event.reason);
    });
  };
  const disconnect = () => {
    const socket = current;
    current = undefined;
    socket?.close?.();
  };

  return {
    connect(room) {
      try {
        open(room);
        return true;
      } catch {
        // For example `ws:` on an `https:` page. There is no connection then.
        warn("connection", `cannot connect to ${rooms}`);
      }
    },
    // A browser would complain of a message to a socket that is closing, of which we hear a moment later.
    send: (text) => current?.readyState > OPEN || current?.send(text),
    disconnect,
    leave() {
      disconnect();
      frame?.remove();
    },
    refused: (reason) => warn("connection", `refused by ${rooms}: ${reason}`),
  };
}
