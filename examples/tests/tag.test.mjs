// How options reach the widget: on the tag, in its address, and in code. Wrong options are reported.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const OURS = /^console: connection-counter: /;
const LINK = '<a href="/x">x</a>';

/** Opens a page with this head. Returns its tab, and the texts of our warnings. */
async function openWith(stage, head, path = "/") {
  const site = await servePages(stage, () => html(head, LINK));
  const tab = await stage.newTab();
  tab.allow(OURS);
  await tab.open(`${site}${path}`);
  const warnings = () => tab.expected.map((text) => text.split("connection-counter: ")[1].replace(/ \(http\S*\)$/, ""));
  return { tab, site, warnings };
}

const tagWith = (stage, options) => `<script async src="${stage.server.url}/live.js" ${options}></script>`;

story("invalid options are one warning, in the author's spelling", {}, async (stage) => {
  const options =
    'data-links="a[" data-scope="world" data-min="abc" data-hidden-after="30s" data-label="{n}" data-text="now" data-hash="maybe" ' +
    'data-bots="all" data-canonical="no" data-query="true" data-omit="color /topic/* [/a ?b,?c ?utm* /%zz[/*]" data-lable="{count}" data-hiden-after="9" data-hiddenAfter="9"';
  const { tab, site, warnings } = await openWith(stage, tagWith(stage, options));
  const other = await stage.newTab();
  other.allow(OURS);
  await other.open(`${site}/x`);
  await tab.expectViewers("a", 1);
  await until("there is a warning", () => warnings().length > 0);
  const [warning, ...more] = warnings();
  assert.deepEqual(more, []);
  for (const part of [
    'data-links="a[" (expected: a CSS selector)',
    'data-scope="world" (expected: site or all)',
    'data-min="abc" (expected: a number)',
    'data-hidden-after="30s" (expected: a number of seconds)',
    'data-label="{n}" (expected: a text with {count})',
    'data-text="now" (expected: a text with {count}, or an empty one)',
    'data-hash="maybe" (expected: true or false)',
    'data-bots="all" (expected: watch or count)',
    'data-canonical="no" (expected: follow or ignore)',
    'data-query="true" (expected: keep, drop or names of parameters, such as page,id)',
    'data-omit="color /topic/* [/a ?b,?c ?utm* /%zz[/*]" (color: write ?color for a parameter, or begin a path with /; /topic/*: put what does not matter in brackets',
    "; [/a: put what does not matter in brackets",
    "; ?b,?c: write each parameter by its name alone, with a space before the next",
    "; /%zz[/*]: write * in place of a % that encodes nothing)",
    "data-lable (did you mean data-label?)",
    "data-hiden-after (did you mean data-hidden-after?)",
    "data-hiddenafter (did you mean data-hidden-after?)",
  ]) {
    assert.ok(warning.includes(part), `${part} in ${warning}`);
  }
});

/** Values of `query` that someone may write who means something else than a parameter of that name. */
const WRONG = ["all", "none", "Keep", "DROP", "page|id", "page;id", "[&quot;page&quot;,&quot;id&quot;]", "!color", "-color"];

story("labels without a form for all other numbers are told what is missing", {}, async (stage) => {
  for (const label of ["one={count} reader", "one={count} reader, other={count} readers", "one={count} reader|other=many"]) {
    const { warnings, tab } = await openWith(stage, tagWith(stage, `data-label="${label}"`));
    await until("there is a warning", () => warnings().length > 0);
    assert.deepEqual(warnings(), [`options ignored: data-label="${label}" (all other numbers need a text with {count}: |other={count} …)`]);
    await tab.close();
  }
});

story("values are told as their author wrote them", {}, async (stage) => {
  const { warnings } = await openWith(stage, tagWith(stage, `data-label='"{n}"' data-omit="/(\\d+)"`));
  await until("there is a warning", () => warnings().length > 0);
  assert.ok(warnings()[0].includes(`data-label='"{n}"' (expected: a text with {count}), data-omit="/(\\d+)" (`), warnings()[0]);
});

