// Which page an address is: canonical links, addresses that change, parts that do not matter, and the owner's own rules.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { bundle } from "./support/bundle.mjs";
import { html, servePages, serveRedirect } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** A site whose pages have the tag with these options, a body, and a canonical link for some paths. */
const serve = (stage, { options = "", canonical = () => undefined, body = "" }) =>
  servePages(stage, (path) => {
    const named = canonical(path);
    const link = named === undefined ? "" : `<link rel="canonical" href="${named}">`;
    return html(`<script async src="${stage.server.url}/live.js" ${options}></script>${link}`, typeof body === "string" ? body : body(path));
  });

/** Waits until the server counts exactly these viewers on pages of a site: `{ "/x": 1 }`. */
const expectCounted = (stage, site, expected) => {
  const { host } = new URL(site);
  return until(`the server counts ${JSON.stringify(expected)}`, async () => {
    const counted = Object.entries(await stage.server.viewers(host)).map(([id, viewers]) => [id.slice(host.length), viewers]);
    assert.deepEqual(Object.fromEntries(counted), expected);
    return true;
  });
};

story("contents list of this very page shows no numbers", {}, async (stage) => {
  const body = (path) => `<a class="own" href="${path.replace("/c", "")}#part">1</a> <a class="own" href="#other">2</a> <a id="x" href="/x">x</a>`;
  const absolute = (path) => body(path).replace('href="/', 'href="REPLACED/');
  let site;
  site = await serve(stage, {
    canonical: (path) => (path.startsWith("/c/") ? path.slice(2) : path),
    body: (path) => absolute(path).replace("REPLACED", site),
  });
  for (const path of ["/x?utm_source=mail", "/c/x", "/x?PHPSESSID=abc", "/x/"]) {
    const tab = await stage.openTab(`${site}${path}`);
    await tab.expectViewers("#x", 1);
    await tab.expectViewers(".own", 0);
    await tab.close();
    await expectCounted(stage, site, {});
  }
});

story("address that is replaced within its canonical page leaves no count", {}, async (stage) => {
  const site = await serve(stage, { canonical: (path) => path.replace(/^(\/d\/7-x).*/, "$1"), body: '<a href="/d/7-x">x</a>' });
  const tab = await stage.openTab(`${site}/d/7-x`);
  await tab.expectViewers("a", 1);
  await tab.record("a");
  for (const address of ["?variant=42", "/d/7-x/12", "/d/7-x/13?page=2"]) {
    await tab.page.evaluate((address) => history.replaceState(null, "", address), address);
    await tab.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 300)));
  }
  await expectCounted(stage, site, { "/d/7-x": 1 });
  assert.deepEqual(await tab.recorded(), ["1"]);
  await tab.page.evaluate(() => history.pushState(null, "", "/d/8-y"));
  await expectCounted(stage, site, { "/d/8-y": 1 });
});

story("canonical link to the start page is ignored on other pages", {}, async (stage) => {
  const site = await serve(stage, { canonical: () => "/", body: '<a id="root" href="/">start</a> <a id="deep" href="/deep">deep</a>' });
  const tab = await stage.openTab(`${site}/?ref=x`);
  await tab.expectViewers("#root", 1);
  const deep = await stage.openTab(`${site}/deep`);
  await tab.expectViewers("#deep", 1);
  await expectCounted(stage, site, { "/": 1, "/deep": 1 });
  await deep.page.evaluate(() => history.pushState(null, "", "/deeper"));
  await expectCounted(stage, site, { "/": 1, "/deeper": 1 });
});

story("links that miss the canonical page get one warning, and the option mends them", {}, async (stage) => {
  const canonical = (path) => path.replace("/c/", "/");
  const body = '<a href="/c/x">x</a>';
  const site = await serve(stage, { canonical, body });
  const list = await stage.openTab(`${site}/`);
  const shop = await stage.openTab(`${site}/`);
  shop.allow(/^console: connection-counter: /);
  await Promise.all([shop.page.waitForNavigation(), shop.page.click("a")]);
  await until("the miss is told", () => shop.expected.length === 1);
  const { host } = new URL(site);
  assert.ok(shop.expected[0].includes(`links to ${host}/c/x show no number`), shop.expected[0]);
  assert.ok(shop.expected[0].includes(`says to count it as ${host}/x`), shop.expected[0]);
  assert.ok(shop.expected[0].includes('data-canonical="ignore"'), shop.expected[0]);
  await list.expectViewers("a", 0);
  // A reader who came in another way followed no such link.
  await stage.openTab(`${site}/c/x`);
  await expectCounted(stage, site, { "/": 1, "/x": 2 });

  const mended = await serve(stage, { canonical, body, options: 'data-canonical="ignore"' });
  const mendedList = await stage.openTab(`${mended}/`);
  const mendedShop = await stage.openTab(`${mended}/`);
  await Promise.all([mendedShop.page.waitForNavigation(), mendedShop.page.click("a")]);
  await mendedList.expectViewers("a", 1);
});

