// Pages that replace, copy and restore parts with numbers. The numbers of the new parts are right, and none is left over.

import assert from "node:assert/strict";

import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

// Each link has room for its number.
const BODY = '<main><p><a href="/x">x</a></p><p><a href="/y">y</a></p></main>';

/** A page whose links to `/x` and `/y` lead to pages with 7 and 3 viewers. Returns its tab, and a way to send other counts. */
async function openPage(stage, body = BODY) {
  const viewers = { x: 7, y: 3 };
  let site;
  const sockets = [];
  const told = (asked) => {
    const ids = Object.keys(viewers).map((name) => [`${new URL(site).host}/${name}`, viewers[name]]);
    return update(Object.fromEntries(ids.filter(([id]) => asked.has(id))));
  };
  const { url } = await startFakeServer(stage, {
    connected: (socket, asked) => {
      sockets.push(() => socket.send(told(asked)));
      socket.on("message", () => socket.send(told(asked)));
    },
  });
  site = await servePages(stage, () => html(`<script async src="${url}/live.js"></script>`, body));
  const tab = await stage.openTab(`${site}/`);
  await tab.expectViewers('a[href="/x"]', 7);
  await tab.expectViewers('a[href="/y"]', 3);
  const tell = (x, y) => {
    Object.assign(viewers, { x, y });
    sockets.at(-1)();
  };
  return { tab, tell };
}

/** The ways in which pages change themselves. */
const SWAPS = {
  "sets its own markup again": () => (document.body.innerHTML = document.body.innerHTML),
  "replaces its body with a copy": () => document.body.replaceWith(document.body.cloneNode(true)),
  "replaces its whole content with a copy": () => document.documentElement.replaceWith(document.documentElement.cloneNode(true)),
  "copies a link and sends the copy elsewhere": () => {
    const [x, y] = document.querySelectorAll("a");
    const [copyOfX, copyOfY] = [x.cloneNode(true), y.cloneNode(true)];
    [copyOfX.href, copyOfY.href] = ["/y", "/x"];
    document.querySelector("main").append(copyOfX, copyOfY);
  },
  "lets two links change places": () => {
    const [x, y] = document.querySelectorAll("a");
    [x.href, y.href] = ["/y", "/x"];
  },
  "is written anew": () => {
    const markup = document.querySelector("main").outerHTML;
    document.open();
    document.write(`<!doctype html><html lang="en"><body>${markup}</body></html>`);
    document.close();
  },
  "swaps its content in a transition": () =>
    document.startViewTransition(() => (document.querySelector("main").outerHTML = document.querySelector("main").outerHTML))
      .updateCallbackDone,
  "restores what it had kept": async () => {
    const kept = document.querySelector("main");
    kept.replaceWith("Nothing yet.");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    document.body.append(kept);
  },
};

for (const [how, swap] of Object.entries(SWAPS)) {
  story(`numbers are right on a page that ${how}`, {}, async (stage) => {
    const { tab, tell } = await openPage(stage);
    await tab.page.evaluate(swap);
    await tab.expectViewers('a[href="/x"]', 7);
    await tab.expectViewers('a[href="/y"]', 3);
    tell(8, 4);
    await tab.expectViewers('a[href="/x"]', 8);
    await tab.expectViewers('a[href="/y"]', 4);
    const isDrawn = () => tab.page.$eval("a", (link) => getComputedStyle(link, "::after").content !== "none");
    await until("they are drawn", isDrawn);
    await tab.page.evaluate(() => document.body.insertAdjacentHTML("beforeend", '<a id="new" href="/x">x</a>'));
    await tab.expectViewers("#new", 8);

    await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
    assert.doesNotMatch(await tab.page.evaluate(() => document.documentElement.outerHTML), /data-viewers/);
  });
}

