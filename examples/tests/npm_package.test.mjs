// The npm package, bundled into a page.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { watchSockets } from "./support/frameworks.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const LINKS = '<a href="/one">one</a> <a href="/two">two</a>';

/** Serves pages with two links that run `app`, which may import "connection-counter". */
async function serveApp(stage, app) {
  const script = await bundle(app);
  return servePages(stage, () => html("", `${LINKS}<script>${script}</script>`));
}

story("bundled package shows counts and stops", {}, async (stage) => {
  const site = await serveApp(
    stage,
    `import { start } from "connection-counter";
     window.handle = start({ server: "${stage.server.url}" });`,
  );
  const one = await stage.openTab(`${site}/one`);
  const two = await stage.openTab(`${site}/two`);
  await one.expectViewers('a[href="/two"]', 1);
  await two.expectViewers('a[href="/one"]', 1);

  await two.page.evaluate(() => window.handle.stop());
  await two.expectViewers("a", 0);
  await one.expectViewers('a[href="/two"]', 0);
});

// With hot module replacement, the new widget starts before or after the old one stops.
story("late stop leaves the next widget alone", {}, async (stage) => {
  const site = await serveApp(
    stage,
    `import { start } from "connection-counter";
     window.begin = () => start({ server: "${stage.server.url}" });
     window.first = begin();`,
  );
  const one = await stage.newTab();
  const sockets = await watchSockets(one);
  await one.open(`${site}/one`);
  await one.expectViewers('a[href="/one"]', 1);
  const isSame = await one.page.evaluate(async () => {
    const again = begin();
    first.stop();
    window.second = begin();
    first.stop();
    await second.ready;
    first.stop();
    return [again === first, second === first];
  });
  assert.deepEqual(isSame, [true, false], "while one runs, every start answers with its handle");

  const two = await stage.openTab(`${site}/two`);
  await one.expectViewers('a[href="/two"]', 1);
  await two.expectViewers('a[href="/one"]', 1);
  assert.equal(sockets.size, 1);
  assert.equal(await one.page.evaluate(() => second.total), 2);
  assert.equal(await one.page.evaluate(() => first.total), 0);

  // A widget that is stopped before it has started never runs.
  await one.page.evaluate(async () => {
    second.stop();
    const third = begin();
    third.stop();
    await third.ready;
  });
  await one.expectViewers("a", 0);
  await until("every socket is closed", () => sockets.size === 0);
});

story("entries share the widget of a script tag", {}, async (stage) => {
  const script = await bundle(
    `import { count, start, subscribe } from "connection-counter";
     window.heard = [];
     subscribe("/two", (viewers) => heard.push(viewers ?? null));
     window.known = () => [count("/two"), start({ server: "http://127.0.0.1:1" }).count("/two")];`,
  );
  const tag = `<script async src="${stage.server.url}/live.js"></script>`;
  const site = await servePages(stage, () => html(tag, `${LINKS}<script>${script}</script>`));
  const one = await stage.openTab(`${site}/one`);
  await one.expectViewers('a[href="/one"]', 1);
  const two = await stage.openTab(`${site}/two`);
  await one.expectViewers('a[href="/two"]', 1);
  assert.deepEqual(await one.page.evaluate(() => [window.heard, known()]), [[0, 1], [1, 1]]);

  await two.close();
  await one.expectViewers('a[href="/two"]', 0);
  await one.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  assert.deepEqual(await one.page.evaluate(() => window.heard), [0, 1, 0, null]);
});

story("package says so where there is no WebAssembly, and can go on without", {}, async (stage) => {
  const script = await bundle(
    `import { start } from "connection-counter";
     import { start as startSlim } from "connection-counter/slim";
     import { start as startWithoutWasm } from "connection-counter/no-wasm";
     const options = { server: "${stage.server.url}" };
     window.failures = [];
     const begin = async () => {
       for (const begin of [start, startSlim]) {
         const handle = begin({ ...options, ...(begin === startSlim && { module: new Uint8Array() }) });
         await handle.ready.catch(({ message }) => failures.push(message));
         handle.stop();
       }
       startWithoutWasm(options);
     };
     begin();`,
  );
  const site = await servePages(stage, () => html("", `${LINKS}<script>${script}</script>`));
  const open = async (path) => {
    const tab = await stage.newTab();
    tab.allow(/^console: connection-counter: .*no-wasm/);
    // In Lockdown Mode there is no WebAssembly.
    await tab.page.evaluateOnNewDocument(() => delete globalThis.WebAssembly);
    await tab.open(site + path);
    return tab;
  };
  const one = await open("/one");
  await open("/two");
  await one.expectViewers('a[href="/two"]', 1);
  assert.equal(one.expected.length, 2, "each entry says it once");
  const failures = await one.page.evaluate(() => window.failures);
  assert.equal(failures.length, 2);
  for (const failure of failures) assert.match(failure, /connection-counter\/no-wasm/);
});
