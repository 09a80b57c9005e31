// Pages that remove what the widget adds, or refuse what it needs. Numbers stay right, and the widget stops if the page
// insists.

import assert from "node:assert/strict";
import { createServer } from "node:http";

import { bundle } from "./support/bundle.mjs";
import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const LINK = '<a href="/x">x</a>';

/** A page with this body. All its links lead to pages with 7 viewers. Returns its tab and the server. */
async function openPage(stage, body, { head = "", options = "", prepare } = {}) {
  const asked = [];
  const fake = await startFakeServer(stage, {
    connected: (socket, ids) =>
      socket.on("message", () => {
        asked.splice(0, Infinity, ...ids);
        socket.send(update(Object.fromEntries([...ids].map((id) => [id, 7]))));
      }),
  });
  const site = await servePages(stage, () => html(`${head}<script async src="${fake.url}/live.js" ${options}></script>`, body));
  const tab = await stage.newTab();
  if (prepare) await tab.page.evaluateOnNewDocument(prepare);
  await tab.open(`${site}/`);
  return { tab, fake, asked };
}

story("removed number is back before the next frame", {}, async (stage) => {
  const { tab } = await openPage(stage, LINK);
  await tab.expectViewers("a", 7);
  for (let time = 0; time < 3; time++) {
    const back = await tab.page.evaluate(async () => {
      // This is too late to be a reaction to our writing.
      await new Promise((resolve) => setTimeout(resolve, 300));
      document.querySelector("a").removeAttribute("data-viewers");
      await new Promise((resolve) => requestAnimationFrame(resolve));
      return document.querySelector("a").getAttribute("data-viewers");
    });
    assert.equal(back, "7");
  }
});

story("page that keeps removing a number is left alone", {}, async (stage) => {
  const { tab } = await openPage(stage, LINK);
  await tab.expectViewers("a", 7);
  const removals = await tab.page.evaluate(async () => {
    let removed = 0;
    const link = document.querySelector("a");
    const remove = () => {
      if (!link.hasAttribute("data-viewers")) return;
      removed += 1;
      link.removeAttribute("data-viewers");
    };
    new MutationObserver(remove).observe(link, { attributes: true });
    remove();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return removed;
  });
  assert.ok(removals > 1 && removals < 10, `${removals} removals`);
  await tab.expectViewers("a", 0);
});

/** The ways in which a page drops unknown stylesheets. */
const DROPPING = {
  "sets anew": () => (document.adoptedStyleSheets = [new CSSStyleSheet()]),
  "sets to none": () => (document.adoptedStyleSheets = []),
  "takes from their list": () => document.adoptedStyleSheets.splice(0),
};

for (const [how, drop] of Object.entries(DROPPING)) {
  story(`stylesheets that a page ${how} lose ours for a moment only`, {}, async (stage) => {
    const { tab } = await openPage(stage, LINK);
    await tab.expectViewers("a", 7);
    const sheets = () =>
      tab.page.evaluate(() => document.adoptedStyleSheets.filter(({ cssRules: [rule] }) => /data-viewers/.test(rule?.cssText)).length);
    for (let time = 0; time < 2; time++) {
      await tab.page.evaluate(drop);
      await until("our stylesheet is there again, once", async () => (await sheets()) === 1);
    }
  });
}

story("what is being edited is left alone", {}, async (stage) => {
  const { tab } = await openPage(stage, `${LINK}<div contenteditable><p><a class="edited" href="/x">x</a></p></div><p contenteditable="false"><a class="plain" href="/x">x</a></p>`);
  await tab.expectViewers(".plain", 7);
  await tab.expectViewers(".edited", 0);
  await tab.page.evaluate(() => document.querySelector("p[contenteditable]").setAttribute("contenteditable", ""));
  await until("the number goes", async () => (await tab.shown(".plain"))[0] === null);
});

