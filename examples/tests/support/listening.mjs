// A server for a test, on a port that the system picks.

import { once } from "node:events";

/**
 * Has it listen until the story ends.
 * @param {import("./story.mjs").Stage} stage
 * @param {import("node:http").Server} server
 * @param {Iterable<import("node:net").Socket>} sockets those that the server no longer knows, to be closed with it
 * @returns {Promise<string>} its address, without a slash at the end
 */
export async function listen(stage, server, sockets = []) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stage.onClose(async () => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return `http://127.0.0.1:${server.address().port}`;
}
