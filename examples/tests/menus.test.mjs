// Menus and other parts of a page that come and go. Their links get numbers when they appear, and nothing shines through.

import assert from "node:assert/strict";

import { openBody, placesOf } from "./support/guest.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

story("menu that a click opens has no numbers over it", {}, async (stage) => {
  const style = "<style>ul { display: none; position: absolute; inset: 3em 0 auto; height: 9em; background: #eee } .open { display: block }</style>";
  const menu = `<button onclick="document.querySelector('ul').classList.toggle('open')">Menu</button><ul><li>Entry</li></ul>`;
  const tab = await openBody(stage, `${style}${menu}<p style="margin: 4em"><a href="/one">Below</a></p>`);
  assert.deepEqual(await placesOf(tab), ["beside"]);
  await tab.page.click("button");
  await until("the number is gone", async () => (await placesOf(tab))[0] === "");
  await tab.page.click("button");
  await until("the number is back", async () => (await placesOf(tab))[0] === "beside");
});

story("menu that the pointer opens has its numbers, and none over it", {}, async (stage) => {
  const style = "<style>ul { display: none; position: absolute; inset: 2em 0 auto; height: 9em; background: #eee } nav:hover ul { display: block }</style>";
  const menu = '<nav style="width: 6em">Menu<ul><li><a href="/entry">Entry</a></li></ul></nav>';
  const tab = await openBody(stage, `${style}${menu}<p style="margin: 4em"><a href="/one">Below</a></p>`);
  assert.deepEqual(await placesOf(tab), ["", "beside"]);
  await tab.page.hover("nav");
  await until("the menu has its number", async () => (await placesOf(tab)).join() === "beside,");
  await tab.page.mouse.move(700, 600);
  await until("the page has its number again", async () => (await placesOf(tab)).join() === ",beside");
});

/** How menus hide without leaving the layout, and how they show. No browser has an event for either. */
const HIDDEN = {
  "have no visibility": ["visibility: hidden", "visibility: visible"],
  "are transparent and take no clicks": ["opacity: 0; pointer-events: none", "opacity: 1; pointer-events: auto"],
  "are clipped": ["clip-path: inset(0 0 100%)", "clip-path: none"],
};
const PLACED = "<style>ul { position: absolute; inset: 2em 0 auto; height: 9em; background: #eee } nav { width: 6em } p { margin: 4em }</style>";
const MENU = '<nav tabindex="0">Menu<ul><li><a href="/entry">Entry</a></li></ul></nav><p><a href="/one">Below</a></p>';

for (const [how, [hidden, shown]] of Object.entries(HIDDEN)) {
  story(`menus that ${how} have their numbers while they are open`, {}, async (stage) => {
    const when = "nav:hover ul, nav:focus ul, .open ul";
    const tab = await openBody(stage, `${PLACED}<style>ul { ${hidden} } ${when} { ${shown} }</style>${MENU}`);
    assert.deepEqual(await placesOf(tab), ["", "beside"]);
    const isOpen = async (what, open) => {
      const expected = open ? "beside," : ",beside";
      await until(`numbers are right when ${what}`, async () => (await placesOf(tab)).join() === expected);
    };
    await tab.page.hover("nav");
    await isOpen("the pointer is over it", true);
    await tab.page.mouse.move(700, 600);
    await isOpen("the pointer is elsewhere", false);
    await tab.page.focus("nav");
    await isOpen("it has the focus", true);
    await tab.page.evaluate(() => document.activeElement.blur());
    await isOpen("it has lost the focus", false);
    await tab.page.evaluate(() => document.querySelector("nav").classList.add("open"));
    await isOpen("a script has opened it", true);
    await tab.page.evaluate(() => document.querySelector("nav").classList.remove("open"));
    await isOpen("a script has closed it", false);
  });
}

story("pointer that moves about changes nothing on a page that stays the same", {}, async (stage) => {
  const tab = await openBody(stage, `<p><a href="/one">One</a></p><p>${"<b>x</b> ".repeat(80)}</p>`);
  await tab.page.evaluate(() => {
    window.changes = 0;
    new MutationObserver((records) => (window.changes += records.length)).observe(document, { attributes: true, subtree: true });
  });
  for (let step = 0; step < 40; step += 1) {
    await tab.page.mouse.move(10 + step * 12, 80);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(await tab.page.evaluate(() => window.changes), 0);
});

story("what a page draws when the pointer comes is as without numbers", {}, async (stage) => {
  const style = '<style>p { margin: 4em } a:hover::after, a:focus::after { content: " →"; color: red }</style>';
  const tab = await openBody(stage, `${style}<p><a href="/one">One</a></p>`);
  assert.deepEqual(await placesOf(tab), ["beside"]);
  const drawn = () =>
    tab.page.$eval("a", (link) => {
      const { content, position, fontSize, backgroundImage } = getComputedStyle(link, "::after");
      return { content, position, fontSize, backgroundImage };
    });
  const plain = { content: '" →"', position: "static", fontSize: "16px", backgroundImage: "none" };
  await tab.page.hover("a");
  assert.deepEqual(await drawn(), plain);
  await tab.page.mouse.move(700, 600);
  await until("the number is back", async () => (await placesOf(tab))[0] === "beside");
  await tab.page.focus("a");
  assert.deepEqual(await drawn(), plain);
});

story("link that ends where the window begins is looked at like any other", {}, async (stage) => {
  const above = '<a href="/above" style="display: block; position: absolute; inset-block-start: -20px; block-size: 20px">Above</a>';
  const tab = await openBody(stage, `${above}<p><a href="/one">One</a></p>`);
  await tab.page.hover("p");
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(await placesOf(tab), ["", "beside"]);
});
