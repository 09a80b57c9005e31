/** The page's WebSocket, one at a time. */

import { page } from "./page.js";
import { safely, warn } from "./warn.js";

/** The close code of a server that does not want us: as final as the page's own policy. */
const REFUSED = 1008;
/** The close code of a connection that is gone without a word. */
const LOST = 1006;

/**
 * Whether this is Firefox, the one browser with this property. When its reader sets out, right after `beforeunload`, it stops
 * the WebSockets of the page, and for that alone keeps the page out of its back/forward cache: an open one, and one that is
 * closing, too (seen in 153). Only one whose window was removed before is gone in time, so in Firefox ours gets an empty
 * frame for a window, which leaves the page when the viewer does.
 */
export const isFirefox = "mozInnerScreenX" in globalThis;

/** The counts in a message from the server, a line each. A newer server may say more, a broken one anything. */
function read(text) {
  let lines = "";
  try {
    const message = JSON.parse(text);
    if (message[WIRE_TYPE] === WIRE_UPDATE) {
      for (const [id, viewers] of Object.entries(message[WIRE_CONNECTIONS])) {
        if (Number.isSafeInteger(viewers) && viewers >= 0) lines += `${viewers} ${id}\n`;
      }
    }
  } catch {
    // No message of ours.
  }
  return lines;
}

/** The window of an empty frame, for Firefox; the page's own where the page is sandboxed, and its frames are strangers to it. */
function emptyWindow(frame, engine, onViolation) {
  if (!frame.isConnected) {
    // Whatever the page's stylesheet says of frames. As an attribute, the page's policy might refuse it.
    frame.style.cssText = "display: none !important";
    document.documentElement.append(frame);
  }
  const empty = frame.contentDocument?.defaultView;
  if (!empty) return window;
  // If the page takes the frame away, the WebSocket goes with it and tells no one.
  empty.onpagehide = () => engine.closed(LOST, "");
  empty.document.addEventListener("securitypolicyviolation", onViolation);
  return empty;
}

/**
 * @param {object} engine the functions that the Rust exports
 * @param {object} listening options for listeners, which end with the widget
 */
export function createSocket(engine, listening) {
  const frame = isFirefox && document.createElement("iframe");
  let current;

  // Without this we would try again for ever, and the browser complain each time.
  const onViolation = ({ blockedURI, disposition }) => {
    if (blockedURI === current?.url && disposition === "enforce") {
      engine.closed(REFUSED, "the page's policy lacks it in connect-src");
    }
  };
  document.addEventListener("securitypolicyviolation", onViolation, listening);

  const open = (address) => {
    // A parameter after the page's id begins the query, unless the id did.
    const room = address.replace(/^([^?]*)&([^?/]*)$/, "$1?$2");
    const socket = new (frame ? emptyWindow(frame, engine, onViolation) : window).WebSocket(room);
    current = socket;
    // For `debug`.
    const state = (page().room = { ...page().room, socket });
    const on = (type, react) => socket.addEventListener(type, safely((event) => socket === current && react(event)));
    on("open", () => {
      state.wasOpen = true;
      engine.opened();
    });
    on("message", ({ data }) => engine.heard(read(data)));
    on("close", ({ code, reason }) => {
      Object.assign(state, { code, reason });
      engine.closed(code, reason);
    });
  };
  const disconnect = () => {
    const socket = current;
    current = undefined;
    socket?.close?.();
  };

  return {
    connect(address) {
      try {
        open(address);
        return true;
      } catch {
        // Such as `ws:` on an `https:` page.
        return false;
      }
    },
    send: (text) => current?.send(text),
    disconnect,
    leave() {
      disconnect();
      if (frame) frame.remove();
    },
    warn: (text) => warn("connection", text),
  };
}
