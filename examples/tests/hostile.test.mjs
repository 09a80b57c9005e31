// Hostile pages, browsers and servers: no error may reach the page. Every test here fails on an uncaught exception, and on a
// second warning of the widget.

import assert from "node:assert/strict";

import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { freePort } from "./support/ports.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const LINK = '<a href="/x">x</a>';
const ELEMENT = '<viewer-count href="/x">none</viewer-count>';

/** A fake server sends this count for every page that it is asked about. */
const tellsAll = (viewers) => (socket, asked) =>
  socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, viewers])))));

/** A tab that allows the browser's own messages about a broken connection, and one warning of ours. */
async function lenientTab(stage) {
  const tab = await stage.newTab();
  tab.allow(/^console: (?!connection-counter)/);
  tab.allow(/^console: connection-counter/);
  return tab;
}

/** Our warnings in a tab. */
const warnings = (tab) => tab.expected.filter((text) => text.includes("console: connection-counter:"));

/** Long enough to see a second attempt or warning, if there were one. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 1_500));

async function expectWarnings(tab, most) {
  // Earlier messages of the page have arrived when this is answered.
  await tab.shown("html");
  assert.ok(warnings(tab).length <= most, `at most ${most}: ${warnings(tab).join("\n")}`);
}

/** A page with the real server's widget, and a viewer of the page that its link leads to. */
async function expectCounts(stage, head, body = LINK, { prepare, most = 0 } = {}) {
  const site = await servePages(stage, (path) =>
    path === "/x" ? html(`<script async src="${stage.server.url}/live.js"></script>`, "") : html(head, body),
  );
  await stage.openTab(`${site}/x`);
  const tab = most > 0 ? await lenientTab(stage) : await stage.newTab();
  if (prepare) await tab.page.evaluateOnNewDocument(prepare);
  await tab.open(`${site}/`);
  // This asks from outside the page's own world, which may be too broken for the driver.
  await until("the link shows its viewer", async () => (await tab.shown('a[href="/x"]')).every((shown) => shown === "1"));
  await expectWarnings(tab, most);
  return tab;
}

const expectElementCounts = (tab) =>
  until("the element shows a viewer", () => tab.page.$eval("viewer-count", ({ shadowRoot }) => shadowRoot.textContent === "1"));

const tag = (stage, options = "") => `<script async src="${stage.server.url}/live.js" ${options}></script>`;

// Servers.

story("server that is down gets one warning at most", {}, async (stage) => {
  const fake = await startFakeServer(stage);
  const falling = await startFakeServer(stage, { replaces: (file) => (file === "live.js" ? undefined : null) });
  const dead = `http://127.0.0.1:${await freePort()}`;
  const site = await servePages(stage, (path) =>
    html(`<script async src="${path === "/files" ? falling.url : fake.url}/live.js" data-server="${dead}"></script>`, LINK),
  );

  const files = await lenientTab(stage);
  await files.open(`${site}/files`);
  await until("the widget says that its files are not there", () => warnings(files).length === 1);

  const rooms = await lenientTab(stage);
  await rooms.open(`${site}/rooms`);
  const refusals = () => rooms.expected.filter((text) => text.includes("ERR_CONNECTION_REFUSED"));
  await until("the widget has tried again", () => refusals().length > 1);
  await expectWarnings(rooms, 0);
});

story("files that never arrive break nothing", {}, async (stage) => {
  const seen = [];
  const fake = await startFakeServer(stage, {
    serves: (file) => {
      seen.push(file);
      return !file.endsWith(".wasm");
    },
  });
  const site = await servePages(stage, () => html(`<script async src="${fake.url}/live.js"></script>`, LINK));
  const tab = await stage.openTab(`${site}/`);
  await until("the module is asked for", () => seen.some((file) => file.endsWith(".wasm")));
  assert.deepEqual(await tab.shown("a"), [null]);
  // It can still be stopped.
  await until("there is a handle", () => tab.page.evaluate(() => window[Symbol.for("connection-counter")]?.handle));
  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
});

story("module that is broken gets its JavaScript twin", {}, async (stage) => {
  const fake = await startFakeServer(stage, {
    connected: tellsAll(7),
    replaces: (file) => (file.endsWith(".wasm") ? "no module" : undefined),
  });
  const site = await servePages(stage, () => html(`<script async src="${fake.url}/live.js"></script>`, LINK));
  const tab = await stage.openTab(`${site}/`);
  await tab.expectViewers("a", 7);
});

