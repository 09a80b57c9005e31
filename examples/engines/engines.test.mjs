// The most important browser tests, in the engines of Firefox and WebKit, because the widget must work in every browser.
// `tests` has all others, for Chromium.
//
// A tab here has what every driver can do: `open`, `evaluate`, `expectViewers`, `allow`, `close`, and its `problems`.

import assert from "node:assert/strict";
import { after } from "node:test";

import { html, servePages } from "../tests/support/pages.mjs";
import { story } from "../tests/support/story.mjs";
import { until } from "../tests/support/until.mjs";
import * as firefox from "./support/firefox.mjs";
import * as webkit from "./support/webkit.mjs";

const APPLES = 'a[href="apples.html"]';
const PEARS = 'a[href="pears.html"]';

after(() => Promise.all([firefox.close(), webkit.close()]));

/**
 * A story told in each engine.
 * @param {string} name the claim
 * @param {(stage: object, openTab: (address: string, allowed?: RegExp) => Promise<object>) => Promise<void>}
 *   tell `openTab` takes a path of the examples host or any address, and the problem that is expected there
 */
function everywhere(name, tell) {
  for (const engine of [firefox, webkit]) inEngine(engine, name, tell);
}

/** A story told in one engine only, for what is done for its sake. */
function inEngine(engine, name, tell) {
  // Not every engine can be driven without saying so, and programs are not counted unless the tag says otherwise.
  story(`${engine.name}: ${name}`, { hostArgs: ["--count-bots"] }, async (stage) => {
    const newTab = await engine.open(stage);
    const openTab = async (address, allowed) => {
      const tab = await newTab();
      stage.tabs.push(tab);
      if (allowed) tab.allow(allowed);
      await tab.open(new URL(address, stage.host.url).href);
      return tab;
    };
    await tell(stage, openTab);
    for (const tab of stage.tabs) await tab.gatherProblems();
  });
}

/** A site whose pages all have this body and the tag with these options; answers with its address. */
const serve = (stage, options, body) =>
  servePages(stage, () => html(`<script async src="${stage.server.url}/live.js?bots=count" ${options}></script>`, body));

/** Waits until the server counts so many viewers on a page of a site. */
const expectCounted = (stage, address, viewers) =>
  until(`the server counts ${viewers} on ${address}`, async () => {
    const { host, pathname } = new URL(address);
    const counted = await stage.server.viewers(host);
    return (counted[`${host}${pathname}`] ?? 0) === viewers;
  });

/** Waits until a function answers something truthy in a page. */
const expectInPage = (tab, what, check, ...args) => until(what, () => tab.evaluate(check, ...args));

/** Which of the widget's files a tab has loaded. */
const loaded = (tab) =>
  tab.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .map(({ name }) => name.split("/").pop())
      .filter((name) => name.startsWith("live")),
  );

everywhere("two tabs count each other, and one that is closed is gone", async (stage, openTab) => {
  const apples = await openTab("/plain/apples.html");
  const pears = await openTab("/plain/pears.html");
  await apples.expectViewers(PEARS, 1);
  await pears.expectViewers(APPLES, 1);
  await apples.expectViewers('a[href="./"]', 0);

  await pears.close();
  await apples.expectViewers(PEARS, 0);
});

everywhere("tab that leads elsewhere leaves", async (stage, openTab) => {
  const orchard = await openTab("/plain/");
  const reader = await openTab("/plain/apples.html");
  await orchard.expectViewers(APPLES, 1);

  await reader.open(`${stage.host.url}/plain/pears.html`);
  await orchard.expectViewers(PEARS, 1);
  await orchard.expectViewers(APPLES, 0);
});

everywhere("links that come late and change are followed", async (stage, openTab) => {
  const orchard = await openTab("/plain/");
  await openTab("/plain/apples.html");
  await openTab("/plain/pears.html");
  await orchard.expectViewers(APPLES, 1);

  await orchard.evaluate(() => {
    document.body.insertAdjacentHTML("beforeend", '<p>Again: <a id="late" href="/plain/apples.html">them</a></p>');
  });
  await orchard.expectViewers("#late", 1);
  const lead = (href) => orchard.evaluate((href) => document.querySelector("#late").setAttribute("href", href), href);
  await lead("plums.html");
  await orchard.expectViewers("#late", 0);
  await lead("pears.html");
  await orchard.expectViewers("#late", 1);
});

everywhere("navigation of a single-page app moves its viewer", async (stage, openTab) => {
  const home = await openTab("/spa/");
  const reader = await openTab("/spa/");
  await home.expectViewers('a[href="/spa/"]', 2);

  await reader.evaluate(() => document.querySelector('nav a[href="/spa/inbox"]').click());
  await home.expectViewers('a[href="/spa/inbox"]', 1);
  await home.expectViewers('a[href="/spa/"]', 1);
  await reader.expectViewers('a[href="/spa/"]', 1);

  await reader.evaluate(() => history.back());
  await home.expectViewers('a[href="/spa/"]', 2);
  await home.expectViewers('a[href="/spa/inbox"]', 0);
});

