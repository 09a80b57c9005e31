// A NATS server.

import { spawn } from "node:child_process";
import { once } from "node:events";

import { until } from "./until.mjs";

/** Starts a NATS server with these flags, and waits until it is ready. Returns how to stop it. */
export async function startNats(args) {
  // Debian's is where administrators have theirs.
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  const nats = spawn("nats-server", args, { env, stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(nats, "exit");
  let log = "";
  nats.stderr.on("data", (text) => (log += text));
  const stop = async () => {
    nats.kill();
    await ended;
  };
  try {
    await until("the NATS server is ready", () => log.includes("Server is ready"));
  } catch (error) {
    await stop();
    throw new Error(log, { cause: error });
  }
  return stop;
}
