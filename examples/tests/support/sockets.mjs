// Plain WebSockets in Node, which show what browsers hide, such as the status of a refused handshake.

import { once } from "node:events";

import WebSocket from "ws";

/** The address of `path` on an `http://` server, for a WebSocket. */
const address = (server, path) => new URL(path, server).href.replace("http", "ws");

/** Opens a WebSocket that ends with the story; `heard` holds all messages so far, text as strings and bytes as arrays. */
export async function openSocket(stage, path) {
  const socket = new WebSocket(address(stage.server.url, path));
  stage.onClose(() => socket.terminate());
  const heard = [];
  socket.on("message", (data, isBinary) => heard.push(isBinary ? [...data] : data.toString()));
  await once(socket, "open");
  return { socket, heard };
}

/** The status with which a handshake is answered: 101 where the door is open. */
export async function handshakeStatus(stage, path) {
  const socket = new WebSocket(address(stage.server.url, path));
  // Giving up a handshake is an error to `ws`, and here it is what we want.
  socket.on("error", () => {});
  const status = await new Promise((resolve) => {
    socket.once("upgrade", (answer) => resolve(answer.statusCode));
    socket.once("unexpected-response", (_, answer) => resolve(answer.statusCode));
  });
  socket.terminate();
  return status;
}
