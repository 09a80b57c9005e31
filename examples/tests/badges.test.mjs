// Badges: a reader sees the number in a plain picture, on a page without any script of ours.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** The pixels of the page's picture once it is loaded from this address, and its size. */
const show = (tab, source) =>
  tab.page.evaluate(async (source) => {
    const image = document.querySelector("img");
    image.crossOrigin = "anonymous";
    image.src = source;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return { pixels: canvas.toDataURL(), width: image.naturalWidth, height: image.naturalHeight };
  }, source);

story("reader sees the number in a picture", { serverArgs: ["--badges"] }, async (stage) => {
  const site = await servePages(stage, (path) => html(path === "/blog" ? `<script async src="${stage.server.url}/live.js"></script>` : "<img>"));
  const host = new URL(site).host;
  const badge = `${stage.server.url}/badge/${host}/blog.svg`;
  const message = async () => (await (await fetch(badge.replace(".svg", ".json"))).json()).message;
  const feed = await stage.openTab(`${site}/feed`);
  const picture = async (viewers) => {
    await until(`the page has ${viewers} viewers`, async () => (await message()) === String(viewers));
    // The reader opens the page again: within a page, browsers load a picture once.
    await feed.page.reload();
    const shown = await show(feed, badge);
    const svg = await (await fetch(badge)).text();
    assert.match(svg, new RegExp(`<title>viewing now: ${viewers}</title>`));
    // What is in the picture is that very SVG.
    assert.deepEqual(await show(feed, `data:image/svg+xml,${encodeURIComponent(svg)}`), shown);
    return shown;
  };

  const nobody = await picture(0);
  assert.equal(nobody.height, 20);
  assert.ok(nobody.width > 60, `${nobody.width} pixels wide`);
  const anna = await stage.openTab(`${site}/blog`);
  const one = await picture(1);
  assert.notEqual(one.pixels, nobody.pixels, "the picture shows another number");
  await anna.close();
  assert.equal((await picture(0)).pixels, nobody.pixels);
});

story("texts of a badge stay within their boxes", { serverArgs: ["--badges"] }, async (stage) => {
  for (const label of ["viewing now", "WWWWWWWWMMMM", "iiiiiiilllll", "読者 いま", "", "<b>&\"'"]) {
    const tab = await stage.openTab(`${stage.server.url}/badge/example.org/a.svg?label=${encodeURIComponent(label)}`);
    const parts = await tab.page.evaluate(() => {
      const box = ({ x, y, width, height }) => ({ left: x, right: x + width, top: y, bottom: y + height });
      const bars = [...document.querySelectorAll("g rect")].map((bar) => box(bar.getBBox())).filter((bar) => bar.right > bar.left);
      return { bars, texts: [...document.querySelectorAll("text")].map((text) => [text.textContent, box(text.getBBox())]) };
    });
    assert.deepEqual(parts.texts.map(([text]) => text), label ? [label, "0"] : ["0"]);
    for (const [index, [text, at]] of parts.texts.entries()) {
      const bar = parts.bars[index];
      assert.ok(at.left >= bar.left && at.right <= bar.right && at.top >= bar.top && at.bottom <= bar.bottom, `${text} ${JSON.stringify(parts)}`);
    }
  }
});