/** The warning that links miss a page. */
const MISS = /^console: connection-counter: links to .* show no number, because/;

/** Follows the link of a site's start page. Answers with the tab and our warnings. */
async function follow(stage, site, path = "/") {
  const tab = await stage.openTab(`${site}${path}`);
  tab.allow(MISS);
  await Promise.all([tab.page.waitForNavigation(), tab.page.click("a")]);
  return tab;
}

/** Waits for the warning that links to an address of a site miss its canonical page. */
async function expectMiss(tab, site, address, canonical) {
  await until("the miss is told", () => tab.expected.length === 1);
  const { host } = new URL(site);
  const text = tab.expected[0];
  assert.ok(text.includes(`links to ${host}${address} show no number, because its <link rel=canonical> says to count it as ${host}${canonical}. `), text);
}

story("links that miss the canonical page by their parameters are told, too", {}, async (stage) => {
  for (const [address, canonical] of [["/products/hat?variant=42", "/products/hat"], ["/list?page=2", "/list"], ["/x", "/x?id=1"]]) {
    const site = await serve(stage, { canonical: (path) => (path === "/" ? undefined : canonical), body: `<a href="${address}">x</a>` });
    await expectMiss(await follow(stage, site), site, address, canonical);
  }
});

story("debugging tells of a miss without a referrer", {}, async (stage) => {
  const site = await serve(stage, { options: "data-debug", canonical: () => "/x", body: '<a href="/c/x?id=1">x</a>' });
  const quiet = await serve(stage, { canonical: () => "/x", body: '<a href="/c/x">x</a>' });
  for (const address of [`${site}/c/x?id=1`, `${quiet}/c/x?viewers-debug&id=1`]) {
    const { tab, expectTold } = await openDebugging(stage, address);
    await expectMiss(tab, new URL(address).origin, "/c/x?id=1", "/x");
    await expectTold("it is not counted at its own address. If other pages have the same canonical link, all are one page");
  }
});

story("parameters of a visit are no miss, and nothing is loaded for them", {}, async (stage) => {
  const site = await serve(stage, { canonical: (path) => path, body: (path) => `<a href="/x?utm_source=${path.slice(1)}&amp;sid=9f86d081884c7d65">x</a>` });
  const tab = await follow(stage, site);
  await tab.expectViewers("a", 1);
  // A number of this page is told for both addresses at once, so what is to be told has been told.
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 2);
  assert.deepEqual(tab.expected, []);
  const fresh = await stage.openTab(`${site}/x?utm_source=mail`);
  await fresh.expectViewers("a", 3);
  const loaded = await fresh.page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  assert.ok(!loaded.some((name) => name.includes("extras")), `${loaded}`);
});

story("links whose numbers are right are no miss", {}, async (stage) => {
  // An application that names its start page on all pages.
  const app = await serve(stage, { canonical: () => "/index.html", body: '<a href="/deep">x</a>' });
  // A site that redirects to the language of the reader, and counts all languages as one.
  const body = html(`<script async src="${stage.server.url}/live.js"></script><link rel="canonical" href="/x">`, '<a href="/x">x</a>');
  const site = await serveRedirect(stage, "/x", "/en/x", body);
  for (const [address, path] of [[app, "/"], [site, "/list"]]) {
    const tab = await follow(stage, address, path);
    await tab.expectViewers("a", 1);
    await (await stage.openTab(tab.page.url())).expectViewers("a", 2);
    await tab.expectViewers("a", 2);
    assert.deepEqual(tab.expected, []);
    await tab.close();
  }
});