story("server that never answers is asked once, and stop works", {}, async (stage) => {
  const fake = await startFakeServer(stage, { answersHandshakes: false });
  const site = await servePages(stage, () => html(`<script async src="${fake.url}/live.js"></script>`, LINK));
  const tab = await stage.openTab(`${site}/`);
  await until("the widget knocks", () => fake.knocks() === 1);
  // As if the reader had looked at another tab, and came back.
  await tab.page.evaluate(() => {
    for (const type of ["pageshow", "online"]) dispatchEvent(new Event(type));
    document.dispatchEvent(new Event("visibilitychange"));
  });
  assert.deepEqual(await tab.shown("a"), [null]);

  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  await until("the widget goes away from the door", () => fake.waiting() === 0);
  assert.equal(fake.knocks(), 1);
});

story("wrong addresses get one warning at most", {}, async (stage) => {
  const site = await servePages(stage, (path) =>
    html(tag(stage, { "/scheme": 'data-server="ftp://x" data-min="red" data-colour="red"', "/broken": 'data-server="http://["', "/site": `data-server="${stage.host.url}"` }[path]), LINK),
  );
  for (const [path, most] of Object.entries({ "/scheme": 1, "/broken": 1, "/site": 0 })) {
    const tab = await lenientTab(stage);
    await tab.open(site + path);
    // If we print nothing, the browser prints a message for each of our attempts.
    await until(`${path} is noticed`, () => (most > 0 ? warnings(tab).length > 0 : tab.expected.length > 1));
    await aWhile();
    await expectWarnings(tab, most);
  }
});

// Browsers and policies that refuse.

story("WebSocket that throws gets one warning", {}, async (stage) => {
  const breaks = [
    () => (window.WebSocket = class { constructor() { throw new Error("blocked"); } }),
    () => delete window.WebSocket,
    () => (window.WebSocket = function () { return {}; }),
  ];
  const site = await servePages(stage, () => html(tag(stage), LINK));
  for (const prepare of breaks) {
    const tab = await lenientTab(stage);
    await tab.page.evaluateOnNewDocument(prepare);
    await tab.open(`${site}/`);
    await until("the widget says so", () => warnings(tab).length === 1);
    await aWhile();
    await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
    await expectWarnings(tab, 1);
  }
});

story("connection that a policy refuses is not tried again", {}, async (stage) => {
  const site = await servePages(stage, () =>
    html(
      `<meta http-equiv="content-security-policy" content="connect-src ${stage.server.url}">${tag(stage)}`,
      LINK,
    ),
  );
  const tab = await lenientTab(stage);
  await tab.open(`${site}/`);
  const refusals = () => tab.expected.filter((text) => /violates the following Content Security Policy/.test(text));
  await until("the browser says so", () => refusals().length > 0);
  await until("we say so", () => warnings(tab).length === 1);
  const before = refusals().length;
  // This is longer than the first three attempts of a widget that tries again.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(refusals().length, before, "the widget does not insist");
  await expectWarnings(tab, 1);
});

// Messages.