story("wrong option in the address does not spoil the right one on the tag", {}, async (stage) => {
  const tag = `<script async src="${stage.server.url}/live.js?links=false&hash=maybe" data-links="body a" data-hash></script>`;
  const { tab, site, warnings } = await openWith(stage, tag, "/#/here");
  const other = await stage.newTab();
  other.allow(OURS);
  await other.open(`${site}/x`);
  await tab.expectViewers("a", 1);
  assert.deepEqual(warnings(), ['options ignored: ?links="false" (expected: a CSS selector), ?hash="maybe" (expected: true or false)']);
});

story("names of parameters are a list without signs of an address", {}, async (stage) => {
  for (const [query, isRight] of [["page", true], ["page, filter[color]", true], ["keep", true], ["drop", true], ["all-day,nonetheless", true], ["?page", false], ["page=1", false], ["page&id", false], ["utm_*", false], ["false", false], ["", false], ["page id", false], ...WRONG.map((query) => [query, false])]) {
    const { warnings, tab } = await openWith(stage, tagWith(stage, `data-query="${query}" data-min="x"`));
    await until("there is a warning", () => warnings().length > 0);
    assert.equal(warnings()[0].includes("data-query="), !isRight, `${query}: ${warnings()}`);
    await tab.close();
  }
});

story("engine that is named where it has no effect is a mistake", {}, async (stage) => {
  const { warnings } = await openWith(stage, `<script async src="${stage.server.url}/live.js?engine=js"></script>`);
  await until("there is a warning", () => warnings().length > 0);
  assert.deepEqual(warnings(), ['options ignored: ?engine="js" (write it as an attribute of the tag: data-engine)']);
});

story("option that is nearly spelled right in the address is told", {}, async (stage) => {
  const { warnings } = await openWith(stage, `<script async src="${stage.server.url}/live.js?data-min=2&MIN=2&hiddenafter=9&v=3"></script>`);
  await until("there is a warning", () => warnings().length > 0);
  const expected = "?data-min (did you mean ?min?), ?MIN (did you mean ?min?), ?hiddenafter (did you mean ?hidden-after?)";
  assert.deepEqual(warnings(), [`options ignored: ${expected}`]);
});

story("second tag with other options is told, and one with the same is not", {}, async (stage) => {
  const other = await openWith(stage, tagWith(stage, 'data-min="1" data-id="7"') + tagWith(stage, 'data-min="2"'));
  await until("there is a warning", () => other.warnings().length > 0);
  const { url } = stage.server;
  const tags = `${url}/live.js data-min="1", or ${url}/live.js data-min="2"`;
  assert.deepEqual(other.warnings(), [`only one of the script tags of this page has an effect. Keep one of these: ${tags}`]);
  const same = await openWith(stage, tagWith(stage, 'data-min="1"').repeat(2));
  await stage.openTab(`${same.site}/x`);
  await same.tab.expectViewers("a", 1);
  assert.deepEqual(same.warnings(), []);
});

story("server that is no address is named, with what to write", {}, async (stage) => {
  const address = 'write server: "https://live.example.org"';
  const given = [
    ['"live.example.org"', `the option server="live.example.org" does not begin with https:// or http://; ${address}`],
    ['"//live.example.org/"', `the option server="//live.example.org/" does not begin with https:// or http://; write server: "https://live.example.org/"`],
    ['"wss://live.example.org"', `the option server="wss://live.example.org" does not begin with https:// or http://; ${address}`],
    ['"localhost:1999"', 'the option server="localhost:1999" does not begin with https:// or http://; write server: "http://localhost:1999"'],
    ["7", `the option server=7 does not begin with https:// or http://; ${address}`],
    ["undefined", `the option server is missing; ${address}`],
  ];
  const script = await bundle(`import { start } from "connection-counter";
    window.ready = async (server) => {
      const handle = start({ server });
      const reason = await handle.ready.catch(({ message }) => message);
      handle.stop();
      return reason;
    };`);
  const { tab } = await openWith(stage, `<script>${script}</script>`);
  for (const [server, reason] of given) assert.equal(await tab.page.evaluate(`ready(${server})`), reason);
  assert.ok(tab.expected[0].includes(given[0][1]), "the console tells it, too");
});

