// What a room can do: call other rooms, keep values, set its alarm. The numbers are those of the list in
// COMING_FROM_PARTYKIT.md.

import assert from "node:assert/strict";

import { point } from "./support/partysockets.mjs";
import { until } from "./support/until.mjs";

/** Lets room `from` of party `caller` call another room. Returns the result. */
function call(client, from, order) {
  return client.post({ party: "caller", room: from }, order);
}

point("15: room fetches from another room", async (client) => {
  const target = { party: "main", room: "a b/ü" };
  const uri = "/parties/main/a%20b%2F%C3%BC";
  for (const [order, expected] of [
    [{}, { method: "GET", uri, body: "" }],
    [{ path: "/sub?x=1" }, { method: "GET", uri: `${uri}/sub?x=1`, body: "" }],
    [{ path: "/?x=1" }, { method: "GET", uri: `${uri}/?x=1`, body: "" }],
    [
      { path: "/sub", body: { n: 1 } },
      { method: "POST", uri: `${uri}/sub`, body: '{"n":1}' },
    ],
  ]) {
    const answer = await call(client, "a", { ...target, ...order });
    assert.deepEqual(answer, { status: 200, body: { ...target, ...expected } });
  }
  // This is the room that outside clients reach at the same address.
  assert.equal((await (await client.fetch({ room: "a%20b%2F%C3%BC" })).json()).room, target.room);
});

point("15: calls between rooms skip the gatekeepers", async (client) => {
  assert.equal((await client.fetch({ party: "guarded" })).status, 401);
  assert.deepEqual(await call(client, "a", { party: "guarded", room: "lobby" }), { status: 200, body: { user: null } });
});