story("canonical link that was right when the page came is no reason to warn", {}, async (stage) => {
  const body = '<a href="/x">x</a>';
  // A page that changes its address before the widget starts, as a gallery does.
  const early = (path) => (path === "/x" ? `${body}<script>history.pushState(null, "", "/x/photo")</script>` : body);
  const site = await serve(stage, { canonical: (path) => path, body: early });
  const reader = await stage.openTab(`${site}/`);
  await Promise.all([reader.page.waitForNavigation(), reader.page.click("a")]);
  await expectCounted(stage, site, { "/x": 1 });

  // An application changes the address first, then the canonical link.
  const app = await stage.openTab(`${site}/`);
  await Promise.all([app.page.waitForNavigation(), app.page.click("a")]);
  await expectCounted(stage, site, { "/x": 2 });
  for (const path of ["/y", "/z"]) {
    await app.page.evaluate(async (path) => {
      history.pushState(null, "", path);
      await new Promise((resolve) => setTimeout(resolve, 300));
      document.querySelector("link[rel=canonical]").href = path;
    }, path);
    await expectCounted(stage, site, { "/x": 1, [path]: 1 });
  }
});

story("sessions and campaigns make no pages of their own", {}, async (stage) => {
  const site = await serve(stage, { body: '<a href="/x?id=1">x</a>' });
  const tab = await stage.openTab(`${site}/`);
  const ways = ["/x;jsessionid=1A530637289A03B0?id=1", "/x?PHPSESSID=4r7b5kq0v3&id=1", "/x?id=1&sid=9f86d081884c7d65", "/x?id=1&_kx=a.b&hsa_cam=7"];
  for (const way of ways) await stage.openTab(`${site}${way}`);
  await tab.expectViewers("a", ways.length);
});

story("parameters are named however they are spelled", {}, async (stage) => {
  const body = '<a href="/x?filter[color]=red&amp;y=1">a</a> <a href="/x?filter%5Bcolor%5D=red&amp;z=1">b</a>';
  const site = await serve(stage, { options: 'data-query="filter[color],grün"', body: `${body} <a id="g" href="/x?grün=1">c</a>` });
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x?filter%5bcolor%5d=red`);
  await tab.expectViewers("a:not(#g)", 1);
  await stage.openTab(`${site}/x?gr%C3%BCn=1`);
  await tab.expectViewers("#g", 1);
});

story("owner says which parts of addresses do not matter", {}, async (stage) => {
  const options = 'data-omit="?color ?filter* [/collections/*]/products/* /topic/*[/*] [/3.*]/**"';
  const body = `<a class="p" href="/products/hat">a</a> <a class="p" href="/collections/sale/products/hat?color=red&amp;filter[size]=m">b</a>
    <a class="t" href="/topic/7-x">c</a> <a class="t" href="/topic/7-x/12">d</a>
    <a class="v" href="/3.11/library/os.html">e</a> <a class="v" href="/library/os.html?color=grün">f</a> <a id="no" href="/topic">g</a>`;
  const site = await serve(stage, { options, body });
  const tab = await stage.openTab(`${site}/`);
  for (const path of ["/collections/new/products/hat?color=blue", "/topic/7-x/99", "/3.14/library/os.html"]) await stage.openTab(`${site}${path}`);
  for (const links of [".p", ".t", ".v"]) await tab.expectViewers(links, 1);
  await tab.expectViewers("#no", 0);
  await expectCounted(stage, site, { "/": 1, "/products/hat": 1, "/topic/7-x": 1, "/library/os.html": 1 });
});

story("links lead elsewhere when a new head has another base", {}, async (stage) => {
  const site = await serve(stage, { body: '<a href="x">x</a>' });
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  await tab.page.evaluate(() => {
    const head = document.createElement("head");
    head.innerHTML = '<base href="/shop/">';
    document.head.replaceWith(head);
  });
  await tab.expectViewers("a", 0);
  await stage.openTab(`${site}/shop/x`);
  await tab.expectViewers("a", 1);
  await tab.page.evaluate(() => document.head.replaceWith(document.createElement("head")));
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 2);
});

story("parameters that are kept keep their spelling", {}, async (stage) => {
  const body = '<a id="one" href="/x?a=1/2&amp;color=red&amp;b=(1)&amp;c">a</a> <a id="two" href="/x?color=red&amp;a=1/2&amp;c&amp;b=(1)">b</a>';
  const site = await serve(stage, { options: 'data-omit="?color"', body });
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x?a=1/2&b=(1)&c`);
  await tab.expectViewers("a", 1);
});

