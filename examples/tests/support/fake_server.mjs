// A fake server. It serves the real widget, and then sends whatever a test wants.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename } from "node:path";

import { WebSocketServer } from "ws";

import { listen } from "./listening.mjs";

const DIST = new URL("../../../widget/dist/", import.meta.url);
const TYPES = { js: "text/javascript", wasm: "application/wasm" };

/** The update that tells these counts. */
export const update = (connections) => JSON.stringify({ type: "update", connections });

/**
 * Starts one that runs until the story ends.
 * @param {import("./story.mjs").Stage} stage
 * @param {object} behaviour
 * @param {(file: string) => Promise<boolean | void> | boolean | void} [behaviour.serves] called before a file is handed
 *   out. The file waits for the result; with `false` the request never gets an answer
 * @param {(file: string) => string | null | undefined} [behaviour.replaces] what to hand out instead of a file; `null` breaks
 *   the connection
 * @param {(socket: import("ws").WebSocket, asked: Set<string>) => void} [behaviour.connected] called for each WebSocket;
 *   `asked` always has the pages that it has subscribed to
 * @param {boolean} [behaviour.answersHandshakes] whether a handshake gets an answer
 */
export async function startFakeServer(stage, { serves, replaces, connected, answersHandshakes = true } = {}) {
  const http = createServer(async (request, response) => {
    const file = basename(new URL(request.url, "http://fake").pathname);
    if ((await serves?.(file)) === false) return;
    const content = replaces?.(file);
    if (content === null) return request.socket.destroy();
    const type = TYPES[file.split(".").pop()];
    response.writeHead(200, { "access-control-allow-origin": "*", "content-type": type, "cache-control": "no-store" });
    response.end(content ?? readFileSync(new URL(file, DIST)));
  });
  const rooms = new WebSocketServer({ noServer: true });
  const upgraded = new Set();
  http.on("upgrade", (request, tcp, head) => {
    upgraded.add(tcp);
    if (answersHandshakes) rooms.handleUpgrade(request, tcp, head, (socket) => rooms.emit("connection", socket));
    // Without reading, we would not notice its end.
    else tcp.on("error", () => {}).resume();
  });
  rooms.on("connection", (socket) => {
    const asked = new Set();
    // First ours, so that `asked` is right in the story's own.
    socket.on("message", (data) => {
      const text = String(data);
      if (text === "ping") return socket.send("pong");
      const { type, links } = JSON.parse(text);
      for (const link of links) type === "subscribe" ? asked.add(link) : asked.delete(link);
    });
    connected?.(socket, asked);
  });
  const url = await listen(stage, http, upgraded);
  return {
    url,
    sockets: rooms.clients,
    /** How many handshakes were started, in all. */
    knocks: () => upgraded.size,
    /** How many of these handshakes still wait, or have become open WebSockets. */
    waiting: () => [...upgraded].filter((tcp) => !tcp.readableEnded && !tcp.destroyed).length,
  };
}
