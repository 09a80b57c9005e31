// Thousands of WebSocket handshakes at once, as after a restart. They use plain sockets, because a real client would be slower
// than the server.

import { randomBytes } from "node:crypto";
import { connect } from "node:net";

const SWITCHING = "HTTP/1.1 101 ";

/**
 * Opens one socket for each path, all in one go, and sends a handshake as soon as it is connected.
 * @param {string} server `http://host:port`
 * @param {string[]} paths
 * @returns {Promise<number[]>} for each answer with 101, in order of arrival, milliseconds since the first socket began
 */
export async function storm(server, paths) {
  const { hostname, port, host } = new URL(server);
  const sockets = [];
  const started = performance.now();
  const arrivals = [];

  const handshakes = paths.map(
    (path) =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: hostname, port: Number(port), noDelay: true });
        sockets.push(socket);
        let answer = "";
        socket.once("connect", () => socket.write(handshake(host, path)));
        socket.on("data", (data) => {
          if (answer.includes("\r\n\r\n")) return;
          answer += data.toString("latin1");
          if (!answer.includes("\r\n\r\n")) return;
          if (!answer.startsWith(SWITCHING)) reject(new Error(`${path}: ${answer.split("\r\n", 1)[0]}`));
          arrivals.push(performance.now() - started);
          resolve();
        });
        socket.once("error", reject);
        socket.once("close", () => reject(new Error(`${path}: closed`)));
      }),
  );
  try {
    await Promise.all(handshakes);
    return arrivals;
  } finally {
    for (const socket of sockets) socket.destroy();
    // Those that had not failed yet do now, and nobody minds.
    await Promise.allSettled(handshakes);
  }
}

function handshake(host, path) {
  const key = randomBytes(16).toString("base64");
  const headers = [`Host: ${host}`, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
  return `${[`GET ${path} HTTP/1.1`, ...headers, `Sec-WebSocket-Key: ${key}`].join("\r\n")}\r\n\r\n`;
}
