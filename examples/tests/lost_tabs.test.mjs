// Tabs that disappear without a close event: a pulled cable, a crashed machine. The server must notice them without one.

import assert from "node:assert/strict";

import { story } from "./support/story.mjs";

const PING_INTERVAL_MS = 250;
const IDLE_TIMEOUT_MS = 1_500;

story(
  "silent tab is gone after the deadline",
  {
    proxied: true,
    serverArgs: ["--ping-interval-ms", `${PING_INTERVAL_MS}`, "--idle-timeout-ms", `${IDLE_TIMEOUT_MS}`],
  },
  async (stage) => {
    const orchard = await stage.openTab("/plain/");
    await stage.openTab("/plain/apples.html");
    await orchard.expectViewers('a[href="apples.html"]', 1);

    const room = encodeURIComponent(`${stage.site}/plain/apples.html`);
    const frozen = performance.now();
    assert.equal(stage.proxy.freeze(`/live?page=${room}`), 1, "the reader's connection is the one that froze");
    await orchard.expectViewers('a[href="apples.html"]', 0);

    // If anything had told the server, it would have known at once. The last answered ping is at most one interval old.
    const elapsed = performance.now() - frozen;
    assert.ok(
      elapsed > IDLE_TIMEOUT_MS - 2 * PING_INTERVAL_MS,
      `the tab was dropped after ${elapsed} ms, before the deadline`,
    );
    // The tab that answers its pings is still counted.
    assert.deepEqual(await stage.server.viewers(stage.site), { [`${stage.site}/plain`]: 1 });
  },
);
