// The example `guarded`: nobody gets in without a valid pass, and nobody drowns the others.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";

import PartySocket from "partysocket";
import WebSocket from "ws";

import { handshakeStatus, openSocket } from "./support/sockets.mjs";
import { story } from "./support/story.mjs";
import { DEADLINE_MS, until } from "./support/until.mjs";

const program = "connection-counter-guarded";
const KEY = "a key that this test and the server share";
const ROOM = "/parties/main/vault";

const soon = () => Math.floor(Date.now() / 1000) + 30;

/** What a web site with the same key would give its users. */
function sign(user, expires = soon(), key = KEY) {
  const pass = Buffer.from(JSON.stringify({ user, expires })).toString("base64url");
  return `${pass}.${createHmac("sha256", key).update(pass).digest("base64url")}`;
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

story("a bad pass opens nothing", { program, env: { GUARDED_KEY: KEY } }, async (stage) => {
  const [, annsSignature] = sign("ann").split(".");
  const [evesPass] = sign("eve").split(".");
  const bad = {
    none: "",
    expired: sign("eve", Math.floor(Date.now() / 1000) - 1),
    "of another key": sign("eve", soon(), "another key"),
    "of someone else": `${evesPass}.${annsSignature}`,
    "cut short": sign("eve").slice(0, -1),
  };
  for (const [what, pass] of Object.entries(bad)) {
    assert.equal(await handshakeStatus(stage, `${ROOM}?pass=${pass}`), 401, `connecting: ${what}`);
    const headers = { authorization: `Bearer ${pass}` };
    assert.equal((await fetch(stage.server.url + ROOM, { headers })).status, 401, `asking: ${what}`);
  }
  assert.equal(await handshakeStatus(stage, ROOM), 401);
  assert.equal((await fetch(stage.server.url + ROOM)).status, 401);

  for (const pass of [sign("zoë"), await login(stage, "ann")]) await openSocket(stage, `${ROOM}?pass=${pass}`);
  const headers = { authorization: `Bearer ${sign("bo")}` };
  const here = await fetch(stage.server.url + ROOM, { headers });
  assert.deepEqual(await here.json(), ["zoë", "ann"]);
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

// Without a key of its own the server makes one at each start, so an old pass is of no use after a restart.
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