story("parts that do not matter are found however they are spelled", {}, async (stage) => {
  const options = 'data-omit="/~me/*[/*] [/en]/** ?filter%5Bcolor%5D ?size[*]"';
  const site = await serve(stage, { options, body: '<a id="me" href="/~me/a">a</a> <a id="root" href="/">b</a> <a id="x" href="/x">c</a>' });
  const tab = await stage.openTab(`${site}/list`);
  await stage.openTab(`${site}/%7Eme/a/2`);
  await tab.expectViewers("#me", 1);
  for (const path of ["/en", "/en/"]) await stage.openTab(`${site}${path}`);
  await tab.expectViewers("#root", 2);
  for (const query of ["filter[color]=red", "filter%5bcolor%5D=red&size%5Bm%5D"]) await stage.openTab(`${site}/x?${query}`);
  await tab.expectViewers("#x", 2);
});

story("owner's function says which page an address is", {}, async (stage) => {
  const script = await bundle(`import { start } from "connection-counter";
    const pageOf = (url) => (url.pathname === "/private" ? null : url.pathname.startsWith("/en/") ? url.pathname.slice(3) : undefined);
    start({ server: "${stage.server.url}", pageOf });`);
  const body = '<a id="en" href="/en/a">a</a> <a id="a" href="/a">a</a> <a id="private" href="/private">p</a> <a href="http://[">odd</a>';
  const site = await servePages(stage, () => html("", `${body}<script>${script}</script>`));
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/en/a`);
  await stage.openTab(`${site}/private`);
  await tab.expectViewers("#en", 1);
  await tab.expectViewers("#a", 1);
  await expectCounted(stage, site, { "/": 1, "/a": 1 });
});

/** Opens two pages with this function as `pageOf`, and says which the server counts, and what we warn of. */
async function countBy(stage, pageOf) {
  const script = await bundle(`import { start } from "connection-counter"; start({ server: "${stage.server.url}", pageOf: ${pageOf} });`);
  const site = await servePages(stage, () => html("", `<a href="/x?a=1">x</a><script>${script}</script>`));
  const { host } = new URL(site);
  const tab = await stage.newTab();
  tab.allow(/^console: connection-counter: /);
  await tab.open(`${site}/x?a=1`);
  const counted = await until("it is counted", async () => {
    const [id] = Object.keys(await stage.server.viewers(host));
    return id?.slice(host.length);
  });
  await tab.close();
  return { counted, warnings: tab.expected.map((text) => text.replaceAll(site, "").split("connection-counter: ")[1]) };
}

story("owner's function that returns no address is told, and has no effect", {}, async (stage) => {
  for (const answer of ["false", "true", "7", "({})", "Promise.resolve(url)", "'http://['", "Symbol()"]) {
    const { counted, warnings } = await countBy(stage, `(url) => ${answer}`);
    assert.equal(counted, "/x?a=1", answer);
    assert.match(`${warnings}`, /^the option pageOf returns no address for \/x\?a=1\. It should return an address .*It returned /, answer);
    if (/^\w+$/.test(answer)) assert.ok(warnings[0].includes(`It returned ${answer}`), warnings[0]);
    assert.equal(warnings.length, 1);
  }
  const { counted, warnings } = await countBy(stage, "(url) => url.searchParams.get('id').trim()");
  assert.equal(counted, "/x?a=1");
  assert.match(`${warnings}`, /^the option pageOf throws an exception for \/x\?a=1\. It should return .*: TypeError: .*trim/);
});

story("owner's function may return a text or a URL, or change its own", {}, async (stage) => {
  const answers = { "'/y'": "/y", "new URL('/y', url)": "/y", "location": "/x?a=1", undefined: "/x?a=1", "void (url.search = '')": "/x", "''": "/x?a=1" };
  for (const [answer, expected] of Object.entries(answers)) {
    assert.deepEqual(await countBy(stage, `(url) => ${answer}`), { counted: expected, warnings: [] }, answer);
  }
});

story("debugging prints what the widget knows", {}, async (stage) => {
  const body = '<a href="/x">x</a> <a href="/x">x again</a> <a href="https://elsewhere.example/">y</a> <a href="#part">z</a> <a href="mailto:a@b.c">m</a>';
  const site = await serve(stage, { body, canonical: (path) => path.replace("/c/", "/") });
  const { host } = new URL(site);
  await stage.openTab(`${site}/x`);
  const tab = await stage.newTab();
  tab.allow(MISS);
  const told = [];
  tab.page.on("console", (message) => message.type() === "info" && told.push(message.text()));
  await tab.open(`${site}/c/y?viewers-debug`);
  const expectTold = (parts) =>
    until(`all of it is told: ${told.at(-1)}`, () => {
      for (const part of parts) assert.ok(told.at(-1)?.includes(part), `${part} in ${told.at(-1)}`);
      return true;
    });
  await expectTold([
    `this page: ${host}/y`,
    `its canonical link is ${site}/y`,
    "this reader: counted",
    "links: 5, to 1 pages that are counted",
    `1 viewing ${site}/x (links here: 2)`,
    "1 to other sites",
    "1 within this page",
    "1 to no web address",
    "connection: open",
  ]);
  await expectCounted(stage, site, { "/x": 1, "/y": 1 });
  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
});

/** Opens a page and remembers what debugging prints: `told` holds it, `expectTold` waits for a part of the last. */
async function openDebugging(stage, address, before = () => {}) {
  const tab = await stage.newTab();
  tab.allow(MISS);
  const told = [];
  tab.page.on("console", (message) => message.type() === "info" && told.push(message.text()));
  await tab.page.evaluateOnNewDocument(before);
  await tab.open(address);
  const expectTold = (part) => until(`it is told: ${part}`, () => told.at(-1)?.includes(part) || assert.fail(told.at(-1)));
  return { tab, expectTold };
}

story("debugging is asked for in the fragment of a hash router, too", {}, async (stage) => {
  const site = await serve(stage, { options: "data-hash", body: '<a href="#/sent">x</a>' });
  const { expectTold } = await openDebugging(stage, `${site}/#/inbox?viewers-debug`);
  await expectTold("this reader: counted");
});

