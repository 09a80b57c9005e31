// The widget on React pages, in development mode, where React checks more and runs effects twice.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { expectMarket, expectServerRendered, watchSockets } from "./support/frameworks.mjs";
import { until } from "./support/until.mjs";

/** A page drawn by React. The test sets its state with `window.set({ … })`. */
const app = (server) =>
  bundle(`
    import { start } from "connection-counter";
    import { ViewerCount, useViewers } from "connection-counter/react";
    import { StrictMode, useEffect, useState } from "react";
    import { createRoot } from "react-dom/client";

    function Page() {
      const [{ order = ["/one", "/two"], watched = "/two", ...rest }, set] = useState({});
      useEffect(() => start({ server: "${server}" }).stop, []);
      useEffect(() => void (window.set = (more) => set((state) => ({ ...state, ...more }))), []);
      const viewers = useViewers(watched);
      return (
        <>
          {order.map((href) => <p key={href}><a href={href} {...rest[href]}>{href}</a></p>)}
          <output id="hook">{viewers ?? "?"}</output>
          <ViewerCount href={watched} className="badge" label="one={count} reader|other={count} readers">?</ViewerCount>
          <ViewerCount href={watched} id="incomplete" label="one={count} reader" />
        </>
      );
    }

    const root = createRoot(document.body.appendChild(document.createElement("div")));
    root.render(<StrictMode><Page /></StrictMode>);
    window.unmount = () => root.unmount();
  `);

/** Waits until the element shows this text. */
const expectText = (tab, selector, text) =>
  until(`${selector} shows ${text}`, async () => (await tab.page.$eval(selector, (element) => element.textContent)) === text);

const set = (tab, state) => tab.page.evaluate((state) => window.set(state), state);

async function openApp(stage) {
  const script = await app(stage.server.url);
  const site = await servePages(stage, () => html("", `<script>${script}</script>`));
  const tab = await stage.newTab();
  const sockets = await watchSockets(tab);
  await tab.open(`${site}/one`);
  await tab.expectViewers('a[href="/one"]', 1);
  return { site, tab, sockets };
}

story("React hook and component show counts", {}, async (stage) => {
  const { site, tab, sockets } = await openApp(stage);
  await expectText(tab, "#hook", "0");
  await expectText(tab, ".badge", "0 readers");
  await expectText(tab, "#incomplete", "0");
  const two = await stage.openTab(`${site}/two`);
  await tab.expectViewers('a[href="/two"]', 1);
  await expectText(tab, "#hook", "1");
  await expectText(tab, ".badge", "1 reader");
  assert.equal(sockets.size, 1, "of two starts one socket is left");

  await set(tab, { watched: "/three" });
  await expectText(tab, "#hook", "0");
  await stage.openTab(`${site}/three`);
  await expectText(tab, ".badge", "1 reader");

  await tab.page.evaluate(() => window.unmount());
  await until("the socket is closed", () => sockets.size === 0);
  assert.equal(await tab.page.evaluate(() => Symbol.for("connection-counter") in window), false, "nothing is left");
  await two.expectViewers('a[href="/one"]', 0);
});

story("numbers survive what React does to links", {}, async (stage) => {
  const { site, tab } = await openApp(stage);
  const two = await stage.openTab(`${site}/two`);
  await tab.expectViewers('a[href="/two"]', 1);

  // The same elements in another order, with other attributes and another text.
  await set(tab, { order: ["/two", "/one"], "/two": { className: "seen", children: "II" } });
  await tab.expectViewers('a.seen[href="/two"]', 1);
  // The same element leads to another page. React changes only the attribute.
  await set(tab, { "/two": { href: "/one" } });
  await tab.page.waitForSelector('p:first-child a[href="/one"]');
  await two.close();
  await expectText(tab, "#hook", "0");
  await tab.expectViewers('a[href="/one"]', 1);
  await set(tab, { "/two": { href: "/two" } });
  await tab.expectViewers('a[href="/two"]', 0);
  await stage.openTab(`${site}/two`);
  await tab.expectViewers('a[href="/two"]', 1);
  // Another element replaces the first.
  await set(tab, { order: ["/two", "/new"], "/new": { href: "/two", className: "new" } });
  await tab.expectViewers("a.new", 1);
});

story("attributes that React sets win", {}, async (stage) => {
  const { site, tab } = await openApp(stage);
  const two = await stage.openTab(`${site}/two`);
  await tab.expectViewers('a[href="/two"]', 1);
  await set(tab, { "/two": { "data-viewers": "many" } });
  await tab.expectViewers('a[href="/two"]', "many");

  // The count changes, and another element shows that, too.
  await stage.openTab(`${site}/two`);
  await expectText(tab, "#hook", "2");
  assert.deepEqual(await tab.shown('a[href="/two"]'), ["many"]);
  await two.expectViewers('a[href="/two"]', 2);
  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  await tab.expectViewers('a[href="/one"]', 0);
  assert.deepEqual(await tab.shown('a[href="/two"]'), ["many"]);
});

/** A page that is also rendered on a server. Its reader waits for counts before React takes over. */
const serverRendered = {
  page: `
    import { ViewerCount, useViewers } from "connection-counter/react";
    import { useEffect, useState } from "react";
    function Page({ isLate }) {
      const [clicks, setClicks] = useState(0);
      const [isOurs, setOurs] = useState(!isLate);
      useEffect(() => setOurs(true), []);
      return (
        <main data-viewers-ignore={isOurs ? undefined : ""}>
          <a href="/one">one</a> <a href="/two" className={"clicks-" + clicks}>two</a>
          <output>{useViewers("/two") ?? "?"}</output> <ViewerCount href="/two">?</ViewerCount>
          <button onClick={() => setClicks(clicks + 1)}>again</button>
        </main>
      );
    }`,
  render: (isLate) => `
    import { renderToString } from "react-dom/server";
    export default () => renderToString(<Page isLate={${isLate}} />);`,
  takeOver: (isLate) => `
    import { StrictMode } from "react";
    import { hydrateRoot } from "react-dom/client";
    const page = <StrictMode><Page isLate={${isLate}} /></StrictMode>;
    const takeOver = () => hydrateRoot(document.querySelector("#root"), page);`,
};

for (const [when, isLate] of [
  ["at once", false],
  ["late", true],
]) {
  story(`React takes over a page of its server ${when} without a warning`, {}, (stage) => {
    const { page, render, takeOver } = serverRendered;
    return expectServerRendered(stage, { page, render: render(isLate), takeOver: takeOver(isLate) }, isLate);
  });
}

story("React example draws its numbers", {}, (stage) => expectMarket(stage, "/react/"));
