/** The smallest faithful counter for Bun, with the publish and subscribe it brings. */

const PREFIX = "/parties/page/";
/** @type {Map<string, number>} viewers by page */
const viewers = new Map();

const update = (connections) => JSON.stringify({ type: "update", connections });

function change(server, page, difference) {
  const count = (viewers.get(page) ?? 0) + difference;
  viewers.set(page, count);
  server.publish(page, update({ [page]: count }));
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const page = decodeURIComponent(new URL(request.url).pathname.slice(PREFIX.length));
    if (server.upgrade(request, { data: { page } })) return undefined;
    return new Response("this is a WebSocket", { status: 426 });
  },
  websocket: {
    open(socket) {
      change(server, socket.data.page, 1);
    },
    message(socket, text) {
      const { links } = JSON.parse(text);
      for (const link of links) socket.subscribe(link);
      socket.send(update(Object.fromEntries(links.map((link) => [link, viewers.get(link) ?? 0]))));
    },
    close(socket) {
      change(server, socket.data.page, -1);
    },
  },
});

console.log(`listening on http://127.0.0.1:${server.port}`);
