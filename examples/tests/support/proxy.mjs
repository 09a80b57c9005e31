// A TCP proxy that can freeze a connection like a pulled cable: nothing arrives, and neither side is told.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Starts a proxy in front of `target`, an `http://host:port`. */
export async function startProxy(target) {
  const { hostname, port } = new URL(target);
  const pairs = new Set();

  const proxy = createServer((tab) => {
    const server = connect(Number(port), hostname);
    const pair = { tab, server, requestLine: "", isWebSocket: false, isFrozen: false };
    pairs.add(pair);

    tab.once("data", (data) => {
      const request = data.toString("latin1");
      pair.requestLine = request.split("\r\n", 1)[0];
      pair.isWebSocket = /^upgrade: websocket/im.test(request);
    });
    for (const [from, to] of [
      [tab, server],
      [server, tab],
    ]) {
      from.on("data", (data) => pair.isFrozen || to.write(data));
      from.on("end", () => pair.isFrozen || to.end());
      from.on("error", () => pair.isFrozen || to.destroy());
      from.on("close", () => pair.isFrozen || to.destroy());
    }
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");

  return {
    url: `http://127.0.0.1:${proxy.address().port}`,

    /** How many handshakes were started, in all. */
    knocks: () => [...pairs].filter(({ isWebSocket }) => isWebSocket).length,

    /** Cuts the connections that were opened for `path`, both ways, without closing them. Returns how many. */
    freeze(path) {
      const chosen = [...pairs].filter(
        (pair) => !pair.isFrozen && !pair.tab.destroyed && pair.requestLine.includes(` ${path} `),
      );
      for (const pair of chosen) pair.isFrozen = true;
      return chosen.length;
    },

    async close() {
      for (const { tab, server } of pairs) {
        tab.destroy();
        server.destroy();
      }
      const closed = once(proxy, "close");
      proxy.close();
      await closed;
    },
  };
}
