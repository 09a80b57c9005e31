// Numbers for the page's own code: `subscribe` and `count`, with and without links that show them.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Opens a page without links, with the widget running. */
async function openBarePage(stage) {
  const site = await servePages(stage, () => html(`<script async src="${stage.server.url}/live.js"></script>`, ""));
  const tab = await stage.newTab();
  const asked = await tab.watchSubscriptions();
  await tab.open(`${site}/bare`);
  await tab.page.waitForFunction(() => window[Symbol.for("connection-counter")]?.widget);
  await until("the page is counted", async () => (await stage.server.viewers(new URL(site).host))[`${new URL(site).host}/bare`]);
  return { site, tab, asked };
}

/** From now on `window.heard` holds everything that a subscription to the page at `url` gets. */
const listen = (tab, url) =>
  tab.page.evaluate((url) => {
    window.heard = [];
    window.leave = window[Symbol.for("connection-counter")].handle.subscribe(url, (viewers) => heard.push(viewers ?? null));
  }, url);

const heard = (tab, expected) =>
  until(`heard ${JSON.stringify(expected)}`, async () => {
    assert.deepEqual(await tab.page.evaluate(() => window.heard), expected);
    return true;
  });

story("subscription needs no link", {}, async (stage) => {
  const { site, tab, asked } = await openBarePage(stage);
  await listen(tab, "/far");
  await heard(tab, [0]);
  const reader = await stage.openTab(`${site}/far`);
  await heard(tab, [0, 1]);
  assert.equal(await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.count("/far")), 1);
  await reader.close();
  await heard(tab, [0, 1, 0]);

  await tab.page.evaluate(() => window.leave());
  await until("the page is asked for no more", () => asked.size === 0);
  assert.equal(await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.count("/far")), undefined);
});

story("subscription keeps its number when the page changes", {}, async (stage) => {
  const { tab } = await openBarePage(stage);
  await listen(tab, "/far");
  await heard(tab, [0]);
  await tab.page.evaluate(() => history.pushState(null, "", "/elsewhere"));
  await until("the new page is counted", async () => {
    const site = new URL(tab.page.url()).host;
    return (await stage.server.viewers(site))[`${site}/elsewhere`] === 1;
  });
  // The new room sends the same number again, so the subscription gets nothing.
  await stage.openTab(new URL("/far", tab.page.url()).href);
  await heard(tab, [0, 1]);
});
