// The life of a tab: when it has a viewer and when not.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** A site of two pages that link to each other, with the widget's tag and these options. Returns its address. */
function twoPages(stage, options = "") {
  return servePages(stage, () =>
    html(
      `<script async src="${stage.server.url}/live.js" ${options}></script>`,
      '<a href="/one">one</a> <a href="/two">two</a>',
    ),
  );
}

/** Waits until the server counts this many viewers on a page of a site. */
const expectCounted = (stage, address, viewers) =>
  until(`the server counts ${viewers} on ${address}`, async () => {
    const { host, pathname } = new URL(address);
    const counted = await stage.server.viewers(host);
    return (counted[`${host}${pathname}`] ?? 0) === viewers;
  });

/** Makes the page believe that its tab is hidden, or visible again. */
const setHidden = (tab, hidden) =>
  tab.page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

story("tab comes back from the back/forward cache with the widget on it", {}, async (stage) => {
  const site = await twoPages(stage);
  const reader = await stage.openTab(`${site}/one`);
  const watcher = await stage.openTab(`${site}/two`);
  await watcher.expectViewers('a[href="/one"]', 1);
  await reader.page.evaluate(() => {
    window.isOriginal = true;
    addEventListener("pageshow", ({ persisted }) => (window.wasPersisted = persisted));
  });

  await reader.open(`${stage.host.url}/plain/`);
  await watcher.expectViewers('a[href="/one"]', 0);

  await reader.page.goBack();
  assert.equal(await reader.page.evaluate(() => window.isOriginal && window.wasPersisted), true, "it was kept");
  await watcher.expectViewers('a[href="/one"]', 1);
  await reader.expectViewers('a[href="/two"]', 1);
});

story("hidden tab leaves after a while and returns", {}, async (stage) => {
  const site = await twoPages(stage, 'data-hidden-after="1"');
  const reader = await stage.openTab(`${site}/one`);
  await expectCounted(stage, `${site}/one`, 1);

  // The time is read before, because the browser may answer late.
  const start = Date.now();
  await setHidden(reader, true);
  await expectCounted(stage, `${site}/one`, 0);
  assert.ok(Date.now() - start >= 1000, "a quick look elsewhere is no farewell");

  await setHidden(reader, false);
  await expectCounted(stage, `${site}/one`, 1);
});

story("tab that was never in sight is not counted", {}, async (stage) => {
  const site = await twoPages(stage);
  const background = await stage.newTab();
  await background.page.evaluateOnNewDocument(() => {
    Object.defineProperty(document, "hidden", { value: true, configurable: true });
  });
  await background.open(`${site}/one`);
  await background.page.waitForFunction(() => document.adoptedStyleSheets.length > 0);
  const reader = await stage.openTab(`${site}/two`);
  await expectCounted(stage, `${site}/two`, 1);
  await expectCounted(stage, `${site}/one`, 0);

  await setHidden(background, false);
  await reader.expectViewers('a[href="/one"]', 1);
});

story("prerendered page is counted once it is in view", {}, async (stage) => {
  const asked = [];
  let mayGo = false;
  const pages = {
    "/one": `<script type="speculationrules">{"prerender":[{"urls":["/two"],"eagerness":"immediate"}]}</script>
      <script>
        const go = async () => ((await fetch("/go")).ok ? location.assign("/two") : setTimeout(go, 100));
        go();
      </script>`,
    "/two": `<script>
        document.addEventListener("prerenderingchange", () => fetch("/was-prerendered"));
      </script>`,
  };
  const site = await servePages(stage, (path) => {
    asked.push(path);
    if (path === "/go") return mayGo ? "" : undefined;
    return html(`<script async src="${stage.server.url}/live.js"></script>${pages[path] ?? ""}`, "");
  });
  // A browser that is being debugged does not prerender, so this one is not debugged.
  await stage.startUndrivenBrowser(`${site}/one`);
  await expectCounted(stage, `${site}/one`, 1);
  await until("the browser prerenders the page", () => asked.includes("/two"));
  await expectCounted(stage, `${site}/two`, 0);

  mayGo = true;
  await expectCounted(stage, `${site}/two`, 1);
  await until("the prerendered page is the one in view", () => asked.includes("/was-prerendered"));
});

story("tab that goes offline leaves and returns", {}, async (stage) => {
  const site = await twoPages(stage);
  const reader = await stage.openTab(`${site}/one`);
  const watcher = await stage.openTab(`${site}/two`);
  await watcher.expectViewers('a[href="/one"]', 1);
  await reader.page.evaluate(() => dispatchEvent(new Event("offline")));
  await watcher.expectViewers('a[href="/one"]', 0);
  await reader.page.evaluate(() => dispatchEvent(new Event("online")));
  await watcher.expectViewers('a[href="/one"]', 1);
});

story("connection that died unnoticed is replaced", { proxied: true }, async (stage) => {
  const reader = await stage.newTab();
  // The widget waits ten seconds for an answer. One is enough here.
  await reader.page.evaluateOnNewDocument(() => {
    const wait = window.setTimeout;
    window.setTimeout = (work, delay, ...rest) => wait(work, delay === 10_000 ? 1_000 : delay, ...rest);
  });
  await reader.open(`${stage.host.url}/plain/`);
  await expectCounted(stage, `${stage.host.url}/plain`, 1);
  const room = `/live?page=${encodeURIComponent(`${stage.site}/plain`)}`;
  assert.equal(stage.proxy.freeze(room), 1);

  // This happens when a computer wakes up.
  await reader.page.evaluate(() => dispatchEvent(new Event("online")));
  await until("the widget connects anew", () => stage.proxy.freeze(room) === 1);
});

