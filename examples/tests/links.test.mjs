// Links that appear, change and disappear while their numbers change.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Serves pages with the script tag and this body, at all paths. */
const serveBody = (stage, body) =>
  servePages(stage, () => html(`<script async src="${stage.server.url}/live.js"></script>`, body));

/** Waits for as long as anything may take that was planned. Nothing of the widget may be left then. */
async function expectNothingLeft(tab) {
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const left = await tab.page.evaluate(() => [
    document.querySelectorAll("[data-viewers],[data-viewers-label],[data-viewers-place]").length,
    document.adoptedStyleSheets.length,
  ]);
  assert.deepEqual(left, [0, 0]);
}

story("link that leads nowhere for a moment keeps its number right", {}, async (stage) => {
  const site = await serveBody(stage, '<a id="one" href="/read">one</a> <a id="two" href="/read">two</a>');
  const tab = await stage.openTab(`${site}/list`);
  await stage.openTab(`${site}/read`);
  await tab.expectViewers("a", 1);
  // This happens after the number has changed and before numbers are drawn again.
  await tab.page.evaluate(() => {
    document.addEventListener(
      "viewers",
      () => {
        const one = document.querySelector("#one");
        one.removeAttribute("href");
        setTimeout(() => one.setAttribute("href", "/read"), 50);
        setTimeout(() => (window.isOver = true), 500);
      },
      { once: true },
    );
  });
  const second = await stage.openTab(`${site}/read`);
  await until("numbers were drawn again", () => tab.page.evaluate(() => window.isOver));
  await tab.expectViewers("a", 2);
  await second.close();
  await tab.expectViewers("a", 1);
});

story("listener may stop the widget while it draws", {}, async (stage) => {
  const links = Array.from({ length: 30 }, () => '<a href="/read">read</a>').join(" ");
  // Only here, because a reader whose page stops the widget, too, is no viewer, and then nothing is drawn.
  const body = `${links}<script>
    const heard = (window.heard = []);
    document.addEventListener("viewers", () => {
      window[Symbol.for("connection-counter")]?.handle?.stop();
      // As soon as that returns, nothing may be left.
      heard.push([document.querySelectorAll("[data-viewers]").length, document.adoptedStyleSheets.length].join());
    });
  </script>`;
  const site = await servePages(stage, (path) =>
    html(`<script async src="${stage.server.url}/live.js"></script>`, path === "/list" ? body : ""),
  );
  await stage.openTab(`${site}/read`);
  const tab = await stage.openTab(`${site}/list`);
  await until("the listener has heard", () => tab.page.evaluate(() => window.heard.length > 0));
  await expectNothingLeft(tab);
  assert.deepEqual(await tab.page.evaluate(() => window.heard), ["0,0"], "there were no more events");
});

for (const attribute of ["data-viewers", "data-viewers-label", "data-viewers-place"]) {
  story(`element may stop the widget while its ${attribute} is written`, {}, async (stage) => {
    const body = `<script>
      customElements.define("read-more", class extends HTMLAnchorElement {
        static observedAttributes = ["${attribute}"];
        attributeChangedCallback() {
          window[Symbol.for("connection-counter")]?.handle?.stop();
          window.isStopped = true;
        }
      }, { extends: "a" });
    </script><p><a is="read-more" href="/read">one</a> <p><a is="read-more" href="/read">two</a>`;
    const tag = `<script async src="${stage.server.url}/live.js" data-label="{count} readers"></script>`;
    const site = await servePages(stage, (path) => html(tag, path === "/list" ? body : ""));
    await stage.openTab(`${site}/read`);
    const tab = await stage.openTab(`${site}/list`);
    await until("the element has stopped the widget", () => tab.page.evaluate(() => window.isStopped));
    await expectNothingLeft(tab);
  });
}

story("listener may stop the widget while numbers fall", {}, async (stage) => {
  const links = Array.from({ length: 30 }, (_, idx) => `<a href="/read">read ${idx}</a>`).join("<p>");
  const site = await servePages(stage, (path) =>
    html(`<script async src="${stage.server.url}/live.js"></script>`, path === "/list" ? links : ""),
  );
  const reader = await stage.openTab(`${site}/read`);
  const tab = await stage.openTab(`${site}/list`);
  await tab.expectViewers("a:last-of-type", 1);
  await tab.page.evaluate(() =>
    document.addEventListener("viewers", () => window[Symbol.for("connection-counter")].handle.stop(), { once: true }),
  );
  await reader.close();
  await until("the listener has stopped it", () => tab.page.evaluate(() => !window[Symbol.for("connection-counter")]?.handle));
  await expectNothingLeft(tab);
});

story("listener may stop the widget while links lead elsewhere", {}, async (stage) => {
  // More than are written in one frame, so some still have the old number.
  const links = Array.from({ length: 500 }, (_, idx) => `<a href="/read">read ${idx}</a>`).join("<p>");
  const site = await servePages(stage, (path) =>
    html(`<script async src="${stage.server.url}/live.js"></script>`, path === "/list" ? links : ""),
  );
  await stage.openTab(`${site}/read`);
  const tab = await stage.openTab(`${site}/list`);
  await tab.expectViewers("a", 1);
  await tab.page.evaluate(() => {
    document.addEventListener("viewers", () => window[Symbol.for("connection-counter")].handle.stop(), { once: true });
    for (const link of document.querySelectorAll("a")) link.href = "/other";
  });
  await until("the listener has stopped it", () => tab.page.evaluate(() => !window[Symbol.for("connection-counter")]?.handle));
  await expectNothingLeft(tab);
});

story("pages of an app, one after the other, are no crowd", {}, async (stage) => {
  const site = await serveBody(stage, "<main></main>");
  const tab = await stage.newTab();
  const asked = await tab.watchSubscriptions();
  await tab.open(`${site}/list`);
  await stage.openTab(`${site}/two/149`);
  // 150 links each, one screen apart.
  for (const page of ["one", "two"]) {
    await tab.page.evaluate((page) => {
      const links = Array.from({ length: 150 }, (_, nth) => `<p style="height: 100vh"><a href="/${page}/${nth}">${nth}</a></p>`);
      document.querySelector("main").innerHTML = links.join("");
    }, page);
    await until("its links were found", () => [...asked].filter((id) => id.includes(`/${page}/`)).length === 150);
  }
  await tab.expectViewers('a[href="/two/149"]', 1);
});

story("relative links lead elsewhere when their base does", {}, async (stage) => {
  const site = await serveBody(stage, '<a href="page">page</a>');
  const tab = await stage.openTab(`${site}/list`);
  await stage.openTab(`${site}/page`);
  await stage.openTab(`${site}/other/page`);
  await stage.openTab(`${site}/other/page`);
  await tab.expectViewers("a", 1);
  await tab.page.evaluate(() => {
    const base = document.createElement("base");
    base.href = "/other/";
    document.head.append(base);
  });
  await tab.expectViewers("a", 2);
  await tab.page.evaluate(() => (document.querySelector("base").href = "/"));
  await tab.expectViewers("a", 1);
  await tab.page.evaluate(() => document.querySelector("base").setAttribute("href", "/other/"));
  await tab.expectViewers("a", 2);
  await tab.page.evaluate(() => document.querySelector("base").remove());
  await tab.expectViewers("a", 1);
});
