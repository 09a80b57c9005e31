// The demo site inside the server: the original's four pages, and the start page that shows them all and composes the tag.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Which page leads where, as in the original example. */
const LINKS = { a: ["b", "c", "d"], b: ["a", "b", "c"], c: ["a", "b", "d"], d: ["a"] };

const page = (letter) => `.page[href="/pages/${letter}"]`;

story("demo pages lead where the original's led", {}, async (stage) => {
  for (const [letter, links] of Object.entries(LINKS)) {
    const tab = await stage.openTab(`${stage.server.url}/pages/${letter}`);
    const found = await tab.page.$$eval("a:not([data-viewers-ignore])", (all) =>
      all.map((link) => link.getAttribute("href")),
    );
    assert.deepEqual(
      found,
      links.map((link) => `/pages/${link}`),
    );
  }
});

story("start page shows every page's viewers", {}, async (stage) => {
  const start = await stage.openTab(`${stage.server.url}/`);
  const readers = {};
  for (const letter of ["a", "a", "a", "b", "c"])
    readers[letter] = await stage.openTab(`${stage.server.url}/pages/${letter}`);

  for (const [letter, viewers] of Object.entries({ a: 3, b: 1, c: 1, d: 0 }))
    await start.expectViewers(page(letter), viewers);
  await readers.b.expectViewers(page("b"), 1);
  await readers.c.expectViewers(page("a"), 3);
  await readers.b.close();
  await start.expectViewers(page("b"), 0);
});

story("start page tells how to embed", {}, async (stage) => {
  const start = await stage.openTab(`${stage.server.url}/`);
  const tag = await start.page.$eval("#tag", (code) => code.textContent);
  assert.equal(tag, `<script async src="${stage.server.url}/live.js"></script>`);

  const numbers = await fetch(await start.page.$eval("#json", (link) => link.href));
  assert.equal(numbers.status, 200);
  assert.ok("pages" in (await numbers.json()));
});

story("demo needs nothing that a strict policy forbids", {}, async (stage) => {
  for (const path of ["/", "/pages/a", "/pages/preview"]) {
    const answer = await fetch(`${stage.server.url}${path}`);
    const policy = answer.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'self'/, path);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')|\*|data:/, path);
  }
});

/** What the manual says of each option of the tag: its name and its default. */
function documented() {
  const text = readFileSync(new URL("../../server/docs/embed.md", import.meta.url), "utf8");
  const [, table] = text.match(/^## Options$([^]*?)^## /m);
  const rows = [...table.matchAll(/^\| `([a-z-]+)` \| (.*?) \|/gm)];
  return Object.fromEntries(rows.map(([, name, standard]) => [name, standard.match(/^`(.*)`$/)?.[1] ?? ""]));
}

story("start page offers every option with its default", {}, async (stage) => {
  const start = await stage.openTab(`${stage.server.url}/`);
  const offered = await start.page.$$eval("#options [name]", (fields) =>
    fields.map((field) => {
      const said = document.querySelector(`label[for="${field.id}"]`).textContent && field.getAttribute("aria-describedby");
      return [field.name, field.type === "checkbox" ? "" : field.value, document.getElementById(said)?.textContent];
    }),
  );
  const options = documented();
  assert.ok(Object.keys(options).length > 10, Object.keys(options).join());
  assert.deepEqual(Object.fromEntries(offered), options);
  assert.ok(offered.every(([, , explained]) => explained), "each option is explained");
});

story("start page composes the tag and shows it at work", {}, async (stage) => {
  const start = await stage.openTab(`${stage.server.url}/`);
  const tag = () => start.page.$eval("#tag", (code) => code.textContent);
  const become = (attributes) =>
    until(`the tag has ${attributes}`, async () => (await tag()) === `<script async src="${stage.server.url}/live.js"${attributes}></script>`);
  const label = async (text) => {
    await start.page.$eval("#option-label", (field) => field.select());
    await start.page.keyboard.type(text);
  };
  /** What the first link of the preview shows. */
  const shown = () =>
    start.page.frames().find((frame) => frame.url().includes("/pages/preview"))?.$eval("nav a", (link) => {
      const { viewers, viewersLabel } = link.dataset;
      return viewers && `${viewers} ${viewersLabel ?? ""}`.trim();
    });

  await stage.openTab(`${stage.server.url}/pages/a`);
  await until("the preview shows a reader of page a", async () => (await shown()) === "1");
  // By keyboard alone.
  await start.page.focus("#option-label");
  await label('{count} "here" & now');
  await become(' data-label="{count} &quot;here&quot; &amp; now"');
  await until("the preview has the label", async () => (await shown()) === '1 1 "here" & now');

  // What is invalid is marked and left out.
  await label("no number");
  await become("");
  assert.equal(await start.page.$eval("#option-label", (field) => field.ariaInvalid), "true");
  assert.match(await start.page.$eval("#status", (status) => status.textContent), /1 not valid/);

  await start.page.$eval("#options", (form) => form.querySelectorAll("details").forEach((group) => (group.open = true)));
  await start.page.focus("#option-merge-tabs");
  await start.page.keyboard.press("Space");
  await start.page.select("#option-scope", "all");
  await become(' data-scope="all" data-merge-tabs');
  await start.page.focus("#options button");
  await start.page.keyboard.press("Enter");
  await become("");
});

story("start page has its tag without scripts, and fits a phone", {}, async (stage) => {
  const plain = await stage.newTab();
  await plain.page.setJavaScriptEnabled(false);
  await plain.open(`${stage.server.url}/`);
  const text = await (await plain.page.$("main")).evaluate((main) => main.innerText);
  assert.match(text, /<script async src=".*\/live\.js"><\/script>/);
  assert.doesNotMatch(text, /Seconds out of sight/);

  const phone = await stage.newTab();
  await phone.page.setViewport({ width: 390, height: 844 });
  await phone.open(`${stage.server.url}/`);
  const [width, form, preview] = await phone.page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.querySelector("#options").getBoundingClientRect().bottom,
    document.querySelector("#preview").getBoundingClientRect().top,
  ]);
  assert.equal(width, 390, "nothing is wider than the phone");
  assert.ok(preview >= form, "the preview is below the options");
});