const SLEEPY_SERVER = ["--ping-interval-ms", "250", "--idle-timeout-ms", "1500"];

story("computer that sleeps leaves and returns", { serverArgs: SLEEPY_SERVER }, async (stage) => {
  const reader = await stage.openTab("/plain/");
  const page = `${stage.host.url}/plain`;
  await expectCounted(stage, page, 1);
  // All processes of the browser, which have their own group, also that of its network. This is like closing the lid.
  const everything = -reader.page.browser().process().pid;
  const wake = () => process.kill(everything, "SIGCONT");
  stage.onClose(wake);
  process.kill(everything, "SIGSTOP");
  await expectCounted(stage, page, 0);
  wake();
  await expectCounted(stage, page, 1);
});

story("reader with Global Privacy Control sees counts but is not counted", {}, async (stage) => {
  const site = await twoPages(stage);
  const shy = await stage.newTab();
  await shy.page.evaluateOnNewDocument(() => {
    Object.defineProperty(Navigator.prototype, "globalPrivacyControl", { get: () => true });
  });
  await shy.open(`${site}/one`);
  await stage.openTab(`${site}/two`);
  await shy.expectViewers('a[href="/two"]', 1);
  await expectCounted(stage, `${site}/one`, 0);
});

story("watching tab is not counted", {}, async (stage) => {
  const site = await twoPages(stage, "data-observe");
  const tab = await stage.openTab(`${site}/one`);
  await tab.page.waitForFunction(() => window[Symbol.for("connection-counter")]?.widget);
  const counted = await twoPages(stage);
  await stage.openTab(`${counted}/two`);
  await expectCounted(stage, `${counted}/two`, 1);
  await expectCounted(stage, `${site}/one`, 0);
});

story("tabs that open at the same moment count once when asked to", {}, async (stage) => {
  const site = await twoPages(stage, "data-merge-tabs");
  const tab = await stage.newTab();
  await tab.page.evaluateOnNewDocument(() => {
    // Stands for a tab that asks while this one still waits for answers, and has not heard it ask.
    const other = new BroadcastChannel("connection-counter");
    window.told = [];
    other.onmessage = ({ data }) => {
      if (window.told.push(data) === 1) other.postMessage("zzzzzzzz-1");
    };
  });
  await tab.open(`${site}/one`);
  await until("the other tab is told the older token", () =>
    tab.page.evaluate(() => window.told.length === 2 && window.told[0] === window.told[1]),
  );
});

story("messages that are no tokens of a tab are ignored", {}, async (stage) => {
  const site = await twoPages(stage, "data-merge-tabs");
  const tab = await stage.newTab();
  await tab.page.evaluateOnNewDocument(() => {
    // Each would be the oldest.
    const messages = [
      ...["", "-", "00000000", "00000000-", "0000000-1", "00000000-1-2", "00000000-A", "00000000-12345678901234x", "&x"],
      ...[0, null, {}, ["-"]],
    ];
    const other = new BroadcastChannel("connection-counter");
    other.onmessage = ({ data }) => {
      window.own = data;
      for (const message of messages) other.postMessage(message);
    };
    window.WebSocket = class extends window.WebSocket {
      constructor(url) {
        super(url);
        window.viewer = new URL(url).searchParams.get("viewer");
      }
    };
  });
  await tab.open(`${site}/one`);
  await until("it is counted under its own token", () => tab.page.evaluate(() => window.viewer && window.viewer === window.own));
});

story("tabs of one browser count once when asked to", {}, async (stage) => {
  const site = await twoPages(stage, "data-merge-tabs");
  const open = async (path) => {
    const tab = await stage.newTab();
    await tab.page.evaluateOnNewDocument(() => {
      window.WebSocket = class extends window.WebSocket {
        constructor(url) {
          super(url);
          window.room = url;
        }
      };
    });
    await tab.open(site + path);
    return tab;
  };
  const watcher = await open("/two");
  const first = await open("/one");
  await watcher.expectViewers('a[href="/one"]', 1);
  const others = [await open("/one"), await open("/one")];
  const token = (tab) => tab.page.evaluate(() => window.room && new URL(window.room).searchParams.get("viewer"));
  await until("all agree on who they are", async () => {
    const [oldest, ...tokens] = await Promise.all([watcher, first, ...others].map(token));
    return oldest && tokens.every((one) => one === oldest);
  });
  for (const tab of others) await tab.expectViewers('a[href="/two"]', 1);
  await watcher.record('a[href="/one"]');

  // The oldest tab leaves. The others are still one viewer.
  await first.close();
  await others[0].close();
  await expectCounted(stage, `${site}/one`, 1);
  assert.deepEqual(await watcher.recorded(), ["1"], "they were one viewer all the time");
  const stored = await watcher.page.evaluate(async () => [
    localStorage.length,
    sessionStorage.length,
    document.cookie,
    (await indexedDB.databases()).length,
  ]);
  assert.deepEqual(stored, [0, 0, "", 0], "nothing is stored");
});
