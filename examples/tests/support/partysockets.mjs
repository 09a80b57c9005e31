// The unmodified npm client `partysocket` in Node, in two releases: the current one and an older one that apps still use.

import { readFileSync } from "node:fs";

import Current from "partysocket";
import Older from "partysocket-1.1.2";
import WebSocket from "ws";

import { story } from "./story.mjs";
import { until } from "./until.mjs";

const PACKAGES = { partysocket: Current, "partysocket-1.1.2": Older };

/** These limits are so high that no test meets them by accident. */
const GENEROUS = ["--message-burst", "10000"];

/** The version of an installed package. */
function releaseOf(name) {
  return JSON.parse(readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url))).version;
}

/** A WebSocket of the client, and everything that happened to it. */
class Line {
  /** Every message so far. JSON is parsed, other text and bytes are as they came. */
  heard = [];
  /** Code and reason of every close. */
  closes = [];
  /** The texts of all errors. */
  errors = [];
  /** How often it has opened. */
  opens = 0;
  /** Names of events, in order. */
  events = [];
  #next = 0;

  constructor(socket) {
    /** The `PartySocket`. */
    this.socket = socket;
    socket.addEventListener("open", () => (this.opens += 1));
    socket.addEventListener("message", ({ data }) => this.heard.push(read(data)));
    socket.addEventListener("close", ({ code, reason }) => this.closes.push({ code, reason }));
    socket.addEventListener("error", ({ message }) => this.errors.push(message));
    for (const type of ["open", "message", "close", "error"]) {
      socket.addEventListener(type, () => this.events.push(type));
    }
  }

  /** Sends a value as JSON. */
  say(value) {
    this.socket.send(JSON.stringify(value));
  }

  /** The first message that `next` has not returned yet. */
  async next() {
    await until(`message ${this.#next + 1} after ${JSON.stringify(this.heard)}`, () => this.heard.length > this.#next);
    return this.heard[this.#next++];
  }

  /** Sends a message, and returns the next one that arrives. */
  ask(value) {
    this.say(value);
    return this.next();
  }

  /** Waits for the first close event. Use it only for a client that does not reconnect. */
  async closed() {
    await until(`close after ${JSON.stringify(this.events)}`, () => this.closes.length > 0);
    return this.closes[0];
  }

  /** The text of the first error. */
  async failed() {
    await until(`error after ${JSON.stringify(this.events)}`, () => this.errors.length > 0);
    return this.errors[0];
  }
}

function read(data) {
  try {
    return typeof data === "string" ? JSON.parse(data) : data;
  } catch {
    return data;
  }
}

/** One release of the client, and the server of a story. */
class Client {
  #stage;

  constructor(stage, name, PartySocket) {
    this.#stage = stage;
    /** The package that it comes from. */
    this.package = name;
    this.PartySocket = PartySocket;
  }

  /** `127.0.0.1:<port>`, of the proxy if the story has one. */
  get host() {
    return new URL(this.#stage.proxy?.url ?? this.#stage.server.url).host;
  }

  /** Opens a connection; the room is `lobby` if the options name none. */
  connect(options = {}) {
    const socket = new this.PartySocket({ host: this.host, room: "lobby", WebSocket, ...options });
    this.#stage.onClose(() => socket.close());
    return new Line(socket);
  }

  /** Sends a request to a room. */
  fetch(options = {}, init = {}) {
    return this.PartySocket.fetch({ host: this.host, room: "lobby", ...options }, init);
  }

  /** Posts a value to a room and returns its answer, both as JSON. */
  async post(options, value) {
    const answer = await this.fetch(options, { method: "POST", body: JSON.stringify(value) });
    if (!answer.ok) throw new Error(`POST ${answer.url}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}

/**
 * A point of conformance: one story for each release of the client, against the parties of `src/conformance`.
 * @param {string} claim what holds
 * @param {(client: Client, stage: import("./story.mjs").Stage) => Promise<void>} tell
 * @param {{serverArgs?: string[], proxied?: boolean}} options as for a story
 */
export function point(claim, tell, options = {}) {
  const program = "connection-counter-conformance";
  const serverArgs = [...GENEROUS, ...(options.serverArgs ?? [])];
  for (const [name, PartySocket] of Object.entries(PACKAGES)) {
    story(`${claim} (partysocket ${releaseOf(name)})`, { ...options, program, serverArgs }, (stage) =>
      tell(new Client(stage, name, PartySocket), stage),
    );
  }
}