story("attributes of other tools are ignored, and a refusal is still told", { serverArgs: ["--site", "example.org"] }, async (stage) => {
  const options =
    'data-nscript="afterInteractive" data-cfasync="false" data-turbo-track="reload" data-cookieconsent="ignore" data-rocket-src="x" ' +
    'data-test="live" data-id="7" data-main data-src="y" data-type="module" data-link="z" data-observer data-observed data-engines="all"';
  const foreign = await openWith(stage, tagWith(stage, options));
  await until("the refusal is told", () => foreign.warnings().length > 0);
  const wrong = await openWith(stage, tagWith(stage, 'data-min="abc"'));
  await until("both are told", () => wrong.warnings().length > 1);
  // All other warnings have been printed by then.
  assert.equal(foreign.warnings().length, 1);
  assert.match(foreign.warnings()[0], /refused by .*: .*--site/);
  assert.deepEqual(wrong.warnings().map((text) => text.split(" ")[0]).sort(), ["options", "refused"]);
});

story("options of the package are named as in code", {}, async (stage) => {
  const script = await bundle(`import { start } from "connection-counter";
    start({ server: "${stage.server.url}", hiddenafter: 9, dataMin: 2, "data-hash": true, Min: 3, link: "a", colour: "red", min: [], observe: [], pageOf: "x", links: null, label: undefined });`);
  const site = await servePages(stage, () => html("", `${LINK}<script>${script}</script>`));
  const tab = await stage.newTab();
  tab.allow(OURS);
  await tab.open(`${site}/`);
  await until("there is a warning", () => tab.expected.length > 0);
  for (const part of ["hiddenafter (did you mean hiddenAfter?)", "dataMin (did you mean min?)", "data-hash (did you mean hash?)", "Min (did you mean min?)", "link (did you mean links?)", "colour (no such option)", "min=[] (expected: a number)", "observe=[] (expected: true or false)", "links=null (expected: a CSS selector)", `pageOf="x" (expected: a function)`]) {
    assert.ok(tab.expected[0].includes(part), `${part} in ${tab.expected[0]}`);
  }
  assert.equal(tab.expected.length, 1);
});

/** Values that code may give to options. In each of these all are right. */
const ALL_RIGHT = [
  `{ path: "/parties/page/", links: ["a", "area"], scope: "all", min: 0, label: "one={count}|other=\\n{count}", text: "", hash: false, query: ["page", "id"] }`,
  `{ path: "/live?page=", links: "main a", min: Infinity, hiddenAfter: "Infinity", hash: "", query: "keep", canonical: "ignore", omit: "" }`,
  `{ min: "1e3", hiddenAfter: Number.MAX_VALUE, query: "filter[color],grün" }`,
  `{ min: " 2.5 ", hiddenAfter: 1e-7, mergeTabs: "false", observe: "true", self: "omit", bots: "count", debug: false, omit: "?color" }`,
];
/** In each of these all are wrong. */
const ALL_WRONG = [
  `{ path: "live", links: null, scope: ["site"], min: [], hiddenAfter: -1, label: "other", text: "now", hash: [], query: [], canonical: true }`,
  `{ path: "/a b/", links: 5, scope: "", min: "", hiddenAfter: true, label: ["{count}"], mergeTabs: 1, query: null, self: null, omit: ["?a"] }`,
  `{ path: 1, links: "", min: NaN, hiddenAfter: "1.2.3", observe: null, query: /page/, bots: "", debug: "yes", omit: 5, pageOf: "x => x" }`,
  `{ links: {}, min: () => 5, label: 7, text: null, hash: {}, query: 5, canonical: Symbol(), omit: null, pageOf: {}, constructor: 1 }`,
];

