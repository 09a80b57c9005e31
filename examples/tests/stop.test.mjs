// After `stop()` the page is exactly what it was before the widget's script was loaded.

import assert from "node:assert/strict";

import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const APPLES = 'a[href="apples.html"]';

/** Everything that the widget could have left in the page. */
async function traces(tab) {
  const inPage = await tab.page.evaluate(() => ({
    html: document.documentElement.outerHTML,
    styleSheets: document.adoptedStyleSheets.length,
    observers: window.observing.size,
    // Puppeteer leaves its own bindings.
    globals: [...Object.getOwnPropertyNames(window), ...Object.getOwnPropertySymbols(window).map(String)]
      .filter((name) => !name.includes("__aria"))
      .toSorted(),
  }));
  const session = await tab.page.createCDPSession();
  const listeners = [];
  for (const expression of [
    "window",
    "document",
    "document.documentElement",
    "document.body",
    "window.navigation",
    "navigator.connection",
  ]) {
    const { result } = await session.send("Runtime.evaluate", { expression });
    if (!result.objectId) continue;
    const { listeners: found } = await session.send("DOMDebugger.getEventListeners", { objectId: result.objectId });
    listeners.push(...found.map(({ type }) => `${expression}: ${type}`));
  }
  await session.detach();
  return { ...inPage, listeners };
}

/** Opens the page with the widget's script held back. Returns the tab, and a function that releases the script. */
async function openWithoutWidget(stage, path) {
  const tab = await stage.newTab();
  let release;
  const held = new Promise((resolve) => {
    tab.page.on("request", (request) => {
      if (new URL(request.url()).pathname === "/live.js") resolve((release = () => request.continue()));
      else request.continue();
    });
  });
  await tab.page.setRequestInterception(true);
  // Nothing else tells who observes.
  await tab.page.evaluateOnNewDocument(() => {
    const observing = (window.observing = new Set());
    for (const { prototype } of [MutationObserver, IntersectionObserver]) {
      const { observe, disconnect } = prototype;
      prototype.observe = function (...values) {
        observing.add(this);
        return observe.apply(this, values);
      };
      prototype.disconnect = function () {
        observing.delete(this);
        return disconnect.apply(this);
      };
    }
  });
  await tab.page.goto(new URL(path, stage.host.url).href, { waitUntil: "domcontentloaded" });
  await held;
  return { tab, release };
}

story("stop leaves the page as it was", {}, async (stage) => {
  await stage.openTab("/plain/apples.html");
  const { tab, release } = await openWithoutWidget(stage, "/plain/");
  const before = await traces(tab);

  await release();
  await tab.expectViewers(APPLES, 1);
  const during = await traces(tab);
  assert.notEqual(during.html, before.html);
  assert.equal(during.styleSheets, before.styleSheets + 1);
  assert.equal(during.observers, 2, "this test can see the widget's observers");
  assert.ok(during.listeners.length > before.listeners.length, "this test can see the widget's listeners");

  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  assert.deepEqual(await traces(tab), before);
  await until("the viewer has left", async () => {
    const viewers = await stage.server.viewers(stage.site);
    return !(`${stage.site}/plain` in viewers);
  });

  // Nothing observes the page any more. A new link gets no number, and counts do not change.
  await tab.page.evaluate(() => document.body.insertAdjacentHTML("beforeend", '<a href="pears.html">late</a>'));
  await stage.openTab("/plain/pears.html");
  await until("the server counts the pears", async () => {
    const viewers = await stage.server.viewers(stage.site);
    return viewers[`${stage.site}/plain/pears.html`] === 1;
  });
  await tab.expectViewers("a", 0);
});
