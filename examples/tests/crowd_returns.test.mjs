// A server that restarts with a crowd of widgets: they come back spread out, and nobody is lost or counted twice.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Frames stand in for tabs: each runs a widget of its own, with timers and randomness of its own. */
const WIDGETS = 50;
/** With as many restarts, 200 first attempts are looked at. */
const RESTARTS = 4;
/** The first attempt comes at a random moment in this time. */
const FIRST_DELAY_MS = 500;
/** A connection that lived less long makes the next delay longer. */
const STABLE_AFTER_MS = 5_500;

story("crowd comes back spread out", {}, async (stage) => {
  const tag = `<script async src="${stage.server.url}/live.js"></script>`;
  const site = await servePages(stage, (path) =>
    path === "/crowd"
      ? html("", Array.from({ length: WIDGETS }, (_, idx) => `<iframe src="/tab/${idx % 10}"></iframe>`).join(""))
      : html(
          `<script>
            window.WebSocket = class extends window.WebSocket {
              constructor(...values) {
                super(...values);
                this.addEventListener("close", () => (window.lostAt ??= performance.now()));
                if (window.lostAt) top.delays.push(performance.now() - window.lostAt);
                window.lostAt = undefined;
              }
            };
          </script>${tag}`,
          '<a href="/tab/1">1</a>',
        ),
  );
  const { host } = new URL(site);
  const allAreCounted = async () =>
    Object.values(await stage.server.viewers(host)).reduce((sum, viewers) => sum + viewers, 0) === WIDGETS;

  const crowd = await stage.newTab();
  // The browser itself reports each failed connection, which no page can prevent.
  crowd.allow(/WebSocket connection to .* failed/);
  await crowd.page.evaluateOnNewDocument(() => (window.delays = []));
  await crowd.open(`${site}/crowd`);
  await until("all are counted", allAreCounted);

  const first = [];
  for (let restart = 0; restart < RESTARTS; restart += 1) {
    await new Promise((resolve) => setTimeout(resolve, STABLE_AFTER_MS));
    await crowd.page.evaluate(() => (window.delays = []));
    await stage.server.stop();
    await until("all have tried once", () => crowd.page.evaluate((count) => window.delays.length >= count, WIDGETS));
    first.push(...(await crowd.page.evaluate((count) => window.delays.slice(0, count), WIDGETS)));
    await stage.server.startAgain();
    await until("all are back", allAreCounted);
  }

  // Evenly spread, a fifth of the time sees a fifth of them: 40 of 200, and more than 70 only once in a million times.
  const fifths = [0, 0, 0, 0, 0];
  for (const delay of first) fifths[Math.min(Math.floor((delay / FIRST_DELAY_MS) * 5), 4)] += 1;
  console.log(`# ${first.length} first attempts after a restart, by fifths of ${FIRST_DELAY_MS} ms: ${fifths.join(", ")}`);
  assert.ok(Math.max(...fifths) <= 70, `one fifth of the time sees too many: ${fifths}`);
});
