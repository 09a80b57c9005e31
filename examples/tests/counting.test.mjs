// Tabs that count each other. This tests the path of a count, from a tab to a link in another tab.

import assert from "node:assert/strict";

import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const APPLES = 'a[href="apples.html"]';
const PEARS = 'a[href="pears.html"]';

story("two tabs count each other", {}, async (stage) => {
  const apples = await stage.openTab("/plain/apples.html");
  const pears = await stage.openTab("/plain/pears.html");

  await apples.expectViewers(PEARS, 1);
  await pears.expectViewers(APPLES, 1);
  await apples.expectViewers('a[href="./"]', 0);
});

story("closed tab leaves", {}, async (stage) => {
  const orchard = await stage.openTab("/plain/");
  const one = await stage.openTab("/plain/apples.html");
  const two = await stage.openTab("/plain/apples.html");
  await orchard.expectViewers(APPLES, 2);

  await one.close();
  await orchard.expectViewers(APPLES, 1);
  await two.close();
  await orchard.expectViewers(APPLES, 0);
});

story("counts equal what the server tells", {}, async (stage) => {
  const orchard = await stage.openTab("/plain/");
  await stage.openTab("/plain/apples.html");
  await stage.openTab("/plain/apples.html");
  await stage.openTab("/plain/pears.html");
  await orchard.expectViewers(APPLES, 2);
  await orchard.expectViewers(PEARS, 1);

  assert.deepEqual(await stage.server.viewers(stage.site), {
    [`${stage.site}/plain`]: 1,
    [`${stage.site}/plain/apples.html`]: 2,
    [`${stage.site}/plain/pears.html`]: 1,
  });
});

story("tab that leads elsewhere leaves", {}, async (stage) => {
  const orchard = await stage.openTab("/plain/");
  const reader = await stage.openTab("/plain/apples.html");
  await orchard.expectViewers(APPLES, 1);

  await reader.open(`${stage.host.url}/plain/pears.html`);
  await orchard.expectViewers(PEARS, 1);
  await orchard.expectViewers(APPLES, 0);
});

story("ignored links and links to other sites are not counted", {}, async (stage) => {
  const orchard = await stage.openTab("/plain/");
  await stage.openTab("/plain/plums.html");

  await orchard.expectViewers('a[href="plums.html"]:not([data-viewers-ignore])', 1);
  await orchard.expectViewers("a[data-viewers-ignore]", 0);
  await orchard.expectViewers('a[href="https://example.org/"]', 0);
});

story("links that come, change and go are followed", {}, async (stage) => {
  const orchard = await stage.openTab("/plain/");
  await stage.openTab("/plain/apples.html");
  await stage.openTab("/plain/pears.html");
  await orchard.expectViewers(APPLES, 1);

  await orchard.page.evaluate(() => {
    document.body.insertAdjacentHTML(
      "beforeend",
      '<section><p>Again: <a id="late" href="/plain/apples.html">them</a></p></section>',
    );
  });
  await orchard.expectViewers("#late", 1);

  await orchard.page.$eval("#late", (link) => link.setAttribute("href", "plums.html"));
  await orchard.expectViewers("#late", 0);
  await orchard.page.$eval("#late", (link) => link.setAttribute("href", "pears.html"));
  await orchard.expectViewers("#late", 1);

  // All links to the plums are removed, so nobody here watches that page. The other counts are still right.
  await orchard.page.$$eval("section, a[href='plums.html']", (gone) => gone.forEach((element) => element.remove()));
  await stage.openTab("/plain/pears.html");
  await orchard.expectViewers(PEARS, 2);
});

story("navigation of a single-page app moves its viewer", {}, async (stage) => {
  const home = await stage.openTab("/spa/");
  const reader = await stage.openTab("/spa/");
  await home.expectViewers('a[href="/spa/"]', 2);

  await reader.page.click('nav a[href="/spa/inbox"]');
  await home.expectViewers('a[href="/spa/inbox"]', 1);
  await home.expectViewers('a[href="/spa/"]', 1);
  await reader.expectViewers('a[href="/spa/"]', 1);

  // The route has drawn links of its own, and they get counts, too.
  await stage.openTab("/spa/inbox/Anna");
  await reader.expectViewers('a[href="/spa/inbox/Anna"]', 1);

  await reader.page.goBack();
  await home.expectViewers('a[href="/spa/"]', 2);
  await home.expectViewers('a[href="/spa/inbox"]', 0);
  await until("the server has moved the viewer as well", async () => {
    const viewers = await stage.server.viewers(stage.site);
    return viewers[`${stage.site}/spa`] === 2 && !(`${stage.site}/spa/inbox` in viewers);
  });
});