story("debugging names what is no option", {}, async (stage) => {
  const tag = `<script async src="${stage.server.url}/live.js?v=3&hash" data-debug data-some-tool="x" data-link="y" min="2"></script>`;
  const { expectTold } = await openDebugging(stage, `${await servePages(stage, () => html(tag, "<p>Words.</p>"))}/`);
  await expectTold("on the script tag, but no options: ?v, data-some-tool, data-link (did you mean data-links?), min (did you mean data-min?)");
});

story("debugging tells that the option links selects no links", {}, async (stage) => {
  for (const [links, why] of [["body", "elements that are no links"], ["p", "elements that are no links"], ["a::after", "no element"]]) {
    const site = await serve(stage, { options: `data-debug data-links="${links}"`, body: '<p><a href="/x">x</a></p>' });
    const { expectTold } = await openDebugging(stage, `${site}/`);
    await expectTold(`links: 0, because the option links, ${links}, selects ${why}. It must select the links themselves, such as "main a"`);
  }
});

story("debugging survives addresses that nobody can read", {}, async (stage) => {
  const body = '<a href="http://[">odd</a> <a href="/x">x</a> <svg><a href="http://["><text>odd</text></a></svg>';
  const site = await serve(stage, { body, canonical: () => "http://[" });
  const { expectTold } = await openDebugging(stage, `${site}/?viewers-debug`);
  await expectTold("links: 3, to 1 pages that are counted");
  await expectTold("2 to no web address");
});

story("debugging tells why a reader is not counted", {}, async (stage) => {
  const privately = () => Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true });
  const automated = () => Object.defineProperty(Navigator.prototype, "webdriver", { get: () => true });
  const expectWhy = async (options, before, why) => {
    const site = await serve(stage, { options: `data-debug ${options}`, body: '<a href="/x">x</a>' });
    const { tab, expectTold } = await openDebugging(stage, `${site}/`, before);
    await expectTold("connection: open");
    await expectTold(`this reader: ${why}`);
    await tab.close();
  };
  const byOption = "not counted, because of the option observe";
  await expectWhy("data-observe", undefined, byOption);
  await expectWhy("", privately, "not counted, because the browser sends Global Privacy Control");
  await expectWhy("", automated, "not counted, because a program controls the browser");
  await expectWhy("data-observe", automated, byOption);
  await expectWhy('data-bots="count"', automated, "counted");
});

story("debugging tells what the widget waits for", {}, async (stage) => {
  const site = await serve(stage, { options: 'data-debug data-hidden-after="0"', body: '<a href="/x">x</a>' });
  const { tab, expectTold } = await openDebugging(stage, `${site}/`, () => {
    window.state = { hidden: true, onLine: true };
    Object.defineProperty(document, "hidden", { get: () => window.state.hidden });
    Object.defineProperty(navigator, "onLine", { get: () => window.state.onLine });
  });
  const change = (state, event) =>
    tab.page.evaluate((state, event) => {
      Object.assign(window.state, state);
      (event === "visibilitychange" ? document : window).dispatchEvent(new Event(event));
    }, state, event);
  const expectWaiting = async (reason) => {
    await expectTold(`connection: none, because ${reason}`);
    await expectTold("this reader: not counted, because there is no connection");
  };
  const expectOpen = async () => {
    await expectTold("connection: open");
    await expectTold("this reader: counted");
  };
  await expectWaiting("the tab is hidden");
  await change({ hidden: false }, "visibilitychange");
  await expectOpen();
  await change({ onLine: false }, "offline");
  await expectWaiting("the browser is offline");
  await change({ onLine: true }, "online");
  await expectOpen();
});

