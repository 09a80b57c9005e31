// What a connection can rely on: tags, state, messages, and how it ends. The numbers are those of the list in
// COMING_FROM_PARTYKIT.md.

import assert from "node:assert/strict";

import WebSocket from "ws";

import { point } from "./support/partysockets.mjs";
import { until } from "./support/until.mjs";

/** The close code for a fault of the server. */
const INTERNAL = 1011;
/** Bytes of a reason that fit into a close frame. */
const MAX_REASON_BYTES = 123;
/** Bytes of a connection's state, as JSON. */
const MAX_STATE_BYTES = 2048;

/** Opens a connection to the room of party `crowd`. */
function join(client, id, options = {}) {
  return client.connect({ party: "crowd", id, ...options });
}

/** Waits until the room has greeted all of them. */
async function gather(...lines) {
  await until("everyone is here", () => lines.every((line) => line.opens === 1));
}

point("4: same id twice, and both live", async (client) => {
  const [first, second, other] = [join(client, "twin"), join(client, "twin"), join(client, "other")];
  await gather(first, second, other);
  assert.deepEqual(await other.ask({ find: "twin" }), { found: ["twin", "twin"] });

  first.socket.close();
  const left = { left: "twin", code: 1000, reason: "", stay: 2 };
  assert.deepEqual([await second.next(), await other.next()], [left, left]);
  assert.deepEqual(await other.ask({ find: "twin" }), { found: ["twin"] });
  other.say({ say: { text: "still there?", without: [] } });
  assert.deepEqual(await second.next(), { said: "still there?" });

  // Now the other way round: the older of the two stays.
  const third = join(client, "twin");
  await gather(third);
  third.socket.close(4321, "had enough");
  assert.deepEqual(await second.next(), { ...left, code: 4321, reason: "had enough" });
  assert.deepEqual(await second.ask({ find: "twin" }), { found: ["twin"] });
});

point("5: connection is found by its tags", async (client) => {
  const nine = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "x".repeat(256)];
  const ada = join(client, "ada", { query: { tags: [...nine, "ada"].join(".") } });
  await gather(ada);
  const bob = join(client, "bob", { query: { tags: "t1.t1.bob" } });
  await gather(bob);

  assert.deepEqual((await ada.ask("recall")).tags, nine, "its id is a tag without being named");
  for (const tag of [...nine.slice(1), "ada"]) assert.deepEqual(await bob.ask({ find: tag }), { found: ["ada"] });
  assert.deepEqual(await ada.ask({ find: "t1" }), { found: ["ada", "bob"] });
  assert.deepEqual(await ada.ask({ find: "bob" }), { found: ["bob"] });
  assert.deepEqual(await ada.ask({ find: "t10" }), { found: [] });
});

point("5: bad tags close with 1011", async (client) => {
  const ada = join(client, "ada");
  for (const tags of ["0.1.2.3.4.5.6.7.8.9", "a..b", "x".repeat(257)]) {
    const line = join(client, "bob", { query: { tags }, maxRetries: 0 });
    const { code, reason } = await line.closed();
    assert.deepEqual([line.opens, code], [1, INTERNAL]);
    assert.match(reason, /tags/);
  }
  assert.deepEqual(await ada.ask({ find: "bob" }), { found: [] });
  assert.equal(ada.heard.length, 1, "the room never knew of them");
});

point(
  "6: state and tags outlive the room's sleep",
  async (client) => {
    const ada = join(client, "ada", { path: "sub", query: { tags: "red" } });
    const bob = join(client, "bob");
    assert.deepEqual(await bob.ask({ keep: "bob's" }), { error: null, state: "bob's" });
    assert.deepEqual(await ada.ask({ keep: { seat: 7 } }), { error: null, state: { seat: 7 } });

    const { starts: before } = await ada.ask("recall");
    const recalled = await until("the room has slept", async () => {
      const now = await ada.ask("recall");
      return now.starts > before && now;
    });
    const { starts: _, ...kept } = recalled;
    assert.deepEqual(kept, {
      uri: "/parties/crowd/lobby/sub?_pk=ada&tags=red",
      tags: ["red"],
      state: { seat: 7 },
    });
    assert.equal((await bob.ask("recall")).state, "bob's");
    assert.deepEqual(await bob.ask({ find: "red" }), { found: ["ada"] });

    bob.say({ say: { text: "awake", without: [] } });
    assert.deepEqual([await ada.next(), await bob.next()], [{ said: "awake" }, { said: "awake" }]);
  },
  // The room sleeps whenever it has nothing to do.
  { serverArgs: ["--room-idle-ms", "1"] },
);

