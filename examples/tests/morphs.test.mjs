// Libraries that morph a page into new HTML of the server remove everything that the new HTML lacks, also numbers. The widget
// puts them back before anyone sees the change. If a page removes them again and again, the widget stops.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** This many morphs, as fast as the library can. */
const ROUNDS = 8;

/** Makes `morph` fetch the new content and pass it to a function of a library. */
const fetching = (call) => `window.morph = async () => {
  const main = document.querySelector("main");
  const sent = await (await fetch("/main")).text();
  ${call}
};`;
/** Makes `morph` press a button that the library handles, and wait for its event. */
const pressing = (event) => `window.morph = () => new Promise((resolve) => {
  document.addEventListener("${event}", () => setTimeout(resolve), { once: true });
  document.querySelector("button").click();
});`;

/** The current version of each library: what to import, how to morph, and what its page needs. */
const LIBRARIES = {
  "morphdom, which LiveView uses": { script: `import morphdom from "morphdom"; ${fetching("morphdom(main, sent);")}` },
  idiomorph: { script: `import { Idiomorph } from "idiomorph"; ${fetching("Idiomorph.morph(main, sent);")}` },
  "Alpine's morph, which Livewire uses": {
    script: `import Alpine from "alpinejs"; import morph from "@alpinejs/morph";
      Alpine.plugin(morph); Alpine.start(); ${fetching("Alpine.morph(main, sent);")}`,
  },
  "htmx 2 with idiomorph": {
    script: `import "htmx.org"; import "idiomorph/htmx"; ${pressing("htmx:afterSettle")}`,
    alias: { "htmx.org": "htmx-2" },
    controls: '<button hx-ext="morph" hx-get="/main" hx-target="main" hx-swap="morph:outerHTML">morph</button>',
  },
  "htmx 4": {
    script: `import "htmx.org"; ${pressing("htmx:after:swap")}`,
    controls: '<button hx-get="/main" hx-target="main" hx-swap="outerMorph">morph</button>',
  },
  "Turbo 8": {
    script: `import * as Turbo from "@hotwired/turbo"; window.morph = () => new Promise((resolve) => {
      document.addEventListener("turbo:render", resolve, { once: true });
      Turbo.renderStreamMessage('<turbo-stream action="refresh"></turbo-stream>');
    });`,
    head: '<meta name="turbo-refresh-method" content="morph"><meta name="turbo-refresh-scroll" content="preserve">',
  },
};

/** A server that sends 7 viewers for every page. */
const startServer = (stage) =>
  startFakeServer(stage, {
    connected: (socket, asked) =>
      socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, 7]))))),
  });

for (const [library, { script, alias, head = "", controls = "" }] of Object.entries(LIBRARIES)) {
  story(`numbers survive ${library}`, {}, async (stage) => {
    const { url } = await startServer(stage);
    const code = await bundle(script, alias);
    let round = 0;
    const main = () => `<main id="main"><p>${round}</p><a href="/x">x</a> <a href="/only-${round}">new</a></main>`;
    const tags = `${head}<script async src="${url}/live.js"></script><script defer src="/library.js"></script>`;
    const page = { "/main": main, "/library.js": () => code, "/": () => html(tags, controls + main()) };
    const site = await servePages(stage, (path) => page[path]?.());
    const tab = await stage.openTab(`${site}/`);
    await tab.expectViewers("main a", 7);

    while (round < ROUNDS) {
      round += 1;
      const seen = await tab.page.evaluate(async () => {
        const link = document.querySelector('a[href="/x"]');
        const bare = [];
        const observer = new MutationObserver((records) => bare.push(...records));
        observer.observe(link, { attributeFilter: ["data-viewers"] });
        await window.morph();
        await new Promise((resolve) => requestAnimationFrame(resolve));
        observer.disconnect();
        const [text, after] = [document.querySelector("main p").textContent, document.querySelector('a[href="/x"]')];
        return { text, isSame: after === link, shown: link.getAttribute("data-viewers"), isTaken: bare.length > 0 };
      });
      assert.deepEqual(seen, { text: `${round}`, isSame: true, shown: "7", isTaken: true }, `round ${round}`);
    }
    await tab.expectViewers("main a", 7);
  });
}

