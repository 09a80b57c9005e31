// The demo site inside the server: the original's four pages, and the start page that shows them all.

import assert from "node:assert/strict";

import { story } from "./support/story.mjs";

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
  for (const path of ["/", "/pages/a"]) {
    const answer = await fetch(`${stage.server.url}${path}`);
    const policy = answer.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'self'/, path);
    assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval'(?<!wasm-unsafe-eval')|\*|data:/, path);
  }
});