point("15: wrong calls fail at once", async (client) => {
  for (const [order, error] of [
    [{ party: "nowhere", room: "x" }, /^party "nowhere" not found/],
    [{ party: "main", room: "" }, /^bad room/],
    [{ party: "main", room: "x", path: "sub" }, /^"sub" is not a path; start it with \//],
    [{ party: "main", room: "x", path: "*" }, /^"\*" is not a path; start it with \//],
    [{ party: "failing", room: "x" }, /^on_request failed/],
  ]) {
    const started = performance.now();
    assert.match((await call(client, "a", order)).error ?? "no error", error);
    assert.ok(performance.now() - started < 1_000, "no deadline was needed");
  }
});

point("15: room talks to another over a socket", async (client) => {
  const ada = client.connect({ party: "crowd", id: "ada" });
  await until("ada is there", () => ada.opens === 1);
  const order = { party: "crowd", room: "lobby", path: "/sub?_pk=robot&tags=metal" };
  const { heard } = await call(client, "a", { ...order, say: '"recall"', hear: 1 });
  assert.deepEqual(JSON.parse(heard[0]), {
    starts: 1,
    uri: "/parties/crowd/lobby/sub?_pk=robot&tags=metal",
    tags: ["metal"],
    state: null,
  });
  assert.deepEqual(await ada.next(), { left: "robot", code: 4001, reason: "heard enough", stay: 1 });

  const greeted = await call(client, "a", { party: "main", room: "x", say: "hello", hear: 2 });
  assert.equal(JSON.parse(greeted.heard[0]).party, "main");
  assert.equal(greeted.heard[1], "hello");
});

point("15: room that waits is not called back", async (client) => {
  const order = (room, body) => ({ party: "caller", room, body });
  const refused = /^a call must not come back to a waiting room: /;

  const self = await call(client, "a", order("a", {}));
  assert.match(self.error, refused);
  assert.match(self.error, /caller\/a → caller\/a$/);

  const around = await call(client, "a", order("b", order("c", order("a", {}))));
  const { error } = around.body.body;
  assert.match(error, refused);
  assert.match(error, /caller\/c → caller\/a → caller\/b → caller\/c$/);

  const socket = await call(client, "a", { party: "caller", room: "a", say: "hello" });
  assert.match(socket.error, refused);

  // Two calls in opposite directions, one after the other, are no circle.
  assert.equal((await call(client, "b", order("a", { party: "main", room: "x" }))).body.status, 200);
});

point("15: crossing calls never lock", async (client) => {
  const CALLS = 100;
  const crossing = Array.from({ length: CALLS }, (_, call_) => {
    const [from, to] = call_ % 2 ? ["a", "b"] : ["b", "a"];
    return call(client, from, { party: "caller", room: to, body: { party: "main", room: "x" } });
  });
  const started = performance.now();
  for (const answer of await Promise.all(crossing)) {
    if (answer.error) assert.match(answer.error, /^a call must not come back/);
    else assert.equal(answer.body.body.party, "main");
  }
  assert.ok(performance.now() - started < 2_500, "none waited for its deadline of 3 s");
  assert.equal((await call(client, "a", { party: "main", room: "x" })).status, 200);
});

/** Lets a room of party `store` use its storage, step by step. */
function store(client, ...steps) {
  return client.post({ party: "store" }, steps);
}

point("16: storage lists keys by their bytes", async (client) => {
  const keys = ["B", "a", "a/1", "a/10", "a/2", "a0", "b", "é", "z\u{1F388}", "\uFFFD", "\u{1F388}"];
  keys.sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  await store(client, ...keys.toReversed().map((key) => ({ put: [key, key.length] })));
  const list = async (range) => {
    const [rows] = await store(client, { list: range });
    return rows.map(([key]) => key);
  };
  const from = (key) => keys.slice(keys.indexOf(key));

  assert.deepEqual(await list({}), keys);
  assert.deepEqual(await list({ reverse: true }), keys.toReversed());
  assert.deepEqual(await list({ prefix: "a/" }), ["a/1", "a/10", "a/2"]);
  assert.deepEqual(await list({ prefix: "a/", reverse: true, limit: 2 }), ["a/2", "a/10"]);
  assert.deepEqual(await list({ prefix: "nothing" }), []);
  assert.deepEqual(await list({ start: "a/10" }), from("a/10"));
  assert.deepEqual(await list({ startAfter: "a/10" }), from("a/2"));
  assert.deepEqual(await list({ start: "a/11", end: "b" }), ["a/2", "a0"]);
  assert.deepEqual(await list({ end: "a", reverse: true }), ["B"]);
  assert.deepEqual(await list({ limit: 3 }), keys.slice(0, 3));
  assert.deepEqual(await list({ start: "b", end: "a" }), []);
  assert.deepEqual((await store(client, { list: { prefix: "é" } }))[0], [["é", 1]]);
});

point("16: storage reads what was written", async (client) => {
  const steps = [
    [{ get: "a" }, null],
    [{ put: ["a", { deep: [1, null, "x"] }] }, null],
    [{ get: "a" }, { deep: [1, null, "x"] }],
    [{ putMany: { b: 2, c: 3 } }, null],
    [{ getMany: ["a", "c", "nothing"] }, { a: { deep: [1, null, "x"] }, c: 3 }],
    [{ delete: "a" }, null],
    [{ delete: "a" }, null],
    [{ get: "a" }, null],
    [{ put: ["c", 4] }, null],
    [{ deleteMany: ["b", "nothing"] }, null],
    [{ list: {} }, [["c", 4]]],
    ["deleteAll", null],
    [{ put: ["d", 5] }, null],
    [{ list: {} }, [["d", 5]]],
  ];
  const outcomes = await store(client, ...steps.map(([step]) => step));
  assert.deepEqual(
    outcomes,
    steps.map(([, outcome]) => outcome),
  );
  // Rooms and parties share nothing.
  assert.deepEqual(await client.post({ party: "store", room: "other" }, [{ list: {} }]), [[]]);
});

point("16: storage refuses what is over its limits", async (client) => {
  const [MAX_KEY_BYTES, MAX_VALUE_BYTES, MAX_BATCH] = [2048, 128 * 1024, 128];
  const many = (count) => Object.fromEntries(Array.from({ length: count }, (_, key) => [`k${key}`, key]));
  const refused = { error: /at most|has 1 to/ };
  for (const [step, expected] of [
    [{ put: ["k".repeat(MAX_KEY_BYTES), 1] }, null],
    [{ put: ["k".repeat(MAX_KEY_BYTES + 1), 1] }, refused],
    [{ put: ["é".repeat(MAX_KEY_BYTES / 2 + 1), 1] }, refused],
    [{ put: ["", 1] }, refused],
    [{ get: "k".repeat(MAX_KEY_BYTES + 1) }, refused],
    [{ putBytes: ["large", MAX_VALUE_BYTES] }, null],
    [{ putBytes: ["larger", MAX_VALUE_BYTES + 1] }, refused],
    [{ putMany: many(MAX_BATCH + 1) }, refused],
    [{ putMany: { fine: 1, ["k".repeat(MAX_KEY_BYTES + 1)]: 1 } }, refused],
    [{ getMany: Object.keys(many(MAX_BATCH + 1)) }, refused],
    [{ deleteMany: ["large", "k".repeat(MAX_KEY_BYTES + 1)] }, refused],
    [{ deleteMany: Object.keys(many(MAX_BATCH + 1)) }, refused],
  ]) {
    const [outcome] = await store(client, step);
    if (expected === null) assert.equal(outcome, null, JSON.stringify(step).slice(0, 80));
    else assert.match(outcome?.error ?? "", expected.error, JSON.stringify(step).slice(0, 80));
  }
  const [rows] = await store(client, { list: {} });
  assert.deepEqual(
    rows.map(([key]) => key),
    ["k".repeat(MAX_KEY_BYTES), "large"],
    "what was refused wrote nothing",
  );
  assert.deepEqual(await store(client, { putMany: many(MAX_BATCH) }, { getMany: Object.keys(many(MAX_BATCH)) }), [
    null,
    many(MAX_BATCH),
  ]);
});

point("16: storage outlives a restart", async (client, stage) => {
  await store(client, { putMany: { kept: [1, 2], gone: 1 } });
  await store(client, { delete: "gone" });
  assert.equal(await stage.server.stop(), 0);
  await stage.server.startAgain();
  assert.deepEqual(await store(client, { list: {} }), [[["kept", [1, 2]]]]);
});

/** Tells a room of party `clock` to set its alarm, or asks how often it ran. */
async function clock(client, room, order) {
  const options = { party: "clock", room };
  return order ? client.post(options, order) : (await client.fetch(options)).json();
}

/** Waits until a room's alarm has run this often, and returns what the room saw. */
function rings(client, room, times) {
  return until(`${room} rings ${times} times`, async () => {
    const { rings } = await clock(client, room);
    return rings.length >= times && rings;
  });
}

const HOUR_MS = 3_600_000;

point("17: alarm rings once and knows its room", async (client) => {
  await clock(client, "past", { ringIn: 0 });
  const set = Date.now();
  assert.equal((await clock(client, "soon", { ringIn: 300 })).alarmIsSet, true);
  for (const room of ["past", "soon"]) {
    const [ring] = await rings(client, room, 1);
    const { atMs, ...seen } = ring;
    assert.deepEqual(seen, { room, alarmIsSet: false, seesOtherParties: true });
    if (room === "soon") assert.ok(atMs >= set + 290, `rang ${atMs - set} ms after it was set to 300 ms`);
  }
  assert.equal((await clock(client, "soon")).alarmIsSet, false);
});

point("17: new alarm replaces the old one", async (client) => {
  await clock(client, "later", { ringIn: 300 });
  await clock(client, "later", { ringIn: HOUR_MS });
  await clock(client, "never", { ringIn: 300 });
  assert.equal((await clock(client, "never", {})).alarmIsSet, false);
  await clock(client, "sooner", { ringIn: HOUR_MS });
  await clock(client, "sooner", { ringIn: 600 });

  assert.equal((await rings(client, "sooner", 1)).length, 1);
  assert.deepEqual(await clock(client, "later"), { rings: [], alarmIsSet: true });
  assert.deepEqual(await clock(client, "never"), { rings: [], alarmIsSet: false });
});

point("17: alarm replaced while due stays silent", async (client) => {
  await clock(client, "busy", { ringIn: 100 });
  // The old alarm is due while the room is busy, and has to wait.
  await clock(client, "busy", { hesitate: 500, ringIn: HOUR_MS });
  assert.deepEqual(await clock(client, "busy"), { rings: [], alarmIsSet: true });
  await clock(client, "undone", { ringIn: 100 });
  await clock(client, "undone", { hesitate: 500 });
  assert.deepEqual(await clock(client, "undone"), { rings: [], alarmIsSet: false });
});

point(
  "17: alarm wakes a room, also after a restart",
  async (client, stage) => {
    await clock(client, "missed", { ringIn: 400 });
    await clock(client, "far", { ringIn: HOUR_MS });
    const { rings: none } = await clock(client, "missed");
    assert.deepEqual(none, []);
    assert.equal(await stage.server.stop(), 0);
    await stage.server.startAgain();
    assert.equal((await rings(client, "missed", 1)).length, 1);
    assert.deepEqual(await clock(client, "far"), { rings: [], alarmIsSet: true });
  },
  { serverArgs: ["--room-idle-ms", "1"] },
);

point(
  "17: failing alarm is retried, ever later",
  async (client) => {
    await clock(client, "stubborn", { ringIn: 0, failures: 2 });
    const [first, second, third] = (await rings(client, "stubborn", 3)).map(({ atMs }) => atMs);
    assert.ok(second - first >= 1_900 && second - first < 3_500, `first retry after ${second - first} ms, not 2 s`);
    assert.ok(third - second >= 3_900, `second retry after ${third - second} ms, not 4 s`);
    assert.equal((await clock(client, "stubborn")).alarmIsSet, false, "then it has done its work");
  },
  // If the room fails and sleeps in between, the retries still go on.
  { serverArgs: ["--room-idle-ms", "1"] },
);