story("values of all options are right, or told", {}, async (stage) => {
  const script = await bundle(`import { start } from "connection-counter"; start({ server: new URL("${stage.server.url}"), ...VALUES });`);
  const openWithValues = (values) => openWith(stage, `<script>const VALUES = ${values};</script><script>${script}</script>`);
  for (const values of ALL_RIGHT) {
    const { tab, warnings } = await openWithValues(values);
    await tab.page.waitForFunction(() => document.adoptedStyleSheets.length === 1);
    // The code for warnings is loaded when there is one.
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(warnings(), [], values);
    await tab.close();
  }
  for (const values of ALL_WRONG) {
    const { tab, warnings } = await openWithValues(values);
    await until("there is a warning", () => warnings().length > 0);
    for (const [, name] of values.matchAll(/(\w+): /g)) assert.match(warnings()[0], new RegExp(`(: |, )${name}[= ]`), values);
    await tab.close();
  }
});

story("address of the tag carries options", {}, async (stage) => {
  const { url } = stage.server;
  const site = await servePages(stage, () =>
    html(`<script async src="${url}/live.js?v=7&label={count}%20here&hidden-after=60&min=2" data-min="1"></script>`, LINK),
  );
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  assert.equal(await tab.page.$eval("a", (link) => link.getAttribute("data-viewers-label")), "1 here");
});

story("module tag works", {}, async (stage) => {
  const { url } = stage.server;
  const site = await servePages(stage, () => html(`<script type="module" src="${url}/live.js" data-label="{count}!"></script>`, LINK));
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  assert.equal(await tab.page.$eval("a", (link) => link.getAttribute("data-viewers-label")), "1!");
});

story("loader that runs the script itself is told what to write, or works with the tag", {}, async (stage) => {
  const { url } = stage.server;
  const load = `<script>fetch("${url}/live.js").then((r) => r.text()).then((text) => setTimeout(text));</script>`;
  const alone = await openWith(stage, load);
  await until("there is a warning", () => alone.warnings().length > 0);
  assert.match(alone.warnings()[0], /write <script async src="https:\/\/…\/live\.js"><\/script>/);

  const inert = `<script type="text/plain" data-src src="${url}/live.js" data-label="{count}!"></script>${load}`;
  const beside = await openWith(stage, inert);
  await stage.openTab(`${beside.site}/x`);
  await beside.tab.expectViewers("a", 1);
  assert.deepEqual(beside.warnings(), []);
});

story("programs are not counted, unless the option says so", {}, async (stage) => {
  const site = await servePages(stage, (path) => html(tagWith(stage, path === "/counted" ? 'data-bots="count"' : ""), `${LINK}<a id="c" href="/counted">c</a>`));
  const host = new URL(site).host;
  const driven = await stage.newTab();
  await driven.page.evaluateOnNewDocument(() => Object.defineProperty(Navigator.prototype, "webdriver", { get: () => true }));
  const crawler = await stage.newTab();
  await crawler.page.setUserAgent({ userAgent: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)" });
  const phone = await stage.newTab();
  await phone.page.setUserAgent({ userAgent: "Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 Chrome/142.0 Mobile" });
  for (const tab of [driven, crawler, phone]) await tab.open(`${site}/x`);
  await driven.expectViewers('a[href="/x"]', 1);
  await crawler.expectViewers('a[href="/x"]', 1);
  assert.deepEqual(await stage.server.viewers(host), { [`${host}/x`]: 1 }, "the telephone alone is counted");

  await driven.open(`${site}/counted`);
  await crawler.expectViewers("#c", 1);
});

story("hiding after very long, or never, is not at once", {}, async (stage) => {
  for (const seconds of ["Infinity", "2592000"]) {
    const site = await servePages(stage, () => html(tagWith(stage, `data-hidden-after="${seconds}"`), LINK));
    const host = new URL(site).host;
    const tab = await stage.openTab(`${site}/x`);
    await until("it is counted", async () => (await stage.server.viewers(host))[`${host}/x`] === 1);
    await tab.page.evaluate(() => {
      Object.defineProperty(document, "hidden", { get: () => true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    // A timer that overflows fires within a millisecond or two.
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal((await stage.server.viewers(host))[`${host}/x`], 1, seconds);
  }
});
