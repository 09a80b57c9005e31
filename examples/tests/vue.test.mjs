// The widget on Vue pages.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { expectMarket, expectServerRendered, watchSockets } from "./support/frameworks.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** A page drawn by Vue. The test changes its state through `window.state`. */
const app = (server) =>
  bundle(`
    import { start } from "connection-counter";
    import { ViewerCount, useViewers } from "connection-counter/vue";
    import { createApp, h, onMounted, onUnmounted, reactive, ref } from "vue";

    const state = (window.state = reactive({ watched: "/two", two: {}, isOpen: true }));
    const app = createApp({
      setup() {
        let handle;
        onMounted(() => (handle = start({ server: "${server}" })));
        onUnmounted(() => handle.stop());
        const viewers = useViewers(() => state.watched);
        const here = useViewers();
        return () => [
          h("a", { href: "/one" }, "one"),
          h("a", { href: "/two", ...state.two }, "two"),
          h("output", viewers.value ?? "?"),
          h("b", here.value ?? "?"),
          state.isOpen &&
            h(ViewerCount, { href: state.watched, class: "badge", label: "one={count} reader|other={count} readers" }, () => "?"),
        ];
      },
    });
    app.mount(document.body.appendChild(document.createElement("div")));
    window.unmount = () => app.unmount();
  `);

/** Waits until the element shows this text. */
const expectText = (tab, selector, text) =>
  until(`${selector} shows ${text}`, async () => (await tab.page.$eval(selector, (element) => element.textContent)) === text);

const set = (tab, state) => tab.page.evaluate((state) => void Object.assign(window.state, state), state);

story("Vue composable and component show counts", {}, async (stage) => {
  const script = await app(stage.server.url);
  const site = await servePages(stage, () => html("", `<script>${script}</script>`));
  const tab = await stage.newTab();
  const sockets = await watchSockets(tab);
  const asked = await tab.watchSubscriptions();
  await tab.open(`${site}/one`);
  await expectText(tab, "output", "0");
  await expectText(tab, "b", "1");
  const two = await stage.openTab(`${site}/two`);
  await tab.expectViewers('a[href="/two"]', 1);
  await expectText(tab, "output", "1");
  await expectText(tab, ".badge", "1 reader");

  // The value follows the getter, and pages that nobody follows are no longer watched.
  await set(tab, { watched: "/three" });
  await expectText(tab, "output", "0");
  await expectText(tab, ".badge", "0 readers");
  await stage.openTab(`${site}/three`);
  await expectText(tab, ".badge", "1 reader");
  await set(tab, { watched: "/two", isOpen: false });
  await expectText(tab, "output", "1");
  await until("only two pages are asked for", () => asked.size === 2 && sockets.size === 1);

  // An attribute that Vue sets on a link wins.
  await set(tab, { two: { "data-viewers": "many", class: "seen" } });
  await tab.expectViewers("a.seen", "many");
  await stage.openTab(`${site}/two`);
  await expectText(tab, "output", "2");
  assert.deepEqual(await tab.shown("a.seen"), ["many"]);

  await tab.page.evaluate(() => window.unmount());
  await until("the socket is closed", () => sockets.size === 0);
  assert.equal(await tab.page.evaluate(() => Symbol.for("connection-counter") in window), false, "nothing is left");
  await two.expectViewers('a[href="/one"]', 0);
});

/** A page that is also rendered on a server. */
const serverRendered = {
  page: `
    import { ViewerCount, useViewers } from "connection-counter/vue";
    import { createSSRApp, h, ref } from "vue";
    const app = createSSRApp({
      setup() {
        const clicks = ref(0);
        const viewers = useViewers(() => "/two");
        return () =>
          h("main", [
            h("a", { href: "/one" }, "one"),
            h("a", { href: "/two", class: "clicks-" + clicks.value }, "two"),
            h("output", viewers.value ?? "?"),
            h(ViewerCount, { href: "/two" }, () => "?"),
            h("button", { onClick: () => clicks.value++ }, "again"),
          ]);
      },
    });`,
  render: `
    import { renderToString } from "vue/server-renderer";
    export default () => renderToString(app);`,
  takeOver: `
    const takeOver = () => app.mount("#root");`,
};

for (const [when, isLate] of [
  ["at once", false],
  ["late", true],
]) {
  story(`Vue takes over a page of its server ${when} without a warning`, {}, (stage) =>
    expectServerRendered(stage, serverRendered, isLate),
  );
}

story("Vue example draws its numbers", {}, (stage) => expectMarket(stage, "/vue/"));
