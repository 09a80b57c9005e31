/** What the head cannot do by itself with the page's room: open and hear its WebSocket, and wait. */

import { safely } from "./warn.js";

/** The close code of a server that does not want us: as final as the page's own policy. */
const REFUSED = 1008;

/**
 * @param {object} head the functions that the wasm module exports
 * @param {(text: string) => number[]} read counts in a message from the server, in pairs of key and viewers
 */
export function createRoom(head, read) {
  const alarms = [];
  const stopping = new AbortController();
  let current;

  // Without this the head would try again for ever, and the browser complain each time.
  document.addEventListener(
    "securitypolicyviolation",
    safely(({ blockedURI, disposition }) => {
      if (blockedURI === current?.url && disposition === "enforce") head.closed(REFUSED);
    }),
    { signal: stopping.signal },
  );

  return {
    /** Opens a WebSocket, and has the head hear what happens to it, and to no other from now on. */
    open(address) {
      const socket = new WebSocket(address);
      current = socket;
      const on = (type, react) =>
        socket.addEventListener(
          type,
          safely((event) => socket === current && react(event)),
        );
      on("open", () => head.opened());
      on("message", ({ data }) => head.hear(new Float64Array(read(data))));
      on("close", ({ code }) => head.closed(code));
      return socket;
    },
    /** Wakes the head for this alarm once, in so many milliseconds, instead of what was set before; fewer than none cancel. */
    wait(alarm, delayMs) {
      clearTimeout(alarms[alarm]);
      if (delayMs >= 0) alarms[alarm] = setTimeout(safely(head.due), delayMs, alarm);
    },
    stop() {
      current = undefined;
      stopping.abort();
      alarms.forEach(clearTimeout);
    },
  };
}
