/** What the head cannot do by itself with the page's room: open and hear its WebSocket, and wait. */

import { page } from "./page.js";
import { safely } from "./warn.js";

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

/**
 * @param {object} head the functions that the wasm module exports
 * @param {(text: string) => number[]} read counts in a message from the server, in pairs of key and viewers
 */
export function createRoom(head, read) {
  const alarms = [];
  const stopping = new AbortController();
  let current;
  let frame;

  const windowForSocket = () => {
    if (!isFirefox) return window;
    if (!frame?.isConnected) {
      frame = document.createElement("iframe");
      // Whatever the page's stylesheet says of frames. As an attribute, the page's policy might refuse it.
      frame.style.cssText = "display: none !important";
      document.documentElement.append(frame);
    }
    const empty = frame.contentDocument?.defaultView;
    // Where the page is sandboxed, its frames are strangers to it.
    if (!empty) return window;
    // If the page takes the frame away, the WebSocket goes with it and tells no one.
    empty.onpagehide = safely(() => head.closed(LOST, ""));
    empty.document.addEventListener("securitypolicyviolation", onViolation);
    return empty;
  };
  const leave = () => {
    current = undefined;
    frame?.remove();
  };

  // Without this the head would try again for ever, and the browser complain each time.
  const onViolation = safely(({ blockedURI, disposition }) => {
    if (blockedURI === current?.url && disposition === "enforce") head.closed(REFUSED, "the page's policy lacks it in connect-src");
  });
  document.addEventListener("securitypolicyviolation", onViolation, { __proto__: null, signal: stopping.signal });

  return {
    /** Opens a WebSocket, and has the head hear what happens to it, and to no other from now on. */
    open(address) {
      const socket = new (windowForSocket().WebSocket)(address);
      current = socket;
      // For `debug`.
      const room = (page().room = { ...page().room, socket });
      const on = (type, react) =>
        socket.addEventListener(
          type,
          safely((event) => socket === current && react(event)),
        );
      on("open", () => {
        room.wasOpen = true;
        head.opened();
      });
      on("message", ({ data }) => head.hear(new Float64Array(read(data))));
      on("close", ({ code, reason }) => {
        Object.assign(room, { code, reason });
        head.closed(code, reason);
      });
      return socket;
    },
    /** Leaves nothing behind of what the head has closed. */
    leave,
    /** Wakes the head for this alarm once, in so many milliseconds, instead of what was set before; fewer than none cancel. */
    wait(alarm, delayMs) {
      clearTimeout(alarms[alarm]);
      if (delayMs >= 0) alarms[alarm] = setTimeout(safely(head.due), delayMs, alarm);
    },
    stop() {
      leave();
      stopping.abort();
      alarms.forEach(clearTimeout);
    },
  };
}
