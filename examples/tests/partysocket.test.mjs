// The unmodified npm client `partysocket` works with the server as with the platform of the original example.

import assert from "node:assert/strict";

import PartySocket from "partysocket";
import WebSocket from "ws";

import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** A viewer of `room` that subscribes to `links` at every open, and keeps the latest counts. */
function join(stage, room, links) {
  const socket = new PartySocket({ host: new URL(stage.server.url).host, party: "page", room, WebSocket });
  stage.onClose(() => socket.close());
  const counts = {};
  let opened = 0;
  socket.addEventListener("open", () => {
    opened += 1;
    socket.send(JSON.stringify({ type: "subscribe", links }));
  });
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "update") Object.assign(counts, message.connections);
  });
  return { socket, counts, opened: () => opened };
}

function expectCounts(viewer, expected) {
  return until(`counts ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(viewer.counts, expected);
    return true;
  });
}

story("partysocket subscribes and gets updates", {}, async (stage) => {
  const a = join(stage, "a", ["b", "c"]);
  await expectCounts(a, { b: 0, c: 0 });

  const b = join(stage, "b", ["a"]);
  await expectCounts(b, { a: 1 });
  await expectCounts(a, { b: 1, c: 0 });

  b.socket.close();
  await expectCounts(a, { b: 0, c: 0 });
});

story("partysocket comes back after a restart", {}, async (stage) => {
  const a = join(stage, "a", ["b"]);
  const b = join(stage, "b", ["a"]);
  await expectCounts(a, { b: 1 });
  await expectCounts(b, { a: 1 });

  assert.equal(await stage.server.stop(), 0);
  await stage.server.startAgain();
  await until("both are back", () => a.opened() === 2 && b.opened() === 2);
  await expectCounts(a, { b: 1 });
  await expectCounts(b, { a: 1 });
});

story("partysocket fetches a room's answer", {}, async (stage) => {
  const a = join(stage, "a", ["b"]);
  await expectCounts(a, { b: 0 });

  const { host } = new URL(stage.server.url);
  await until("the counter tells of the viewer", async () => {
    const answer = await PartySocket.fetch({ host, party: "counter", room: "all-pages" });
    assert.equal(answer.status, 200);
    return (await answer.json()).pages.a === 1;
  });
});
