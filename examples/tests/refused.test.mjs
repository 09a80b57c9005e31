// A server that does not serve the host page's site.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Refusals are what strangers cause, so the log has them for those who look only. */
const REFUSING = ["--site", "example.org", "--log", "debug"];

story("refused site gets one warning and stays away", { serverArgs: REFUSING }, async (stage) => {
  const refusals = () => stage.server.log.match(/may not use this server/g)?.length ?? 0;
  const tab = await stage.newTab();
  tab.allow(/^console: connection-counter: refused by /);
  await tab.open(new URL("/plain/", stage.host.url).href);
  await until("the server refuses the page", () => refusals() === 1);
  await until("the widget says so", () => tab.expected.length === 1);

  // Longer than the first three attempts of one that comes back take together.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(refusals(), 1, "the widget stays away");
  assert.equal(tab.expected.length, 1, "one warning is enough");
});

story("sandboxed frame is told once why it is refused", { serverArgs: REFUSING }, async (stage) => {
  const refusals = () => stage.server.log.match(/sandboxed/g)?.length ?? 0;
  const site = await servePages(stage, (path) =>
    path === "/frame"
      ? html(`<script async src="${stage.server.url}/live.js"></script>`, "")
      : html("", '<iframe sandbox="allow-scripts" src="/frame"></iframe>'),
  );
  const tab = await stage.newTab();
  tab.allow(/^console: connection-counter: refused by .*sandboxed.*allow-same-origin/);
  await tab.open(`${site}/`);
  await until("the widget says so", () => tab.expected.length === 1);

  // Longer than the first three attempts of one that comes back take together.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(tab.expected.length, 1, "one warning is enough");
  assert.equal(refusals(), 1, "the widget stays away");
});
