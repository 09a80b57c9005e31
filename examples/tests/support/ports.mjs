// Ports that nothing listens on.

import { once } from "node:events";
import { createServer } from "node:net";

/** A port that was free a moment ago: nobody answers there, and a program that cannot pick one itself may take it. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
