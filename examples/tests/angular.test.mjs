// Angular watches in a zone for everything that its page waits for, and checks the whole page after each. None of our work may
// run in that zone. Otherwise the page is never stable, and every count costs it a check.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Starts the widget in Angular's zone, and counts how often Angular checks the page. */
const app = (start) => `import "zone.js";
  import { NgZone } from "@angular/core";
  import { start, subscribe } from "connection-counter";
  const zone = (window.zone = new NgZone({ enableLongStackTrace: false }));
  window.rounds = 0;
  window.heard = [];
  zone.onMicrotaskEmpty.subscribe(() => (window.rounds += 1));
  window.hear = () =>
    zone.run(() => (window.leave = subscribe("/x", (viewers) => window.heard.push([viewers, NgZone.isInAngularZone()]))));
  zone.run(() => { ${start} });`;

/** A page with that app, and a server that the test controls. */
async function openApp(stage, start) {
  const sockets = [];
  const fake = await startFakeServer(stage, {
    connected: (socket, asked) => {
      sockets.push(socket);
      socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, 7])))));
    },
  });
  // Angular's own bundler does the same, because zones do not notice a browser's own `await`.
  const code = await bundle(app(start(fake.url)), {}, { "async-await": false });
  const page = { "/library.js": () => code, "/": () => html("", '<a href="/x">x</a><script src="/library.js"></script>') };
  const site = await servePages(stage, (path) => page[path]?.());
  const tab = await stage.openTab(`${site}/`);
  await tab.expectViewers("a", 7);
  const tell = (viewers) => sockets.at(-1).send(update({ [`${new URL(site).host}/x`]: viewers }));
  return { tab, tell };
}

const startIn = (url) => `start({ server: ${JSON.stringify(url)}, mergeTabs: true });`;

story("widget leaves Angular in peace", {}, async (stage) => {
  const { tab, tell } = await openApp(stage, startIn);
  const state = () => tab.page.evaluate(() => ({ isStable: !zone.hasPendingMacrotasks && zone.isStable, rounds: window.rounds }));
  await until("Angular is stable", async () => (await state()).isStable);
  const before = await state();

  for (const viewers of [8, 9, 10]) {
    tell(viewers);
    await tab.expectViewers("a", viewers);
  }
  // The app changes its page, but gets no callback in its zone for that.
  await tab.page.evaluate(() => zone.run(() => document.body.insertAdjacentHTML("beforeend", '<a href="/x">new</a>')));
  await tab.expectViewers("a", 10);
  await tab.page.evaluate(() => dispatchEvent(new Event("scroll")));
  await new Promise((resolve) => setTimeout(resolve, 300));
  // One check is the app's own.
  assert.deepEqual(await state(), { isStable: true, rounds: before.rounds + 1 });
});

story("subscriber in Angular's zone is called in that zone", {}, async (stage) => {
  const { tab, tell } = await openApp(stage, startIn);
  await tab.page.evaluate(() => window.hear());
  tell(8);
  const heard = () => tab.page.evaluate(() => window.heard);
  await until("the app hears both", async () => (await heard()).length === 2);
  assert.deepEqual(await heard(), [
    [7, true],
    [8, true],
  ]);
  await until("Angular is stable", () => tab.page.evaluate(() => !zone.hasPendingMacrotasks));
});