story("page that nobody else can view is told once", {}, async (stage) => {
  const page = html(`<script async src="${stage.server.url}/live.js" data-debug></script>`, '<a href="http://127.0.0.1/x">x</a>');
  const folder = await mkdtemp(join(tmpdir(), "connection-counter-"));
  stage.onClose(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "page.html"), page);
  const framing = await servePages(stage, () => html("", `<iframe srcdoc="${page.replaceAll('"', "&quot;")}"></iframe>`));
  for (const [address, scheme] of [[`file://${join(folder, "page.html")}`, "file:"], [`${framing}/`, "about:"]]) {
    const tab = await stage.newTab();
    tab.allow(/^console: connection-counter: this page is not counted/);
    const told = [];
    tab.page.on("console", (message) => message.type() === "info" && told.push(message.text()));
    await tab.page.goto(address);
    await until("it is told", () => tab.expected.length > 0);
    assert.ok(tab.expected[0].includes(`nobody else can view an address that begins with "${scheme}"`), tab.expected[0]);
    await until("debugging tells it, too", () => /this page: none, because nobody else/.test(told.at(-1)));
    assert.match(told.at(-1), /connection: none, because this page is not counted/);
    assert.equal(tab.expected.length, 1);
  }
});

story("debugging explains a refusal and what to do", { serverArgs: ["--site", "example.org"] }, async (stage) => {
  const site = await serve(stage, { options: "data-debug" });
  const tab = await stage.newTab();
  tab.allow(/connection-counter: refused by/);
  const told = [];
  tab.page.on("console", (message) => message.type() === "info" && told.push(message.text()));
  await tab.open(`${site}/`);
  await until("the refusal is told", () => /last closed with code 1008 \(.*--site.*\): the server refuses this page/.test(told.at(-1) ?? ""));
});

/** A site and its other name, on the default port. A flag tells Chromium where that really is. */
const NAMES = ["shop.example", "www.shop.example"];

/** Opens a page under each of the names. Returns the tabs. */
async function openUnderBothNames(stage) {
  const site = await serve(stage, { body: '<a href="/a">a</a>' });
  const rules = NAMES.map((name) => `MAP ${name}:80 ${new URL(site).host}`).join(",");
  await stage.startBrowser([`--host-resolver-rules=${rules}`]);
  const tabs = [];
  for (const name of NAMES) {
    const tab = await stage.newTab();
    tab.allow(/^console: connection-counter: refused by/);
    await tab.open(`http://${name}/a`);
    tabs.push(tab);
  }
  return tabs;
}

story("other name of a site has the same pages", { serverArgs: ["--site", "shop.example=www.shop.example"] }, async (stage) => {
  for (const tab of await openUnderBothNames(stage)) {
    await tab.expectViewers("a", 2);
    assert.deepEqual(tab.expected, []);
  }
});

story("debugging tells of links to the site's other name", {}, async (stage) => {
  const [bare, www] = NAMES;
  const site = await serve(stage, { options: "data-debug", body: `<a href="//${bare}/a">a</a> <a href="//${www}/a">a</a> <a href="//other.example/">b</a>` });
  await stage.startBrowser([`--host-resolver-rules=${NAMES.map((name) => `MAP ${name}:80 ${new URL(site).host}`).join(",")}`]);
  for (const [name, other] of [[bare, www], [www, bare]]) {
    const { expectTold } = await openDebugging(stage, `http://${name}/`);
    await expectTold("1 to other sites");
    await expectTold(`1 to ${other}, which counts as another site than ${name}: link to ${name}, or redirect one to the other`);
  }
});

story("name without its www is told the flag", { serverArgs: ["--site", "shop.example"] }, async (stage) => {
  const [bare, www] = await openUnderBothNames(stage);
  await bare.expectViewers("a", 1);
  await until("the refusal is told", () => www.expected.length === 1);
  assert.match(www.expected[0], /--site shop\.example=www\.shop\.example/);
  await until("the operator is told", () => /--site shop\.example=www\.shop\.example lets it in/.test(stage.server.log));
});
