// The tests that all frameworks with server-rendered pages share.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { build } from "esbuild";

import { options } from "../../bundle.mjs";
import { bundle } from "./bundle.mjs";
import { html, servePages } from "./pages.mjs";
import { until } from "./until.mjs";

/** The WebSockets that a tab has open, by their ids: a set that keeps up. */
export async function watchSockets(tab) {
  const open = new Set();
  const session = await tab.page.createCDPSession();
  session.on("Network.webSocketCreated", ({ requestId }) => open.add(requestId));
  session.on("Network.webSocketClosed", ({ requestId }) => open.delete(requestId));
  await session.send("Network.enable");
  return open;
}

/** What a server renders: the default export of the script, called. */
async function renderOnServer(contents) {
  const { outputFiles } = await build({
    ...options,
    stdin: { contents, resolveDir: import.meta.dirname, loader: "jsx" },
    write: false,
    format: "cjs",
    platform: "node",
  });
  const module = { exports: {} };
  new Function("module", "exports", "require", outputFiles[0].text)(module, module.exports, createRequire(import.meta.url));
  return module.exports.default();
}

/**
 * A page that its server renders, with the script tag in it: the framework takes it over without a warning, and from then on
 * the page, which has a link and two other numbers for `/two`, shows them, before and after it is drawn again.
 * @param {object} stage
 * @param {Record<"page" | "render" | "takeOver", string>} scripts the page, and what is added to it on either side: a default
 *   export that answers with HTML, and a function `takeOver`
 * @param {boolean} isLate whether the framework takes over after counts have shown
 */
export async function expectServerRendered(stage, { page, render, takeOver }, isLate) {
  const rendered = await renderOnServer(page + render);
  assert.match(rendered, /<output>\?<\/output>/, "the server knows no number");
  const when = isLate ? 'document.querySelector("#outside").addEventListener("viewers", takeOver, { once: true })' : "takeOver()";
  const script = await bundle(`${page}${takeOver}\n${when};`);
  const body = `<a id="outside" href="/two">two</a><div id="root">${rendered}</div><script>${script}</script>`;
  const tag = `<script async src="${stage.server.url}/live.js"></script>`;
  const site = await servePages(stage, () => html(tag, body));

  const tab = await stage.newTab();
  const said = [];
  tab.page.on("console", (message) => ["warn", "error"].includes(message.type()) && said.push(message.text()));
  await tab.open(`${site}/one`);
  await stage.openTab(`${site}/two`);
  const expectTwo = (selector) =>
    until("all three numbers for /two", async () => {
      assert.deepEqual(await tab.shown(`#root ${selector}`), ["1"]);
      const texts = await tab.page.$$eval("output, span", (elements) => elements.map(({ textContent }) => textContent));
      assert.deepEqual(texts, ["1", "1"]);
      return true;
    });
  await expectTwo('a[href="/two"]');
  await tab.page.click("button");
  await expectTwo('a.clicks-1[href="/two"]');
  assert.deepEqual(said, [], "nothing is warned of on the console");
}

/** An example that draws a market: all who look at its page, and whether there is a queue where links lead. */
export async function expectMarket(stage, path) {
  const tab = await stage.openTab(path);
  const expectText = (selector, text) =>
    until(`${selector} shows ${text}`, async () => {
      const texts = await tab.page.$$eval(selector, (elements) => elements.map(({ textContent }) => textContent.trim()));
      return texts.includes(text);
    });
  await expectText("main span", "You are alone here.");
  await stage.openTab(path);
  await expectText("main span", "2 people are here.");

  await expectText("main li", "bread");
  for (let customer = 0; customer < 3; customer += 1) await stage.openTab(`${path}bread`);
  await expectText("main li", "bread There is a queue.");
}
