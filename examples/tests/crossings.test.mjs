// How often the widget's Rust code calls the browser. Each call takes time, and each text takes much more than a number.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const LINKS = 5_000;
/** So few that every link gets a count, however far it is from the viewport. */
const PAGES = 150;

/** The functions that the module imports, by their names in what is served, which are shorter. */
function importedNames() {
  const names = JSON.parse(readFileSync(new URL("../../target/wasm/glue/names.json", import.meta.url), "utf8"));
  return Object.fromEntries(Object.entries(names).map(([name, short]) => [short, name]));
}

/** Counts in the page how often each function is called, before the widget is loaded. */
function countCrossings() {
  const instantiate = WebAssembly.instantiate;
  globalThis.crossings = {};
  const counting = (functions) =>
    new Proxy(functions, {
      get: (_, name) => {
        const call = functions[name];
        return (...values) => {
          crossings[name] = (crossings[name] ?? 0) + 1;
          return call(...values);
        };
      },
    });
  WebAssembly.instantiate = (source, imports) =>
    instantiate(source, Object.fromEntries(Object.entries(imports).map(([kind, functions]) => [kind, counting(functions)])));
}

/** How often each function was called on a page with many links to this many pages, and how often in all. */
async function crossingsOf(stage, pages) {
  const asked = new Set();
  const fake = await startFakeServer(stage, {
    connected: (socket, ids) =>
      socket.on("message", () => {
        for (const id of ids) asked.add(id);
        socket.send(update(Object.fromEntries([...ids].map((id) => [id, 3]))));
      }),
  });
  const links = Array.from({ length: LINKS }, (_, idx) => `<p><a href="/page/${idx % pages}">${idx}</a></p>`).join("");
  const site = await servePages(stage, () => html(`<script async src="${fake.url}/live.js"></script>`, links));
  const tab = await stage.newTab();
  await tab.page.evaluateOnNewDocument(countCrossings);
  await tab.open(`${site}/`);
  const all = pages <= PAGES ? pages : 1;
  await until("pages were asked for", () => asked.size >= all);
  const near = pages <= PAGES ? LINKS : 1;
  await until("links have numbers", async () => (await tab.page.$$eval("a[data-viewers]", (links) => links.length)) >= near);
  const names = importedNames();
  const counted = Object.entries(await tab.page.evaluate(() => crossings));
  const calls = Object.fromEntries(counted.map(([name, times]) => [names[name], times]));
  const total = counted.reduce((sum, [, times]) => sum + times, 0);
  console.log(`${LINKS} links to ${pages} pages: ${total} calls, ${total / LINKS} a link`, calls);
  return { calls, total };
}

story("address of a link crosses as text once", {}, async (stage) => {
  const { calls, total } = await crossingsOf(stage, PAGES);
  assert.equal(calls.address, PAGES);
  // Measured: 9.8 calls for each link until it has its number. Four ask what it is, three write, one reads the time, and one sees
  // that what was written is ours.
  assert.ok(total < 10.5 * LINKS, `${total} calls for ${LINKS} links, all of which matter`);
});

story("links far away cost about a call each", {}, async (stage) => {
  const { calls, total } = await crossingsOf(stage, LINKS);
  assert.ok(calls.address < LINKS / 10, `${calls.address} addresses`);
  // Measured: 1.0 calls for each link, most of them before the widget knows that there are too many.
  assert.ok(total < 2 * LINKS, `${total} calls for ${LINKS} links, most of them far away`);
});