story("copies that lead to no page have no number", {}, async (stage) => {
  const { tab } = await openPage(stage);
  await tab.page.waitForSelector("a[data-viewers-place]");
  await tab.page.evaluate(() => {
    for (const href of ["https://elsewhere.example/", "#part", "mailto:me@example.org"]) {
      const copy = document.querySelector("a").cloneNode(true);
      copy.href = href;
      document.querySelector("main").append(copy);
    }
    document.querySelector("main").insertAdjacentHTML("beforeend", "<p id=edited contenteditable></p>");
    document.querySelector("#edited").append(document.querySelector("a").cloneNode(true));
  });
  const copies = "a:not([href='/x'], [href='/y']), #edited a";
  assert.equal(await tab.page.$$eval(copies, (links) => links.length), 4);
  await until("none of ours is left", async () => {
    const attributes = await tab.page.$$eval(copies, (links) => links.flatMap((link) => link.getAttributeNames()));
    return !attributes.some((name) => name.startsWith("data-viewers"));
  });
  await tab.expectViewers('p:not(#edited) > a[href="/x"]', 7);
});

story("link that leads elsewhere shows no other page's number, not even for a frame", {}, async (stage) => {
  const { tab, tell } = await openPage(stage);
  // Numbers that have just been written are not written again soon.
  tell(9, 5);
  await tab.expectViewers('a[href="/x"]', 9);
  const shown = await tab.page.evaluate(async () => {
    const [x, y] = document.querySelectorAll("a");
    [x.href, y.href] = ["/y", "https://elsewhere.example/"];
    await new Promise((resolve) => requestAnimationFrame(resolve));
    return [x, y].map((link) => link.getAttribute("data-viewers"));
  });
  assert.deepEqual(shown, ["5", null]);
});

story("snapshot with old numbers shows the new ones", {}, async (stage) => {
  const { tab, tell } = await openPage(stage);
  await tab.page.evaluate(() => (window.snapshot = document.body.cloneNode(true)));
  tell(9, 0);
  await tab.expectViewers('a[href="/x"]', 9);
  const shown = await tab.page.evaluate(async () => {
    document.body.replaceWith(window.snapshot);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    return [...document.querySelectorAll("a")].map((link) => link.getAttribute("data-viewers"));
  });
  assert.deepEqual(shown, ["9", null]);
});

story("numbers in the page's own HTML are removed", {}, async (stage) => {
  const { tab } = await openPage(stage, '<main><a href="/x" data-viewers="99">x</a> <a href="/y">y</a></main><a id="none" href="/z" data-viewers="5">z</a>');
  await tab.expectViewers("#none", 0);
});

story("content of a shadow root is swapped and morphed like any other", {}, async (stage) => {
  const body = `${BODY}<div id="host" data-viewers-inside></div><script>
    document.querySelector("#host").attachShadow({ mode: "open" }).innerHTML = '<a href="/x">x</a>';
  </script>`;
  const { tab } = await openPage(stage, body);
  const inside = () => tab.page.evaluate(() => document.querySelector("#host").shadowRoot.querySelector("a").getAttribute("data-viewers"));
  await until("the link inside has its number", async () => (await inside()) === "7");
  await tab.page.evaluate(() => document.querySelector("#host").shadowRoot.querySelector("a").removeAttribute("data-viewers"));
  await until("it is back", async () => (await inside()) === "7");
  await tab.page.evaluate(() => (document.querySelector("#host").shadowRoot.innerHTML = '<a href="/y" data-viewers="7">y</a>'));
  await until("the new link has its own", async () => (await inside()) === "3");
  // Places are looked for while our style sheet is gone.
  await tab.page.evaluate(() => {
    const { shadowRoot } = document.querySelector("#host");
    shadowRoot.adoptedStyleSheets = [];
    shadowRoot.dispatchEvent(new Event("scroll"));
  });
  const isDrawn = () =>
    tab.page.evaluate(() => getComputedStyle(document.querySelector("#host").shadowRoot.querySelector("a"), "::after").content !== "none");
  await until("it is drawn again", isDrawn);
});

story("links may go while their places are looked for", {}, async (stage) => {
  const { tab } = await openPage(stage, `${BODY}<main></main><template></template>`);
  await tab.page.evaluate(async () => {
    const main = document.querySelector("main");
    const { content } = document.querySelector("template");
    const end = performance.now() + 4_000;
    for (let round = 0; performance.now() < end; round += 1) {
      // Some are dropped, and some are kept for later.
      if (round % 2 === 0) content.replaceChildren(...main.childNodes);
      main.innerHTML = '<a href="/x">x</a>';
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
    }
  });
  await until("the last one has its number", () => tab.page.$eval("main a", (link) => link.getAttribute("data-viewers") === "7"));
});
