// The server below a path of a site, behind a proxy that decodes paths and refuses escaped slashes, as many do.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { startMount } from "./support/mount.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";

/** Pages whose ids proxies change in a path. */
const PATHS = ["/docs/intro", "/a%2Fb", "/caf%C3%A9", "/search?page=2&q=a%26b", "/100%25", "/a%3Fb%23c"];
const LINKS = PATHS.map((path) => `<a href="${path.replaceAll("&", "&amp;")}">x</a>`).join(" ");

/** The ways to start the widget of the server at an address. */
const STARTS = {
  "by its tag": (url) => `<script async src="${url}live.js"></script>`,
  "in code": async (url) =>
    `<script type="module">${await bundle(`import { start } from "connection-counter"; start({ server: "${url}" });`)}</script>`,
};

for (const [how, tagOf] of Object.entries(STARTS)) {
  for (const isCut of [true, false]) {
    story(`widget started ${how} counts below a path that is ${isCut ? "cut off" : "passed on"}`, {}, async (stage) => {
      const tag = await tagOf(await startMount(stage, "/apps/live/", isCut));
      const site = await servePages(stage, () => html(tag, LINKS));
      for (const path of PATHS) await stage.openTab(site + path);
      const contents = await stage.openTab(`${site}/contents`);
      await contents.expectViewers("a", 1);
      const counted = await stage.server.viewers(new URL(site).host);
      assert.deepEqual(Object.values(counted), [...PATHS, "/contents"].map(() => 1), Object.keys(counted).join(" "));
    });
  }
}

story("observers and merged tabs say so in the query", {}, async (stage) => {
  const url = await startMount(stage, "/live/", true);
  const site = await servePages(stage, (path) =>
    html(`<script async src="${url}live.js" ${path === "/watch" ? "data-observe" : "data-merge-tabs"}></script>`, LINKS),
  );
  await stage.openTab(`${site}/docs/intro`);
  await stage.openTab(`${site}/docs/intro`);
  const watcher = await stage.openTab(`${site}/watch`);
  await watcher.expectViewers('a[href="/docs/intro"]', 1);
  assert.deepEqual(await stage.server.viewers(new URL(site).host), { [`${new URL(site).host}/docs/intro`]: 1 });
});

story("rooms may be addressed as PartyKit does", {}, async (stage) => {
  const site = await servePages(stage, (path) =>
    html(`<script async src="${stage.server.url}/live.js" data-path="/parties/page/" ${path === "/watch" ? "data-observe" : ""}></script>`, LINKS),
  );
  for (const path of PATHS) await stage.openTab(site + path);
  const watcher = await stage.openTab(`${site}/watch`);
  await watcher.expectViewers("a", 1);
  assert.equal(Object.keys(await stage.server.viewers(new URL(site).host)).length, PATHS.length);
});