/** A page with our `tag`, idiomorph, and one link, which shows 7 viewers. */
async function openLink(stage, tag) {
  const code = await bundle(LIBRARIES.idiomorph.script);
  const main = '<main><a href="/x">x</a></main>';
  const page = { "/main": () => main, "/library.js": () => code, "/": () => html(`${tag}<script defer src="/library.js"></script>`, main) };
  const site = await servePages(stage, (path) => page[path]?.());
  const tab = await stage.openTab(`${site}/`);
  await tab.expectViewers("a", 7);
  await tab.page.waitForSelector("a[data-viewers-place]");
  return { site, tab };
}

story("labels are back with their numbers", {}, async (stage) => {
  const { url } = await startServer(stage);
  const { tab } = await openLink(stage, `<script async src="${url}/live.js" data-label="{count} readers"></script>`);
  await tab.page.evaluate(async () => {
    await window.morph();
    await new Promise((resolve) => requestAnimationFrame(resolve));
  });
  const attributes = await tab.page.$eval("a", ({ attributes }) => [...attributes].map(({ name, value }) => [name, value]));
  assert.deepEqual(attributes.sort(), [
    ["data-viewers", "7"],
    ["data-viewers-label", "7 readers"],
    ["data-viewers-place", "beside"],
    ["href", "/x"],
  ]);
});

story("numbers of an older copy that a page is morphed into do not stay", {}, async (stage) => {
  const viewers = { x: 3, gone: 4, own: 5 };
  let tell;
  const { url } = await startFakeServer(stage, {
    connected: (socket, asked) => {
      tell = () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, viewers[id.split("/")[1]]]))));
      socket.on("message", tell);
    },
  });
  const code = await bundle(LIBRARIES.idiomorph.script);
  let main = `<main><p><a href="/x">x</a></p> <p><a href="/gone">gone</a></p> <p><a href="/own">own</a></p>
    <a href="#here">here</a></main>`;
  const tags = `<script async src="${url}/live.js" data-label="{count} readers"></script><script defer src="/library.js"></script>`;
  const page = { "/main": () => main, "/library.js": () => code, "/": () => html(tags, main) };
  const site = await servePages(stage, (path) => page[path]?.());
  const tab = await stage.openTab(`${site}/`);
  await until("all are drawn", async () => (await tab.page.$$("[data-viewers-place]")).length === 3);
  const older = await tab.page.$eval("main", (main) => main.outerHTML);
  Object.assign(viewers, { x: 7, gone: 0, own: 6 });
  tell();
  await tab.expectViewers('a[href="/own"]', 6);
  await tab.expectViewers('a[href="/gone"]', 0);
  // The copy may be older than this page: from a cache, or saved as a file. Then its links have numbers that they never had here.
  main = older.replaceAll("5", "50").replace('<a href="#', '<a data-viewers="9" data-viewers-place="beside" href="#');
  for (let round = 0; round < ROUNDS; round += 1) {
    const shown = await tab.page.evaluate(async () => {
      await window.morph();
      await new Promise((resolve) => requestAnimationFrame(resolve));
      return [...document.querySelectorAll("a")].map((link) =>
        ["data-viewers", "data-viewers-label"].map((name) => link.getAttribute(name)),
      );
    });
    assert.deepEqual(shown, [["7", "7 readers"], [null, null], ["6", "6 readers"], [null, null]], `round ${round}`);
  }
});

