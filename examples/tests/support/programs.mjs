// The two programs that the tests run as real processes: the counter server and the examples host.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { DEADLINE_MS, until } from "./until.mjs";

const WORKSPACE = fileURLToPath(new URL("../../..", import.meta.url));

/** Whatever still runs when this process ends, however it ends. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** Cargo's profiles to take programs from: where times are measured, only the one that is meant. */
const PROFILES = process.env.PROFILE ? [process.env.PROFILE] : ["release", "debug"];

/** A built program: the one named by the environment, or the newest of the profiles. */
export function programPath(name) {
  const variable = `${name.toUpperCase().replaceAll("-", "_")}_BIN`;
  const named = process.env[variable];
  if (named && !existsSync(named)) throw new Error(`${variable} names ${named}, which does not exist`);
  if (named) return resolve(named);
  const target = process.env.CARGO_TARGET_DIR ?? join(WORKSPACE, "target");
  const built = PROFILES.map((profile) => join(target, profile, name)).filter(existsSync);
  built.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  if (built.length === 0) throw new Error(`${name} is not built; run: cargo build --workspace --bins`);
  return built[0];
}

/** A running program that prints the address it listens on. */
class Program {
  #child;
  #path;
  /** Everything the program said, for messages about failures. */
  log = "";
  /** `http://127.0.0.1:<port>` */
  url;

  constructor(path) {
    this.#path = path;
  }

  async run(args, env = {}) {
    const child = spawn(this.#path, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    running.add(child);
    child.once("exit", () => running.delete(child));
    let printed = "";
    child.stdout.on("data", (data) => (printed += data));
    for (const output of [child.stdout, child.stderr]) output.on("data", (data) => (this.log += data));
    this.url = await until(`${this.#path} listens`, () => {
      if (child.exitCode !== null) throw new Error(`it ended with code ${child.exitCode}:\n${this.log}`);
      return printed.match(/^listening on (http:\S+)$/m)?.[1];
    });
  }

  /** Asks the program to end, and returns its exit code. One that does not end in time is killed, which is an error. */
  async stop() {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
    const [code, signal] = await exited;
    clearTimeout(timer);
    if (signal === "SIGKILL") throw new Error(`${this.#path} did not stop within ${DEADLINE_MS} ms:\n${this.log}`);
    return code;
  }

  /** Ends the program the hard way, as a crash would. */
  async kill() {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}

/** The counter server, or another one with parties of its own. */
export class Server extends Program {
  /** Its data folder. */
  data;
  #args;
  #env;

  /** Starts the server on a free port; `data` is its folder, `args` are further flags. */
  static async start(data, args = [], program = "connection-counter", env = {}) {
    const server = new Server(programPath(program));
    server.data = data;
    server.#args = ["--data", data, ...args];
    server.#env = env;
    await server.run(["--listen", "127.0.0.1:0", ...server.#args], env);
    return server;
  }

  /** Starts again what `stop` ended: the same port, the same data. */
  startAgain() {
    return this.run(["--listen", new URL(this.url).host, ...this.#args], this.#env);
  }

  /** The viewers of each page of a site that has any, as the server tells everybody. */
  async viewers(site) {
    const answer = await fetch(`${this.url}/parties/counter/${encodeURIComponent(site)}`);
    if (!answer.ok) throw new Error(`GET counts: ${answer.status} ${await answer.text()}`);
    const { pages } = await answer.json();
    return Object.fromEntries(
      Object.entries(pages)
        .filter(([, viewers]) => viewers > 0)
        .sort(),
    );
  }
}

/** Starts the examples host, whose pages load the widget from `server`. */
export async function startHost(server, args = []) {
  const host = new Program(programPath("connection-counter-examples"));
  await host.run(["--listen", "127.0.0.1:0", "--server", server, ...args]);
  return host;
}
