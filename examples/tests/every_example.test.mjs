// Opens every example in the folder, so that no example can break unnoticed.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const EXAMPLES = fileURLToPath(new URL("..", import.meta.url));
const folders = readdirSync(EXAMPLES).filter((name) => existsSync(`${EXAMPLES}/${name}/index.html`));
assert.ok(folders.length >= 3, `examples found in ${EXAMPLES}: ${folders}`);

for (const folder of [...folders, "rust-docs/std"]) {
  story(`example ${folder} shows a count`, {}, async (stage) => {
    const tab = await stage.openTab(`/${folder}/`);
    // Apps draw their links after the page has loaded.
    const href = await until("the example has a link to another page of its own site", () =>
      tab.page.evaluate(() => {
        const isCounted = (link) =>
          link.origin === location.origin &&
          link.pathname.replace(/index\.html$/, "") !== location.pathname &&
          link.checkVisibility() &&
          !link.closest("[data-viewers-ignore]");
        const link = [...document.links].find(isCounted);
        link?.setAttribute("data-first", "");
        return link?.href;
      }),
    );

    const linked = await stage.openTab(href);
    await tab.expectViewers("[data-first]", 1);
    await linked.close();
    await tab.expectViewers("[data-first]", 0);
  });
}

// Each party example has a program that also serves its page.
const parties = readdirSync(`${EXAMPLES}/parties`);
assert.ok(parties.length >= 4, `party examples found: ${parties}`);

for (const name of parties) {
  story(`party example ${name} opens`, { program: `connection-counter-${name}` }, async (stage) => {
    const tab = await stage.openTab(stage.server.url);
    const page = readFileSync(`${EXAMPLES}/parties/${name}/index.html`, "utf8");
    assert.ok(page.includes(`<title>${await tab.page.title()}</title>`), "it is the example's own page");
  });
}

test("every party example is short", () => {
  // The README promises that each program is short enough for one screen.
  const MAX_LINES = 80;
  for (const name of parties) {
    const folder = `${EXAMPLES}/parties/${name}`;
    const sources = readdirSync(folder).filter((file) => file.endsWith(".rs"));
    const lines = sources.flatMap((file) => readFileSync(`${folder}/${file}`, "utf8").trimEnd().split("\n"));
    assert.ok(lines.length < MAX_LINES, `${name} has ${lines.length} lines`);
  }
});

story("list of examples leads to all of them", {}, async (stage) => {
  const list = await stage.openTab("/");
  const listed = await list.page.$$eval("li a", (links) => links.map((link) => link.getAttribute("href")));
  assert.deepEqual(listed.toSorted(), [...folders.map((folder) => `/${folder}/`), "/rust-docs/std/"].toSorted());

  await stage.openTab("/plain/");
  await list.expectViewers('a[href="/plain/"]', 1);
});

story("many links to one page show one count", {}, async (stage) => {
  const many = await stage.newTab();
  const asked = await many.watchSubscriptions();
  await many.open(`${stage.host.url}/many-links/`);
  await stage.openTab("/many-links/entry/20");

  await many.expectViewers('p:nth-of-type(-n + 3) > a[href="/many-links/entry/20"]', 1);
  assert.equal((await many.shown("a[data-viewers]")).length, 3);
  assert.equal([...asked].filter((page) => page.endsWith("/entry/20")).length, 1);
});

story("of many links those in sight are counted", {}, async (stage) => {
  const many = await stage.newTab();
  const asked = await many.watchSubscriptions();
  await many.open(`${stage.host.url}/many-links/`);
  await stage.openTab("/many-links/entry/7");
  await stage.openTab("/many-links/entry/500");
  await many.page.$eval('a[href="/many-links/entry/7"]', (link) => (link.id = "near"));
  await many.page.$eval('a[href="/many-links/entry/500"]', (link) => (link.id = "far"));
  await many.expectViewers("#near", 1);
  await many.expectViewers("#far", 0);
  const before = [...asked];
  assert.ok(before.length < 400, `${before.length} of 800 pages are asked for`);

  await many.page.$eval("#far", (link) => link.scrollIntoView());
  await many.expectViewers("#far", 1);
  // A link must not keep a number that may become wrong.
  await many.expectViewers("#near", 0);
  await until("what is out of sight is asked for no more", () => !before.some((page) => asked.has(page)));
});
