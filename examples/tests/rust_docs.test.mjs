// Real pages that were not made for the widget: the Rust documentation, with over a thousand links on a page.

import assert from "node:assert/strict";

import { story } from "./support/story.mjs";

/** The most pages that a server watches for one connection. */
const MAX_LINKS_PER_CONNECTION = 1024;

/**
 * Every link of the page that leads to a page of the site, with what it shows: `{page, viewers}`, the page spelled like
 * the server's page ids. Links that only lead to another place on the same page are not among them.
 */
function counted(tab) {
  return tab.page.evaluate(() =>
    [...document.links]
      .filter((link) => link.origin === location.origin && !link.href.startsWith(`${location.href}#`))
      .map((link) => ({
        page: `${link.host}${link.pathname.replace(/\/(index\.html)?$/, "")}${link.search}`,
        viewers: Number(link.getAttribute("data-viewers")),
      })),
  );
}

/** The page id of a tab's own address, which needs no normalising here. */
function pageOf(tab) {
  const { host, pathname } = new URL(tab.page.url());
  return `${host}${pathname}`;
}

story("page with over 1,000 links shows right counts", {}, async (stage) => {
  const vec = await stage.openTab("/rust-docs/std/vec/struct.Vec.html");
  const links = await counted(vec);
  assert.ok(links.length > 1000, `the page has ${links.length} links that lead elsewhere`);

  for (const path of [
    "std/index.html",
    "std/option/enum.Option.html",
    "std/option/enum.Option.html",
    "std/iter/trait.Iterator.html",
  ]) {
    await stage.openTab(`/rust-docs/${path}`);
  }
  await vec.expectViewers('a[href$="option/enum.Option.html"]', 2);
  await vec.expectViewers('a[href$="iter/trait.Iterator.html"]', 1);
  await vec.expectViewers('a[href="../../std/index.html"]', 1);

  const viewers = await stage.server.viewers(stage.site);
  assert.equal(viewers[`${stage.site}/rust-docs/std/option/enum.Option.html`], 2);
  for (const { page, viewers: shown } of await counted(vec)) {
    assert.equal(shown, viewers[page] ?? 0, `the links to ${page}`);
  }
});

story("page with more links than one may watch counts those in sight", {}, async (stage) => {
  const all = await stage.openTab("/rust-docs/std/all.html");
  const pages = [...new Set((await counted(all)).map(({ page }) => page))];
  assert.ok(pages.length > MAX_LINKS_PER_CONNECTION, `the page links to ${pages.length} pages`);
  const [inSight, farAway] = [pages.find((page) => /\/std\/\w+\/[\w.]+$/.test(page)), pages.at(-1)];
  const linkTo = (page) => `a[href="${page.split("/rust-docs/std/")[1]}"]`;

  // The far link comes first, so its count would have come first, too.
  await stage.openTab(`http://${farAway}`);
  await stage.openTab(`http://${inSight}`);
  await all.page.$eval(linkTo(inSight), (link) => link.scrollIntoView());
  await all.expectViewers(linkTo(inSight), 1);
  await all.expectViewers(linkTo(farAway), 0);

  await all.page.$eval(linkTo(farAway), (link) => link.scrollIntoView());
  await all.expectViewers(linkTo(farAway), 1);
});