/** The ways in which a page may have no channel to other tabs: browsers that store nothing, very old ones, and other scripts. */
const BROKEN_CHANNELS = {
  "is refused": () => {
    window.BroadcastChannel = class {
      constructor() {
        throw new DOMException("no storage", "SecurityError");
      }
    };
  },
  "is missing": () => delete window.BroadcastChannel,
  "breaks when used": () => {
    BroadcastChannel.prototype.postMessage = () => {
      throw new DOMException("closed", "InvalidStateError");
    };
  },
};

for (const [how, prepare] of Object.entries(BROKEN_CHANNELS)) {
  story(`tabs whose channel ${how} are counted alone`, {}, async (stage) => {
    const { tab } = await openPage(stage, LINK, { options: "data-merge-tabs", prepare });
    await tab.expectViewers("a", 7);
  });
}

story("picture that never loads does not delay numbers for ever", {}, async (stage) => {
  const endless = createServer(() => {});
  await new Promise((resolve) => endless.listen(0, "127.0.0.1", resolve));
  stage.onClose(() => {
    endless.close();
    endless.closeAllConnections();
  });
  const fake = await startFakeServer(stage, {
    connected: (socket, ids) => socket.on("message", () => socket.send(update(Object.fromEntries([...ids].map((id) => [id, 7]))))),
  });
  const image = `<img src="http://127.0.0.1:${endless.address().port}/" alt="">`;
  const site = await servePages(stage, () => html(`<script async src="${fake.url}/live.js"></script>`, image + LINK));
  const tab = await stage.newTab();
  await tab.page.goto(`${site}/`, { waitUntil: "domcontentloaded" });
  await tab.expectViewers("a", 7);
});

story("changing the address often opens few connections", {}, async (stage) => {
  const { tab, fake } = await openPage(stage, LINK);
  await tab.expectViewers("a", 7);
  const before = fake.knocks();
  await tab.page.evaluate(async () => {
    for (let time = 0; time < 20; time++) {
      history.pushState(null, "", `/page/${time}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  await until("the last address is told", () => fake.knocks() > before);
  assert.ok(fake.knocks() - before <= 4, `${fake.knocks() - before} connections in two seconds`);
});

story("starting and stopping often opens few connections", {}, async (stage) => {
  const script = await bundle(`import { start } from "connection-counter"; window.start = start;`);
  const fake = await startFakeServer(stage, {
    connected: (socket, ids) => socket.on("message", () => socket.send(update(Object.fromEntries([...ids].map((id) => [id, 7]))))),
  });
  const site = await servePages(stage, () => html("", `${LINK}<script>${script}</script>`));
  const tab = await stage.openTab(`${site}/`);
  await tab.page.evaluate(async (server) => {
    for (const until = performance.now() + 3_000; performance.now() < until; ) {
      const handle = window.start({ server });
      await handle.ready;
      await new Promise((resolve) => setTimeout(resolve, 20));
      handle.stop();
    }
    window.start({ server });
  }, fake.url);
  await tab.expectViewers("a", 7);
  assert.ok(fake.knocks() <= 5, `${fake.knocks()} connections`);
});

story("going offline often opens few connections", {}, async (stage) => {
  const { tab, fake } = await openPage(stage, LINK);
  await tab.expectViewers("a", 7);
  const before = fake.knocks();
  const seconds = await tab.page.evaluate(async () => {
    const begun = performance.now();
    for (let time = 0; time < 20; time++) {
      dispatchEvent(new Event("offline"));
      await new Promise((resolve) => setTimeout(resolve, 50));
      dispatchEvent(new Event("online"));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return (performance.now() - begun) / 1000;
  });
  await until("it is back", () => fake.waiting() === 1);
  assert.ok(fake.knocks() - before <= seconds + 2, `${fake.knocks() - before} connections in ${seconds} seconds`);
});

story("JavaScript twin reads its memory right when that has grown", {}, async (stage) => {
  const MANY = 150;
  const links = Array.from({ length: MANY }, (_, idx) => `<a href="/${`${idx}-`.padEnd(400, "x")}">x</a> `).join("");
  const { tab } = await openPage(stage, links, { options: 'data-engine="js"' });
  await until("all have their number", async () => (await tab.shown("a")).every((shown) => shown === "7"));
});