point("6: state is at most 2 KB", async (client) => {
  const ada = join(client, "ada");
  const largest = "x".repeat(MAX_STATE_BYTES - '""'.length);
  assert.deepEqual(await ada.ask({ keep: largest }), { error: null, state: largest });

  const { error, state } = await ada.ask({ keep: `${largest}x` });
  assert.match(error, /2049 bytes; at most 2048/);
  assert.equal(state, largest, "what was too large changed nothing");
  assert.deepEqual(await ada.ask({ keep: null }), { error: null, state: null });
});

point("7: broadcast leaves out whom it names", async (client) => {
  const [ada, bob, cy] = [join(client, "ada"), join(client, "bob"), join(client, "cy")];
  await gather(ada, bob, cy);
  ada.say({ say: { text: "not for bob", without: ["bob"] } });
  ada.say({ say: { text: "only for bob", without: ["ada", "cy", "nobody"] } });
  ada.say({ say: { text: "for all", without: [] } });

  const [nots, only, all] = ["not for bob", "only for bob", "for all"].map((said) => ({ said }));
  assert.deepEqual([await ada.next(), await ada.next()], [nots, all]);
  assert.deepEqual([await bob.next(), await bob.next()], [only, all]);
  assert.deepEqual([await cy.next(), await cy.next()], [nots, all]);
});

point(
  "8: dead client stops no broadcast",
  async (client) => {
    const BYTES = 200 * 1024;
    let sleeper;
    class Sleeper extends WebSocket {
      constructor(...args) {
        super(...args);
        sleeper = this;
      }
    }
    const dead = join(client, "dead", { WebSocket: Sleeper });
    const [ada, bob] = [join(client, "ada"), join(client, "bob")];
    await gather(dead, ada, bob);
    sleeper.pause();

    // Two kernels buffer megabytes for a socket that nobody reads, so it takes some rounds until the server notices.
    const goodbye = ({ heard }) => heard.find(({ left }) => left === "dead");
    let rounds = 0;
    while (!goodbye(ada)) {
      rounds += 1;
      ada.say({ pour: BYTES });
      const poured = ({ heard }) => heard.filter((message) => message instanceof Blob).length;
      await until(`everyone alive hears round ${rounds}`, () => [ada, bob].every((line) => poured(line) === rounds));
    }
    const { code, ...rest } = goodbye(ada);
    assert.deepEqual(rest, { left: "dead", reason: "the client reads its messages too slowly", stay: 2 });
    // Whether the server's close frame still fits into the buffers of the kernels is not up to us.
    assert.ok([1013, 1006].includes(code), `it is closed as too slow, or gone: ${code}`);
    await until("the other one is told, too", () => goodbye(bob));
    assert.deepEqual([ada.closes, bob.closes], [[], []]);
    sleeper.terminate();
  },
  // It is long enough that a client that reads is never dropped, however busy the machine is.
  { serverArgs: ["--write-timeout-ms", "3000"] },
);

point("9: text and bytes come back as they went", async (client) => {
  const line = client.connect();
  await line.next();
  line.socket.binaryType = "arraybuffer";
  for (const text of ["", "hello", "ü€🎈\0", "PING", "x".repeat(16 * 1024)]) {
    line.socket.send(text);
    assert.equal(await line.next(), text);
  }
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  for (const sent of [bytes, new Uint8Array(0), new Uint8Array(16 * 1024)]) {
    line.socket.send(sent);
    assert.deepEqual(new Uint8Array(await line.next()), sent);
  }

  const blobs = client.connect();
  await blobs.next();
  blobs.socket.send(bytes);
  const blob = await blobs.next();
  assert.ok(blob instanceof Blob, "what the client makes of bytes unless told otherwise");
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes);
});

point("9: ping is answered on the way", async (client) => {
  const line = client.connect();
  await line.next();
  line.socket.send("ping");
  assert.equal(await line.next(), "pong");
});

