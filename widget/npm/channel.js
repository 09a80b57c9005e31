/** The viewer's other tabs, for pages that merge them. */

/** The token of a viewer's tabs, the time when it was made and a random part. A page may send anything to its other tabs. */
const TOKEN = /^[\da-z]{8,9}-[\da-z]{1,14}$/;

/**
 * @param {object} engine the functions that the Rust exports
 * @param {{ signal: AbortSignal }} listening options for listeners, which end with the widget
 */
export function createChannel(engine, listening) {
  let channel;
  const close = () => {
    channel?.close();
    channel = undefined;
  };
  listening.signal.addEventListener("abort", close);

  return {
    newToken: () => `${Date.now().toString(36)}-${crypto.getRandomValues(new BigUint64Array(1))[0].toString(36)}`,
    channel(isOpen) {
      close();
      try {
        if (isOpen) channel = new BroadcastChannel("connection-counter");
      } catch {
        // Pages that may not store anything cannot reach their other tabs.
        return false;
      }
      if (channel) channel.onmessage = ({ data }) => TOKEN.test(data) && engine.heardToken(`${data}`);
      return true;
    },
    post(text) {
      try {
        channel?.postMessage(text);
      } catch {
        // As above. This tab is then counted alone.
      }
    },
  };
}
