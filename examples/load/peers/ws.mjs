/** The smallest faithful counter for Node and the package ws. */

import { WebSocketServer } from "ws";

const PREFIX = "/parties/page/";
/** @type {Map<string, number>} viewers by page */
const viewers = new Map();
/** @type {Map<string, Set<import("ws").WebSocket>>} who watches a page */
const watchers = new Map();

const update = (connections) => JSON.stringify({ type: "update", connections });

function change(page, difference) {
  const count = (viewers.get(page) ?? 0) + difference;
  viewers.set(page, count);
  const message = update({ [page]: count });
  for (const socket of watchers.get(page) ?? []) socket.send(message);
}

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });

server.on("connection", (socket, request) => {
  const page = decodeURIComponent(request.url.slice(PREFIX.length));
  const watched = new Set();
  change(page, 1);
  socket.on("message", (text) => {
    const { links } = JSON.parse(text.toString());
    for (const link of links) {
      watched.add(link);
      if (!watchers.has(link)) watchers.set(link, new Set());
      watchers.get(link).add(socket);
    }
    socket.send(update(Object.fromEntries(links.map((link) => [link, viewers.get(link) ?? 0]))));
  });
  socket.on("close", () => {
    for (const link of watched) watchers.get(link).delete(socket);
    change(page, -1);
  });
});

server.on("listening", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