point("10: failing on_connect opens, then closes with 1011", async (client) => {
  const ada = client.connect({ party: "failing" });
  assert.equal(await ada.next(), "before the failure");

  for (const [options, said] of [
    [{ query: { in: "connect" } }, /^on_connect failed: é+$/],
    [{ query: { in: "json" } }, /^bad JSON: /],
    [{ query: { in: "tags" } }, /^a connection has at most 9 tags/],
    [{ room: "never" }, /^on_start failed: é+$/],
  ]) {
    const line = client.connect({ party: "failing", maxRetries: 0, ...options });
    const { code, reason } = await line.closed();
    assert.deepEqual([line.opens, line.events[0], code], [1, "open", INTERNAL], reason);
    assert.match(reason, said);
    assert.ok(Buffer.byteLength(reason) <= MAX_REASON_BYTES);
    const isGreeted = options.query?.in === "connect" || options.query?.in === "json";
    assert.deepEqual(line.heard, isGreeted ? ["before the failure"] : []);
  }
  ada.socket.send("still here");
  assert.equal(await ada.next(), "still here");
});

point("10: failing on_message keeps the connection", async (client) => {
  const line = client.connect({ party: "failing" });
  await line.next();
  line.socket.send("fail");
  line.socket.send("after");
  assert.equal(await line.next(), "after");
  assert.deepEqual(line.closes, []);
});

point("10: failing on_request is a 500 with its reason", async (client) => {
  const answer = await client.fetch({ party: "failing" });
  assert.equal(answer.status, 500);
  assert.match(await answer.text(), /^on_request failed: é+$/);
});

point("11: gatekeeper refuses or hands over headers", async (client) => {
  const guarded = (query) => ({ party: "guarded", query, maxRetries: 0 });
  for (const [query, status, text] of [
    [{}, 401, "lobby needs a token"],
    [{ token: "mallory" }, 403, "you are banned"],
  ]) {
    const line = client.connect(guarded(query));
    assert.match(await line.failed(), new RegExp(`${status}`));
    assert.equal(line.opens, 0);
    const answer = await client.fetch(guarded(query), { headers: { "x-user": "forged" } });
    assert.deepEqual([answer.status, await answer.text()], [status, text]);
  }

  assert.deepEqual(await client.connect(guarded({ token: "ada" })).next(), { user: "ada" });
  const answer = await client.fetch(guarded({ token: "ada" }), { headers: { "x-user": "forged" } });
  assert.deepEqual([answer.status, await answer.json()], [200, { user: "ada" }]);
});

point("11: refused client comes back with a fresh token", async (client) => {
  const tokens = ["mallory", "mallory", "ada"];
  const query = async () => ({ token: tokens.shift() });
  const line = client.connect({ party: "guarded", query, minReconnectionDelay: 50 });
  assert.deepEqual(await line.next(), { user: "ada" });
  assert.equal(line.errors.length, 2);
});

point(
  "20: silent connection is dropped at the deadline",
  async (client, stage) => {
    const silent = client.connect({ party: "crowd", id: "silent" });
    const ada = client.connect({ party: "crowd", id: "ada" });
    await gather(silent, ada);

    assert.equal(stage.proxy.freeze("/parties/crowd/lobby?_pk=silent"), 1);
    const frozen = performance.now();
    const { left, code, stay } = await ada.next();
    assert.deepEqual({ left, code, stay }, { left: "silent", code: 1006, stay: 1 });
    const elapsed = performance.now() - frozen;
    assert.ok(elapsed > 1_000, `dropped after ${elapsed} ms: it was told, for the deadline is 1,500 ms`);
    assert.deepEqual(await ada.ask({ find: "silent" }), { found: [] });
    assert.deepEqual(ada.closes, [], "who answers pings stays");
  },
  { proxied: true, serverArgs: ["--ping-interval-ms", "250", "--idle-timeout-ms", "1500"] },
);

point("21: message sent before open comes first", async (client) => {
  const line = client.connect({ party: "failing" });
  line.socket.send("first");
  line.socket.send(new Blob(["second"]));
  line.socket.addEventListener("open", () => line.socket.send("third"));
  assert.equal(await line.next(), "before the failure");
  assert.equal(await line.next(), "first");
  assert.equal(await (await line.next()).text(), "second");
  assert.equal(await line.next(), "third");
});
