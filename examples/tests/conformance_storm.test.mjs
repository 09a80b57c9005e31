// All clients come back at once, as after a restart. The client gives up a handshake after 4 s and tries again later. So a
// server that is slower than that never gets done. This is point 18 of the list in COMING_FROM_PARTYKIT.md.

import assert from "node:assert/strict";

import { point } from "./support/partysockets.mjs";
import { storm } from "./support/storm.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** How long the client waits for an answer. */
const PATIENCE_MS = 4_000;
/** Sockets at once. Each takes a file descriptor. `npm run storm` uses 10,000. */
const HANDSHAKES = Number(process.env.HANDSHAKES ?? 2_000);
/** Real clients at once. All are in this process, so more of them would measure Node. */
const CLIENTS = 500;
/** The pages to which all clients come back. */
const PAGES = 100;

const where = {
  "one page": () => "/parties/page/a",
  [`${PAGES} pages`]: (nth) => `/parties/page/${nth % PAGES}`,
  "pages of their own": (nth) => `/parties/page/${nth}`,
};
for (const [rooms, path] of Object.entries(where)) {
  story(`18: ${HANDSHAKES} handshakes to ${rooms}`, {}, async (stage) => {
    const paths = Array.from({ length: HANDSHAKES }, (_, nth) => path(nth));
    const arrivals = await storm(stage.server.url, paths);
    const at = (share) => Math.round(arrivals[Math.ceil(arrivals.length * share) - 1]);
    console.log(`# ${rooms}: half of them after ${at(0.5)} ms, 99 % after ${at(0.99)} ms, all after ${at(1)} ms`);
    assert.equal(arrivals.length, HANDSHAKES);
    assert.ok(at(1) < PATIENCE_MS, `the last 101 came after ${at(1)} ms`);
  });
}

point(`18: ${CLIENTS} clients open at the first try`, async (client) => {
  const lines = Array.from({ length: CLIENTS }, (_, nth) => client.connect({ id: `${nth}`, maxRetries: 0 }));
  await until("everyone is in", () => lines.every((line) => line.opens === 1));
  assert.deepEqual(
    lines.flatMap(({ errors, closes }) => [...errors, ...closes]),
    [],
  );
  // The room greeted each of them with its own id, and never two at once.
  await until("everyone is greeted", () => lines.every((line) => line.heard.length === 1));
  assert.ok(lines.every(({ heard: [greeting] }, nth) => greeting.id === `${nth}`));
  const counts = lines.map(({ heard: [greeting] }) => greeting.connections).toSorted((one, other) => one - other);
  assert.deepEqual(
    counts,
    lines.map((_, nth) => nth + 1),
  );
});
