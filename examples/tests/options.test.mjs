// The options of the script tag, and the links they are about.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** A site whose pages all have this body and the tag with these options; answers with its address. */
const serve = (stage, options, body, lang = "en") =>
  servePages(stage, () =>
    html(`<script async src="${stage.server.url}/live.js" ${options}></script>`, body).replace('lang="en"', `lang="${lang}"`),
  );

/** What a link shows: its label, or else its count. */
const label = (tab, selector) =>
  tab.page.$eval(selector, (link) => link.getAttribute("data-viewers-label") ?? link.getAttribute("data-viewers"));

story("labels have plural forms", {}, async (stage) => {
  const site = await serve(stage, 'data-label="one={count} reader|other={count} readers"', '<a href="/x">x</a>');
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  assert.equal(await label(tab, "a"), "1 reader");
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 2);
  assert.equal(await label(tab, "a"), "2 readers");
});

story("numbers are written in the page's language", {}, async (stage) => {
  const site = await serve(stage, "data-observe", '<a href="/x">x</a>', "de");
  const tab = await stage.newTab();
  await tab.page.evaluateOnNewDocument(() => {
    // More viewers than a test can open.
    const { parse } = JSON;
    JSON.parse = (text) => parse(text.replace(/(\/x"):\d+/, "$1:1234567"));
  });
  await tab.open(`${site}/`);
  await tab.expectViewers("a", 1234567);
  assert.equal((await label(tab, "a")).replace(/\s/g, " "), "1,2 Mio.");
});

story("numbers below the least are not shown", {}, async (stage) => {
  const site = await serve(stage, 'data-min="2"', '<a href="/x">x</a>');
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  const second = await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 2);
  await second.close();
  await tab.expectViewers("a", 0);
  await until("one is counted", async () => (await stage.server.viewers(new URL(site).host))[`${new URL(site).host}/x`] === 1);
});

story("hash routes are pages when asked for", {}, async (stage) => {
  const site = await serve(stage, "data-hash", '<a href="#/inbox">inbox</a> <a href="#/sent">sent</a> <a href="#top">top</a>');
  const one = await stage.openTab(`${site}/#/inbox`);
  const two = await stage.openTab(`${site}/#/sent`);
  await one.expectViewers('a[href="#/sent"]', 1);
  await two.expectViewers('a[href="#/inbox"]', 1);
  await two.page.click('a[href="#/inbox"]');
  await one.expectViewers('a[href="#/inbox"]', 2);
  await one.expectViewers('a[href="#/sent"]', 0);
  await one.expectViewers('a[href="#top"]', 0);
});

story("only parameters that matter tell pages apart", {}, async (stage) => {
  const body = '<a id="same" href="/x?page=2&sort=up">a</a> <a id="other" href="/x?page=3&sort=up">b</a>';
  const site = await serve(stage, 'data-query=" id , page "', body);
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x?sort=down&page=2`);
  await tab.expectViewers("#same", 1);
  await tab.expectViewers("#other", 0);

  const dropped = await serve(stage, 'data-query="drop"', body);
  const all = await stage.openTab(`${dropped}/`);
  await stage.openTab(`${dropped}/x?anything`);
  await all.expectViewers("a", 1);
});

story("links to other sites count when asked to", {}, async (stage) => {
  const other = await serve(stage, "", "");
  const site = await serve(stage, 'data-scope="all"', `<a href="${other}/x">x</a>`);
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${other}/x`);
  await tab.expectViewers("a", 1);
});

story("path leads to a server behind another address", { serverArgs: ["--prefix", "rooms"] }, async (stage) => {
  const site = await serve(stage, 'data-path="/rooms/page/"', '<a href="/x">x</a>');
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
});

story("areas and links in SVG are counted, and drawn by the page", {}, async (stage) => {
  const body = `<map name="m"><area href="/x" alt="x" shape="rect" coords="0,0,9,9"></map>
    <svg width="100" height="40"><a id="svg" href="/x"><text y="20">x</text></a><a id="none"><text y="40">y</text></a></svg>`;
  const site = await serve(stage, "", body);
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("area", 1);
  await tab.expectViewers("#svg", 1);
  await tab.expectViewers("#none", 0);
});

story("shadow roots and frames are entered by invitation", {}, async (stage) => {
  const body = `<div id="in" data-viewers-inside></div><div id="out"></div>
    <iframe data-viewers-inside srcdoc='<a href="/x">x</a>'></iframe>
    <script>for (const host of document.querySelectorAll("div"))
      host.attachShadow({ mode: "open" }).innerHTML = '<a href="/x">x</a>';</script>`;
  const site = await serve(stage, "", body);
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  const shown = () =>
    tab.page.evaluate(() =>
      [
        document.getElementById("in").shadowRoot,
        document.getElementById("out").shadowRoot,
        document.querySelector("iframe").contentDocument,
      ].map((root) => root.querySelector("a").getAttribute("data-viewers")),
    );
  await until("those that asked for it show counts", async () => {
    const [inside, , frame] = await shown();
    return inside === "1" && frame === "1";
  });
  assert.equal((await shown())[1], null);

  // What comes later inside is followed too, and everything is taken back.
  await tab.page.evaluate(() => {
    document.getElementById("in").shadowRoot.innerHTML += '<a id="late" href="/x">late</a>';
  });
  await tab.page.waitForFunction(() =>
    document.getElementById("in").shadowRoot.getElementById("late").getAttribute("data-viewers") === "1",
  );
  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  assert.deepEqual(await shown(), [null, null, null]);
});

story("components that get their shadow root later are entered then", {}, async (stage) => {
  const body = '<late-links data-viewers-inside></late-links><div data-viewers-inside></div><late-links></late-links>';
  const site = await serve(stage, "", `<a href="/x">x</a>${body}`);
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  await tab.page.evaluate(() => {
    const fill = (host) => (host.attachShadow({ mode: "open" }).innerHTML = '<a href="/x">x</a>');
    customElements.define("late-links", class extends HTMLElement {
      connectedCallback() {
        fill(this);
      }
    });
    fill(document.querySelector("div"));
  });
  const shown = () =>
    tab.page.$$eval("late-links,div", (hosts) => hosts.map((host) => host.shadowRoot.querySelector("a").getAttribute("data-viewers")));
  await until("those that asked for it show counts", async () => `${await shown()}` === "1,1,");
});

story("bodies that are swapped and copied keep right numbers", {}, async (stage) => {
  const site = await serve(stage, "", '<main><a href="/x">x</a></main>');
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  // As Turbo keeps a page: a copy, with whatever numbers it showed.
  await tab.page.evaluate(() => {
    window.kept = document.body.cloneNode(true);
    document.body.replaceWith(document.createElement("body"));
  });
  await stage.openTab(`${site}/x`);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await tab.page.evaluate(() => document.body.replaceWith(window.kept));
  await tab.expectViewers("a", 2);
});

story("element, events and functions tell the same", {}, async (stage) => {
  const body = `<viewer-count id="own">?</viewer-count> <viewer-count id="x" href="/x" label="{count}!">?</viewer-count>
    <a href="/x">x</a><script>
      window.told = [];
      document.addEventListener("viewers", ({ target, detail }) => told.push([target.localName, detail.viewers]));
    </script>`;
  const site = await serve(stage, "", body);
  const tab = await stage.openTab(`${site}/`);
  const text = (selector) => tab.page.$eval(selector, (element) => element.shadowRoot.textContent);
  await until("the page counts itself", async () => (await text("#own")) === "1");
  assert.equal(await text("#x"), "0!");
  const other = await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  assert.equal(await text("#x"), "1!");
  const told = await tab.page.evaluate(() => window.told);
  for (const expected of [["a", 1], ["viewer-count", 0], ["viewer-count", 1]]) {
    assert.ok(told.some((event) => String(event) === String(expected)), `${expected} in ${JSON.stringify(told)}`);
  }

  const heard = await tab.page.evaluate(() => {
    const { handle } = window[Symbol.for("connection-counter")];
    window.heard = [];
    window.leave = handle.subscribe("/x", (viewers) => window.heard.push(viewers));
    const counts = ["/x", undefined, "/nowhere", "http://["].map((url) => handle.count(url) ?? null);
    return [...counts, handle.total];
  });
  // What is undefined in the page arrives here as null.
  assert.deepEqual(heard, [1, 1, null, null, 2]);
  await other.close();
  await until("the subscriber hears", () => tab.page.evaluate(() => String(window.heard) === "1,0"));
  await tab.page.evaluate(() => window.leave());
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  assert.deepEqual(await tab.page.evaluate(() => window.heard), [1, 0]);

  await tab.page.$eval("#x", (element) => element.setAttribute("href", "/"));
  await until("the element follows its attribute", async () => (await text("#x")) === "1!");
  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  assert.equal(await text("#own"), "");
});
