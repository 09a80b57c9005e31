/**
 * Agrees with the browser's other tabs of this site on one random token, so that the server can count them as one viewer.
 * Nothing is stored: the token lives as long as one of the tabs.
 */

/** How long to wait for a word from another tab. */
const ANSWER_WITHIN_MS = 100;
/** What a token looks like: when it was made, and something random. The oldest is the one to agree on. */
const TOKEN = /^[0-9a-z]{8,9}-[0-9a-z]{1,13}$/;

const create = () => `${Date.now().toString(36)}-${crypto.getRandomValues(new BigUint64Array(1))[0].toString(36)}`;

/**
 * @param {string | undefined} token the one we had before
 * @param {(token: string) => void} agreed called with a token to use from now on, perhaps more than once
 */
export function agreeOnToken(token, agreed) {
  const channel = new BroadcastChannel("connection-counter");
  let ours = token ?? create();
  let isAgreed = false;
  const agree = () => {
    clearTimeout(waiting);
    isAgreed = true;
    agreed(ours);
  };
  const waiting = setTimeout(agree, ANSWER_WITHIN_MS);
  channel.onmessage = ({ data }) => {
    if (!TOKEN.test(data) || data === ours) return;
    if (data < ours) {
      ours = data;
      agree();
    } else if (isAgreed) channel.postMessage(ours);
  };
  channel.postMessage(ours);
  return {
    close() {
      clearTimeout(waiting);
      channel.close();
    },
  };
}