/** A page that removes numbers again and again. It counts how often it found one in three seconds, and whether any came later. */
const PERSISTENT = {
  "in answer to each": "new MutationObserver(take).observe(document, { attributes: true, subtree: true }); take();",
  "in every frame": "const again = () => requestAnimationFrame(again, take()); again();",
  "thirty times a second": "setInterval(take, 33);",
};

for (const [how, insist] of Object.entries(PERSISTENT)) {
  story(`page that takes numbers away ${how} has its will`, {}, async (stage) => {
    let viewers = 7;
    const sockets = [];
    const { url } = await startFakeServer(stage, {
      connected: (socket, asked) => {
        sockets.push(socket);
        socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, viewers])))));
      },
    });
    const site = await servePages(stage, () =>
      html(`<script async src="${url}/live.js"></script>`, '<a href="/x">x</a> <a id="other" href="/y">y</a>'),
    );
    const tab = await stage.openTab(`${site}/`);
    await tab.expectViewers("a", 7);
    await tab.page.evaluate(`{
      window.taken = 0;
      const link = document.querySelector("a");
      const take = () => {
        if (!link.hasAttribute("data-viewers")) return;
        window.taken += 1;
        link.removeAttribute("data-viewers");
      };
      ${insist}
    }`);
    const taken = () => tab.page.evaluate(() => window.taken);
    await until("the widget tries a few times", async () => (await taken()) > 1);
    // The widget stops: no number is written for a second.
    let last;
    await until("the widget gives in", async () => {
      const before = await taken();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      return (last = await taken()) === before;
    });
    assert.ok(last < 60, `it was written ${last} times`);

    // It also stays away when the number changes.
    viewers = 8;
    for (const id of ["x", "y"]) sockets.at(-1).send(update({ [`${new URL(site).host}/${id}`]: viewers }));
    await tab.expectViewers("#other", 8);
    assert.ok((await taken()) - last <= 1, "a new number may be tried once");
    await tab.expectViewers('a[href="/x"]', 0);
  });
}

story("numbers come back after a page was morphed again and again, at the latest with the next count", {}, async (stage) => {
  let viewers = 7;
  const sockets = [];
  const { url } = await startFakeServer(stage, {
    connected: (socket, asked) => {
      sockets.push(socket);
      socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, viewers])))));
    },
  });
  const { site, tab } = await openLink(stage, `<script async src="${url}/live.js"></script>`);
  // As an answer that is streamed.
  const stream = async () => {
    await tab.page.evaluate(async () => {
      for (let left = 60; left > 0; left -= 1) {
        await window.morph();
        await new Promise((resolve) => setTimeout(resolve, 33));
      }
    });
    assert.deepEqual(await tab.page.$eval("a", (link) => link.getAttributeNames()), ["href"], "nothing of ours is left");
  };
  await stream();
  await tab.expectViewers("a", 7);
  await stream();
  viewers = 8;
  sockets.at(-1).send(update({ [`${new URL(site).host}/x`]: viewers }));
  await tab.expectViewers("a", 8);
});

story("page that writes a number of its own again and again has its will", {}, async (stage) => {
  const { url } = await startServer(stage);
  const { tab } = await openLink(stage, `<script async src="${url}/live.js"></script>`);
  const written = await tab.page.evaluate(async () => {
    document.body.insertAdjacentHTML("beforeend", '<a href="#here">here</a>');
    let written = 0;
    for (const link of document.querySelectorAll("a")) {
      const insist = () => {
        if (link.dataset.viewers === "99") return;
        written += 1;
        link.dataset.viewers = "99";
      };
      new MutationObserver(insist).observe(link, { attributes: true });
      insist();
    }
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    return written;
  });
  assert.ok(written < 300, `it was written ${written} times`);
  const attributes = () => tab.page.$eval("a", ({ attributes }) => [...attributes].map(({ name, value }) => `${name}=${value}`));
  assert.deepEqual(await attributes(), ["href=/x", "data-viewers=99"]);
  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  assert.deepEqual(await attributes(), ["href=/x", "data-viewers=99"]);
});