everywhere("strict policy is kept", async (stage, openTab) => {
  // The example, with a script in front that remembers what its policy refuses.
  const example = await (await fetch(`${stage.host.url}/strict-csp/`)).text();
  const watching = `<script nonce="YmVycmllcw">
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      violations.push(event.effectiveDirective + ": " + event.blockedURI));
  </script>`;
  const watched = example.replace("<script ", `${watching}<script `).replace(/<link rel="stylesheet".*>/, "");
  assert.ok(watched.includes(watching));
  const site = await servePages(stage, () => watched);

  const tab = await openTab(`${site}/`);
  await openTab(`${site}/plain/`);
  await tab.expectViewers('a[href="/plain/"]', 1);
  assert.deepEqual(await tab.evaluate(() => window.violations), []);
  assert.ok((await loaded(tab)).some((file) => file.endsWith(".wasm")));

  // A violation would have been noticed.
  tab.allow(/Content-Security-Policy: .*refused\.png/);
  await tab.evaluate(() => (new Image().src = "/refused.png"));
  await expectInPage(tab, "the page hears of a violation", () => window.violations.length === 1);
});

everywhere("page that refuses wasm gets JavaScript", async (stage, openTab) => {
  // The example says so itself, and of the other page the widget finds out, which browsers may write on the console.
  const { url } = stage.server;
  const policy = `script-src ${url}; connect-src ${url} ${url.replace("http", "ws")}`;
  const site = await servePages(stage, () =>
    html(
      `<meta http-equiv="content-security-policy" content="${policy}"><script async src="${url}/live.js?bots=count"></script>`,
      '<a href="/plain/">orchard</a>',
    ),
  );
  const refusal = /^uncaught: Content-Security-Policy: .*WebAssembly/;
  const [plain, example, found] = [await openTab("/plain/"), await openTab("/no-wasm/"), await openTab(`${site}/`, refusal)];
  await openTab(`${site}/plain/`, refusal);
  for (const tab of [example, found]) await tab.expectViewers('a[href="/plain/"]', 1);

  await expectInPage(plain, "the page has the widget", () => document.adoptedStyleSheets.length > 0);
  const usual = await loaded(plain);
  assert.ok(!(await loaded(example)).some((file) => file.endsWith(".wasm")));
  for (const tab of [example, found]) {
    const files = await loaded(tab);
    assert.ok(files.some((file) => file.endsWith(".js") && !usual.includes(file)), `the JavaScript build is in ${files}`);
  }
});

everywhere("element, events and functions tell the same", async (stage, openTab) => {
  const body = `<viewer-count id="own">?</viewer-count> <viewer-count id="x" href="/x" label="{count}!">?</viewer-count>
    <a href="/x">x</a><script>
      window.told = [];
      document.addEventListener("viewers", ({ target, detail }) => told.push(target.localName + " " + detail.viewers));
    </script>`;
  const site = await serve(stage, "", body);
  const tab = await openTab(`${site}/`);
  const expectText = (selector, text) =>
    expectInPage(
      tab,
      `${selector} shows ${text}`,
      (selector, text) => document.querySelector(selector).shadowRoot?.textContent === text,
      selector,
      text,
    );
  await expectText("#own", "1");
  await expectText("#x", "0!");
  await tab.evaluate(() => {
    window.heard = [];
    window[Symbol.for("connection-counter")].handle.subscribe("/x", (viewers) => window.heard.push(viewers));
  });

  const other = await openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  await expectText("#x", "1!");
  await other.close();
  await tab.expectViewers("a", 0);
  await expectText("#x", "0!");
  const told = await tab.evaluate(() => window.told);
  for (const event of ["a 1", "viewer-count 0", "viewer-count 1"]) assert.ok(told.includes(event), `${event} in ${told}`);
  assert.deepEqual((await tab.evaluate(() => window.heard)).slice(-2), [1, 0]);
});

everywhere("hidden tab leaves after a while and returns", async (stage, openTab) => {
  const site = await serve(stage, 'data-hidden-after="1"', "");
  const reader = await openTab(`${site}/one`);
  await expectCounted(stage, `${site}/one`, 1);
  const setHidden = (hidden) =>
    reader.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);

  await setHidden(true);
  await expectCounted(stage, `${site}/one`, 0);
  await setHidden(false);
  await expectCounted(stage, `${site}/one`, 1);
});

everywhere("page comes back from the back/forward cache with the widget on it", async (stage, openTab) => {
  const site = await serve(stage, "", '<a href="/one">one</a> <a href="/two">two</a>');
  const reader = await openTab(`${site}/one`);
  const watcher = await openTab(`${site}/two`);
  await watcher.expectViewers('a[href="/one"]', 1);
  await reader.evaluate(() => {
    window.returns = 0;
    addEventListener("pageshow", ({ persisted }) => (window.returns += persisted));
  });

  const elsewhere = `${stage.host.url}/plain/`;
  // By the address bar and by a link: of the first, a page hears less.
  const ways = [
    () => reader.open(elsewhere),
    () => reader.evaluate((url) => void setTimeout(() => (location.href = url)), elsewhere),
  ];
  for (const [way, leave] of ways.entries()) {
    await leave();
    await watcher.expectViewers('a[href="/one"]', 0);
    await expectInPage(reader, "the next page is there", (url) => location.href === url, elsewhere);

    await reader.evaluate(() => history.back());
    await expectInPage(reader, "the page was kept", (returns) => window.returns === returns, way + 1);
    await expectCounted(stage, `${site}/one`, 1);
    await watcher.expectViewers('a[href="/one"]', 1);
    await reader.expectViewers('a[href="/two"]', 1);
  }
});

