// The example `guarded`: nobody gets in without a valid pass, and nobody floods the room.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createCipheriv, createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";

import PartySocket from "partysocket";
import WebSocket from "ws";

import { programPath } from "./support/programs.mjs";
import { handshakeStatus, openSocket } from "./support/sockets.mjs";
import { story } from "./support/story.mjs";
import { DEADLINE_MS, until } from "./support/until.mjs";

const program = "connection-counter-guarded";
/** The key of this test and the server: 16 bytes to sign with, and 16 to encrypt with. */
const KEY = randomBytes(32);
const ROOM = "/parties/main/vault";

/** Seconds that a pass is valid. */
const LIFETIME = 30;

const now = () => Math.floor(Date.now() / 1000);

/** The pass that a web site with the same key would give to its users: a Fernet token. */
function sign(user, issued = now(), key = KEY) {
  const [VERSION, IV] = [0x80, randomBytes(16)];
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(issued));
  const cipher = createCipheriv("aes-128-cbc", key.subarray(16), IV);
  const pass = Buffer.concat([Buffer.of(VERSION), time, IV, cipher.update(user), cipher.final()]);
  return seal(pass, createHmac("sha256", key.subarray(0, 16)).update(pass).digest());
}

/** Bytes in Fernet's spelling: the alphabet of URLs, but with padding. */
const spell = (bytes) => bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_");

const seal = (pass, signature) => spell(Buffer.concat([pass, signature]));

/** The two parts of a pass. */
function open(signed) {
  const bytes = Buffer.from(signed, "base64url");
  return [bytes.subarray(0, -32), bytes.subarray(-32)];
}

async function login(stage, user) {
  const answer = await fetch(`${stage.server.url}/parties/login/${user}`, { method: "POST" });
  assert.equal(answer.status, 200);
  return answer.text();
}

story("people with a pass talk", { program }, async (stage) => {
  const enter = async (user) => {
    const { page } = await stage.openTab(stage.server.url);
    await page.type("[name=user]", user);
    await page.keyboard.press("Enter");
    await page.waitForSelector("#speak:not([hidden])", { timeout: DEADLINE_MS });
    return page;
  };
  const ann = await enter("ann");
  const bo = await enter("bo");
  await ann.type("[name=words]", "hello");
  await ann.keyboard.press("Enter");
  for (const page of [ann, bo]) {
    const said = () => page.$$eval("#said li", (items) => items.map((item) => item.textContent));
    await until("both hear it", async () => (await said()).join() === "ann: hello");
  }
});

story("a bad pass opens nothing", { program, env: { GUARDED_KEY: spell(KEY) } }, async (stage) => {
  const [, annsSignature] = open(sign("ann"));
  const [evesPass] = open(sign("eve"));
  const bad = {
    none: "",
    expired: sign("eve", now() - LIFETIME - 1),
    "of another key": sign("eve", now(), randomBytes(32)),
    "of someone else": seal(evesPass, annsSignature),
    "cut short": sign("eve").slice(0, -4),
  };
  for (const [what, pass] of Object.entries(bad)) {
    assert.equal(await handshakeStatus(stage, `${ROOM}?pass=${pass}`), 401, `connecting: ${what}`);
    assert.equal((await fetch(`${stage.server.url}${ROOM}?pass=${pass}`)).status, 401, `asking: ${what}`);
  }
  assert.equal(await handshakeStatus(stage, ROOM), 401);
  assert.equal((await fetch(stage.server.url + ROOM)).status, 401);

  for (const pass of [sign("zoë"), await login(stage, "ann")]) await openSocket(stage, `${ROOM}?pass=${pass}`);
  const here = await fetch(`${stage.server.url}${ROOM}?pass=${sign("bo")}`);
  assert.deepEqual(await here.json(), ["zoë", "ann"]);
});

test("a bad key is named", () => {
  const { status, stderr } = spawnSync(programPath(program), { env: { GUARDED_KEY: "secret" }, encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /GUARDED_KEY/);
});

story("one user cannot drown the others", { program }, async (stage) => {
  const enter = async (user) => openSocket(stage, `${ROOM}?pass=${await login(stage, user)}`);
  const ann = await enter("ann");
  const annsPhone = await enter("ann");
  const bo = await enter("bo");

  for (let n = 1; n <= 5; n += 1) ann.socket.send(`${n}`);
  const five = [1, 2, 3, 4, 5].map((n) => `ann: ${n}`);
  await until("five are heard", () => bo.heard.length === 5);
  annsPhone.socket.send("6");
  await until("the sixth is not", () => annsPhone.heard.at(-1) === "Slow down.");
  bo.socket.send("hello");
  await until("bo is heard", () => ann.heard.at(-1) === "bo: hello");
  assert.deepEqual(bo.heard, [...five, "bo: hello"]);
});

// Without a configured key, the server makes one at each start. So an old pass is invalid after a restart.
story("partysocket fetches a new pass for each attempt", { program }, async (stage) => {
  const socket = new PartySocket({
    host: new URL(stage.server.url).host,
    room: "vault",
    query: async () => ({ pass: await login(stage, "ann") }),
    WebSocket,
  });
  stage.onClose(() => socket.close());
  const heard = [];
  let opened = 0;
  socket.addEventListener("open", () => (opened += 1));
  socket.addEventListener("message", ({ data }) => heard.push(data));
  await until("it is in", () => opened === 1);

  const pass = await login(stage, "ann");
  assert.equal(await stage.server.stop(), 0);
  await stage.server.startAgain();
  await until("it is in again", () => opened === 2);
  assert.equal(await handshakeStatus(stage, `${ROOM}?pass=${pass}`), 401);
  socket.send("back");
  await until("it is heard", () => heard.at(-1) === "ann: back");
});
