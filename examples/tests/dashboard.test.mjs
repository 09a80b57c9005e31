// The operator's page in a real browser: live with scripts, complete without them, and no way in for names that are code.

import assert from "node:assert/strict";

import WebSocket from "ws";

import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const ADMIN = { serverArgs: ["--admin", "127.0.0.1:0"] };

/** The dashboard's address, as the log names it. */
const addressOf = (stage) => until("the log names the dashboard", () => stage.server.log.match(/dashboard is at (http:\S+?),/)?.[1]);

/** Waits until the number of this name is shown everywhere on the page. */
const expectCount = (tab, name, count) =>
  tab.page.waitForFunction(
    (name, count) => {
      const cells = [...document.querySelectorAll("[data-count]")].filter((cell) => cell.dataset.count === name);
      return cells.length > 0 && cells.every((cell) => cell.textContent === count);
    },
    { polling: 50 },
    name,
    String(count),
  );

story("the dashboard is live", ADMIN, async (stage) => {
  const page = `${stage.server.url}/pages/a`;
  const id = `${new URL(page).host}/pages/a`;
  const dashboard = await stage.openTab(await addressOf(stage));
  await stage.openTab(page);
  await expectCount(dashboard, "site:*", 1);
  await expectCount(dashboard, id, 1);
  await stage.openTab(page);
  await expectCount(dashboard, "site:*", 2);
  await expectCount(dashboard, id, 2);
  assert.equal(await dashboard.page.title(), "2 viewers now");
});

story("the dashboard is complete without scripts", ADMIN, async (stage) => {
  await stage.openTab(`${stage.server.url}/pages/a`);
  const url = await addressOf(stage);
  await until("the server's page has the number", async () => (await (await fetch(url)).text()).includes('site:*">1<'));
  const dashboard = await stage.newTab();
  await dashboard.page.setJavaScriptEnabled(false);
  await dashboard.page.setViewport({ width: 390, height: 800 });
  await dashboard.open(url);
  assert.equal(await dashboard.page.$eval("h1", (head) => head.textContent), "1 viewers now");
  const { names, isWide } = await dashboard.page.evaluate(() => ({
    names: [...document.querySelectorAll("svg")].map((svg) => svg.getAttribute("aria-label")),
    isWide: document.documentElement.scrollWidth > innerWidth,
  }));
  assert.ok(names.length >= 3 && names.every((name) => /between \d+ and \d+, last \d+/.test(name)), names.join("\n"));
  assert.equal(isWide, false, "it fits a phone");
  const summaries = await dashboard.page.$$eval("summary", (all) => all.map((summary) => summary.textContent));
  assert.equal(new Set(summaries).size, summaries.length, `a list of controls can tell them apart: ${summaries}`);
  await dashboard.page.focus("summary");
  await dashboard.page.keyboard.press("Enter");
  assert.equal(await dashboard.page.$$eval("details[open] tbody tr", (rows) => rows.length), 60);
  const bare = await dashboard.page.$$eval("section:has(td svg)", (lists) => lists.filter((list) => !list.querySelector("details td")).length);
  assert.equal(bare, 0, "each list with curves has their numbers as a table");
  await dashboard.page.$$eval("details", (all) => all.forEach((details) => (details.open = true)));
  assert.equal(await dashboard.page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "tables fit, too");
});

story("names of pages that are code stay names", ADMIN, async (stage) => {
  const names = ["<img src=x onerror=alert(1)>", "a\u202egpj", '"><script>alert(1)'];
  const sockets = names.map((name) => new WebSocket(`${stage.server.url.replace("http", "ws")}/parties/page/${encodeURIComponent(name)}`));
  const dashboard = await stage.openTab(await addressOf(stage));
  await expectCount(dashboard, "site:*", names.length);
  await dashboard.open(await addressOf(stage));
  const shown = await dashboard.page.$$eval("bdi", (cells) => cells.map((cell) => cell.textContent));
  for (const name of [names[0], "a[U+202E]gpj", names[2]]) assert.ok(shown.includes(name), `${name} is not in ${shown}`);
  assert.equal(await dashboard.page.$$eval("img, main script", (found) => found.length), 0);
  for (const socket of sockets) socket.close();
});