inEngine(firefox, "policy that refuses the connection is taken at its word", async (stage, openTab) => {
  const { url } = stage.server;
  const site = await servePages(stage, () =>
    html(
      `<meta http-equiv="content-security-policy" content="connect-src ${url}"><script async src="${url}/live.js?bots=count"></script>`,
      "",
    ),
  );
  const tab = await openTab(`${site}/`, /connection-counter: |Content-Security-Policy|can.t establish a connection/);
  const heard = (pattern) => tab.expected.filter((text) => pattern.test(text)).length;
  await until("we say so", () => heard(/connection-counter: /) === 1);
  // Firefox's own words may reach us after ours.
  await until("Firefox says so", () => heard(/Content-Security-Policy/) > 0);
  const refusals = heard(/Content-Security-Policy/);
  // Longer than the first three attempts of one that comes back take together.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(heard(/Content-Security-Policy/), refusals, "the widget does not insist");
});

inEngine(firefox, "reader who sets out and stays is counted again", async (stage, openTab) => {
  // One page never answers.
  const site = await servePages(stage, (path) =>
    path === "/never" ? new Promise(() => {}) : html(`<script async src="${stage.server.url}/live.js?bots=count"></script>`, ""),
  );
  const reader = await openTab(`${site}/one`);
  await expectCounted(stage, `${site}/one`, 1);

  await reader.evaluate(() => void (location.href = "/never"));
  await expectCounted(stage, `${site}/one`, 0);
  await expectCounted(stage, `${site}/one`, 1);
});

inEngine(firefox, "frame that the page takes away comes back until the widget is stopped", async (stage, openTab) => {
  const site = await serve(stage, "", "");
  const tab = await openTab(`${site}/one`);
  await expectCounted(stage, `${site}/one`, 1);
  const frames = () =>
    tab.evaluate(() => [...document.querySelectorAll("iframe")].map((frame) => frame.checkVisibility()));
  assert.deepEqual(await frames(), [false], "there is one, and no one sees it");

  await tab.evaluate(() => document.querySelector("iframe").remove());
  await until("there is a frame again", async () => (await frames()).length === 1);
  await expectCounted(stage, `${site}/one`, 1);

  await tab.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  await expectCounted(stage, `${site}/one`, 0);
  assert.deepEqual(await frames(), []);
});

everywhere("the number and its words are drawn by an adopted stylesheet", async (stage, openTab) => {
  const site = await serve(stage, "", '<a href="/x">x</a>');
  const tab = await openTab(`${site}/`);
  await openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  await expectInPage(tab, "the number has its place", () => document.querySelector("a[data-viewers-place]") !== null);
  const [sheets, content] = await tab.evaluate(() => [
    document.adoptedStyleSheets.map((sheet) => sheet.cssRules.length),
    getComputedStyle(document.querySelector("a"), "::after").content,
  ]);
  assert.equal(sheets.length, 1);
  assert.ok(sheets[0] > 0);
  // Engines differ in whether they look attributes up; the text for screen readers follows the slash in each.
  assert.match(content, /^("1"|attr\(data-viewers\)) \/ .*viewing now/);
});

everywhere("numbers move nothing, whatever their links are", async (stage, openTab) => {
  const site = await serve(
    stage,
    "",
    `<p>In <a href="/x">running</a> text, and <a id="beside" href="/x">at its end</a></p>
    <a id="flex" style="display: inline-flex; gap: 8px" href="/x">flex <i>›</i></a>
    <a style="display: block" href="/x"><b style="display: block">block</b></a>
    <style>#own::after { content: " »" }</style><p><a id="own" href="/x">own</a></p>`,
  );
  const tab = await openTab(`${site}/`);
  await openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  await expectInPage(tab, "the number has its place", () => document.querySelector("#beside[data-viewers-place]") !== null);
  const layout = () =>
    tab.evaluate(() =>
      [...document.querySelectorAll("*")].map((element) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        return [element.localName, x, y, width, height, element.scrollWidth, element.scrollHeight].join(" ");
      }),
    );
  const shown = await layout();
  const [beside, own] = await tab.evaluate(() =>
    ["beside", "own"].map((id) => getComputedStyle(document.getElementById(id), "::after").position),
  );
  assert.equal(beside, "absolute");
  assert.equal(own, "static");
  await tab.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  const plain = await layout();
  assert.deepEqual(shown.slice(0, plain.length), plain);
});
