// A server that restarts, with 200 tabs' worth of widgets: they come back spread out, and nobody is lost or counted twice.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Frames stand in for tabs: each runs a widget of its own, with timers and randomness of its own. */
const TABS = 200;
/** The first attempt comes at a random moment in this time. */
const FIRST_DELAY_MS = 500;

story("crowd comes back spread out", { serverArgs: ["--connection-burst", "1000"] }, async (stage) => {
  const tag = `<script async src="${stage.server.url}/live.js"></script>`;
  const site = await servePages(stage, (path) =>
    path === "/crowd"
      ? html("", Array.from({ length: TABS }, (_, idx) => `<iframe src="/tab/${idx % 10}"></iframe>`).join(""))
      : html(`${tag}<script>
          const { WebSocket } = window;
          window.WebSocket = class extends WebSocket {
            constructor(...values) { super(...values); top.attempts?.push(performance.timeOrigin + performance.now()); }
          };</script>`, '<a href="/tab/1">1</a>'),
  );
  const { host } = new URL(site);
  const total = async () => Object.values(await stage.server.viewers(host)).reduce((sum, viewers) => sum + viewers, 0);

  const crowd = await stage.newTab();
  crowd.allow(/WebSocket connection/);
  await crowd.open(`${site}/crowd`);
  await until("all are counted", async () => (await total()) === TABS);
  // Connections younger than this make the next delay longer.
  await new Promise((resolve) => setTimeout(resolve, 5_500));

  await crowd.page.evaluate(() => (window.attempts = []));
  await stage.server.restart();
  await until("all are back", async () => (await total()) === TABS);

  const attempts = await crowd.page.evaluate(() => window.attempts);
  const first = attempts.sort((one, other) => one - other).slice(0, TABS);
  const spread = first.at(-1) - first[0];
  assert.ok(spread >= FIRST_DELAY_MS / 2, `the first attempts are spread over ${spread} ms`);
  // Were they bunched, one tenth of the time would see far more than its tenth of them.
  const busiest = Math.max(...first.map((time) => first.filter((other) => other >= time && other < time + spread / 10).length));
  assert.ok(busiest <= TABS * 0.4, `${busiest} of ${TABS} attempts come within a tenth of that time`);
  assert.equal(await total(), TABS);
  console.log(`# first attempts of ${TABS} widgets spread over ${Math.round(spread)} ms, at most ${busiest} in a tenth of it`);
});