/** Makes the same numbers below 1 in every run. */
function randomFrom(seed) {
  let state = seed;
  return () => {
    // The generator of Park and Miller.
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** What is no count. */
const NO_COUNTS = [-1, 1.5, 1e300, 2 ** 53, "9", "", null, true, [], [9], {}, { valueOf: 9 }, { length: 9 }, "constructor"];

/** Makes a message with nothing true about the page `id`, in many forms. */
function garbage(random, id) {
  const pick = (values) => values[Math.floor(random() * values.length)];
  const value = () => pick(NO_COUNTS);
  const name = () => pick([id, "__proto__", "constructor", "toString", "", "0", `${id}/never-asked`, "\u0000", "x".repeat(9_999)]);
  const pairs = () => `{${Array.from({ length: Math.floor(random() * 4) }, () => `${JSON.stringify(name())}:${JSON.stringify(value())}`)}}`;
  return pick([
    () => `{"type":"update","connections":${pairs()}}`,
    () => `{"type":"update","connections":${JSON.stringify(value())}}`,
    () => `{"type":${JSON.stringify(value())},"connections":{${JSON.stringify(id)}:9}}`,
    () => `{"__proto__":{"type":"update","connections":{${JSON.stringify(id)}:9}}}`,
    () => `{"type":"update","connections":{"__proto__":{"polluted":9},${JSON.stringify(`${id}/other`)}:9}}`,
    () => `{"type":"update","connections":{${JSON.stringify(id)}:9}`,
    () => `{"type":"update","connections":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
    () => "[".repeat(5_000),
    () => JSON.stringify(value()),
    () => Buffer.from(`{"type":"update","connections":{${JSON.stringify(id)}:9}}`),
    () => Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256))),
    () => "",
    () => "pong",
    () => '{"type":"error","code":"bad-message","message":"no"}',
  ])();
}

story("garbage from the server changes nothing", {}, async (stage) => {
  const MESSAGES = 5_000;
  const fake = await startFakeServer(stage, { connected: tellsAll(3) });
  const site = await servePages(stage, () => html(`<script async src="${fake.url}/live.js"></script>`, LINK));
  const tab = await stage.openTab(`${site}/`);
  await tab.expectViewers("a", 3);
  await tab.record("a");

  const [socket] = fake.sockets;
  const random = randomFrom(1);
  const id = `${new URL(site).host}/x`;
  for (const none of NO_COUNTS) socket.send(update({ [id]: none }));
  // While messages pour in, numbers are not drawn.
  await aWhile();
  for (let sent = 0; sent < MESSAGES; sent++) socket.send(garbage(random, id));
  socket.send(update({ [id]: 4, "never/asked": 9 }));
  await tab.expectViewers("a", 4);
  assert.deepEqual(await tab.recorded(), ["3", "4"], "nothing else was ever shown");
  assert.equal(await tab.page.evaluate(() => ({}).polluted), undefined);
});

// Pages.

story("50,000 links do not matter", {}, async (stage) => {
  const MANY = 50_000;
  const links = Array.from({ length: MANY }, (_, i) => `<p><a href="/page/${i}">${i}</a></p>`).join("");
  const tab = await expectCounts(stage, tag(stage), `${LINK}${links}<a id="last" href="/x?last">last</a>`);
  await stage.openTab(new URL("/x?last", tab.page.url()).href);
  await tab.page.evaluate(() => document.querySelector("#last").scrollIntoView());
  await tab.expectViewers("#last", 1);
});

story("broken links do not matter", {}, async (stage) => {
  const broken = ["http://[", "http://a b/", "//", "http:", "%", "https://%zz", "javascript:void 0", "\u0000", "?", "#", "mailto:", "x".repeat(9_999), "http://x:99999/", "blob:x"];
  // SVG links come first, because the browser does not resolve them, and an `href` is looked up only once.
  const body = broken.map((href) => `<svg><a href="${href}"></a></svg><a class="broken" href="${href}">b</a>`).join("") + LINK;
  await expectCounts(stage, tag(stage), body);
});

story("extended prototypes do not matter", {}, async (stage) => {
  const prepare = () => {
    for (const prototype of [Object.prototype, Array.prototype, Function.prototype, String.prototype, Element.prototype]) {
      prototype.each = prototype.extend = function () {};
      for (const name of ["other", "entry", "links", "label", "0x"]) {
        Object.defineProperty(prototype, name, {
          enumerable: true,
          configurable: true,
          get: () => "polluted",
          set(value) {
            Object.defineProperty(this, name, { value, enumerable: true, configurable: true, writable: true });
          },
        });
      }
    }
    // Names that browsers look for in options.
    for (const name of ["signal", "once", "passive", "cancelable", "customElementRegistry", "style", "currency"]) {
      Object.prototype[name] = "polluted";
    }
    // A name that an observer of attributes may not find to be false.
    Object.prototype.attributes = false;
    document.addEventListener("viewers", ({ cancelable }) => (window.isCancelable = cancelable));
    // An old library does this.
    Object.prototype.toJSON = Array.prototype.toJSON = function () {
      return "mine";
    };
  };
  const tab = await expectCounts(stage, `<script>(${prepare})()</script>${tag(stage)}`, LINK + ELEMENT);
  await expectElementCounts(tab);
  assert.equal(await tab.page.evaluate(() => window.isCancelable), false);
  const { host } = new URL(tab.page.url());
  const expectPage = (viewers) =>
    until(`the page has ${viewers} viewers`, async () => ((await stage.server.viewers(host))[`${host}/`] ?? 0) === viewers);
  // It may happen twice.
  for (let time = 0; time < 2; time++) {
    await tab.page.evaluate(() => dispatchEvent(new Event("offline")));
    await expectPage(0);
    await tab.page.evaluate(() => dispatchEvent(new Event("online")));
    await expectPage(1);
  }
  // Numbers with other digits need more of the browser.
  const persian = await expectCounts(stage, `<script>(${prepare})(); document.documentElement.lang = "fa"</script>${tag(stage)}`);
  const label = () => persian.page.$eval("a", (link) => link.getAttribute("data-viewers-label"));
  await until("the number has them", async () => (await label()) === "۱");
});

story("names that all objects have, and nobody may write, do not matter", {}, async (stage) => {
  const prepare = () => {
    const ours =
      "attach callback closed count detach detail handle label links mistakes moved notify observe pageOf path ready room server socket " +
      "stop subscriptions text total url wasOpen widget";
    for (const name of ours.split(" ")) {
      Object.defineProperty(Object.prototype, name, { value: undefined });
    }
  };
  const tab = await expectCounts(stage, `<script>(${prepare})()</script>${tag(stage)}`, LINK + ELEMENT);
  await expectElementCounts(tab);
});

story("frozen prototypes and elements do not matter", {}, async (stage) => {
  const freeze = () => {
    for (const thing of [Object, Array, Function, Map, Set, Promise, Element, Node, Document, EventTarget, Error]) {
      Object.freeze(thing.prototype);
      Object.freeze(thing);
    }
    try {
      Object.freeze(window);
    } catch {
      // No browser does.
    }
    const freezeAll = () => [document, ...document.querySelectorAll("*")].forEach(Object.freeze);
    freezeAll();
    addEventListener("DOMContentLoaded", freezeAll);
  };
  const tab = await expectCounts(stage, `<script>(${freeze})()</script>${tag(stage)}`, LINK + ELEMENT);
  await expectElementCounts(tab);
});

story("names of a page's own do not matter", {}, async (stage) => {
  const body = `<script>var navigation = { home: 1 }, status = 1, origin = 2, page = 3, head = 4, links = 5
    class Document {}</script>
    <img name="currentScript" hidden alt="">${'<img name="head" hidden alt="">'.repeat(2)}<a name="handle" id="connection-counter"></a>
    <script src="${stage.server.url}/live.js"></script>${LINK}`;
  await expectCounts(stage, "", body);
});

story("form whose fields hide its methods costs no other link", {}, async (stage) => {
  const tab = await expectCounts(stage, tag(stage), '<main></main><a href="/x">x</a>');
  await tab.page.evaluate(() => {
    const main = document.querySelector("main");
    const form = '<form><input name="querySelectorAll"><input name="matches"><input name="isConnected"></form>';
    main.innerHTML = `${form}<p><a href="/x">late</a></p>${form}`;
  });
  await tab.expectViewers('a[href="/x"]', 1);
});

story("link in a form whose fields hide its methods costs no other link its place", {}, async (stage) => {
  const form = `<form><input name="matches">${LINK}</form>`;
  const tab = await expectCounts(stage, tag(stage), `${form}${`<p>${LINK}</p>`.repeat(3)}`, { most: 1 });
  const placed = () => tab.page.$$eval("p a[data-viewers-place]", (links) => links.length);
  await until("the others have their places", async () => (await placed()) === 3);
});

story("tag before the body, and two of them, are one widget", {}, async (stage) => {
  // Without `async` it runs before there is a body.
  const early = `<script src="${stage.server.url}/live.js"></script>`;
  const tab = await expectCounts(stage, early + early, `${LINK}${tag(stage)}`);
  const host = new URL(tab.page.url()).host;
  const viewers = async () => (await stage.server.viewers(host))[`${host}/`] ?? 0;
  await until("the page is counted once", async () => (await viewers()) === 1);
  const stylesheets = () => tab.page.evaluate(() => document.adoptedStyleSheets.length);
  assert.equal(await stylesheets(), 1);

  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  await tab.expectViewers("a", 0);
  assert.equal(await stylesheets(), 0, "there is no other one left");
  await until("the page is not counted any more", async () => (await viewers()) === 0);
});

story("console that throws does not matter", {}, async (stage) => {
  const site = await servePages(stage, () => html(tag(stage, 'data-min="red"'), LINK));
  const tab = await stage.newTab();
  await tab.page.evaluateOnNewDocument(() => {
    window.warned = 0;
    console.warn = () => {
      window.warned++;
      throw new Error("no warnings here");
    };
  });
  await tab.open(`${site}/`);
  await until("we warned", () => tab.page.evaluate(() => window.warned === 1));
  const other = await lenientTab(stage);
  await other.open(`${site}/x`);
  await tab.expectViewers("a", 1);
});
