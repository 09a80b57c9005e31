// A proxy that serves the server below a path of a site, and changes paths as proxies do.

import { createServer, request } from "node:http";
import { connect } from "node:net";

import { listen } from "./listening.mjs";

/**
 * Starts one that runs until the story ends.
 * @param {import("./story.mjs").Stage} stage
 * @param {string} folder where the server is, such as `/live/`
 * @param {boolean} isCut whether the proxy removes the folder from the path
 * @returns {Promise<string>} the address of the server behind it
 */
export async function startMount(stage, folder, isCut) {
  const { hostname, port } = new URL(stage.server.url);
  /**
   * The address that the proxy asks the server for. It decodes the path. If the path has an escaped slash, the proxy refuses it,
   * and this is `undefined`.
   */
  const pathOf = (url) => {
    const [path, ...query] = url.split("?");
    if (!path.startsWith(folder) || /%2f/i.test(path)) return undefined;
    const asked = decodeURI(isCut ? path.slice(folder.length - 1) : path);
    return [encodeURI(asked), ...query].join("?");
  };
  const proxy = createServer((asked, answer) => {
    const path = pathOf(asked.url);
    if (!path) return answer.writeHead(404).end();
    const { method, headers } = asked;
    request({ hostname, port, path, method, headers }, (from) => {
      answer.writeHead(from.statusCode, from.headers);
      from.pipe(answer);
    }).end();
  });
  const sockets = new Set();
  proxy.on("upgrade", (asked, reader, head) => {
    const path = pathOf(asked.url);
    if (!path) return reader.end("HTTP/1.1 404 Not Found\r\n\r\n");
    const server = connect(Number(port), hostname);
    for (const socket of [reader, server]) {
      sockets.add(socket);
      socket.on("error", () => [reader, server].forEach((other) => other.destroy()));
    }
    const headers = Object.entries(asked.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    server.write(`GET ${path} HTTP/1.1\r\n${headers.join("")}\r\n`);
    server.write(head);
    reader.pipe(server).pipe(reader);
  });
  return (await listen(stage, proxy, sockets)) + folder;
}
