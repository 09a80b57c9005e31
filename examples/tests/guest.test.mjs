// The widget is a guest: its numbers move nothing, cover nothing and break nothing, whatever the page is made of.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";

import { UNCHANGED, findWords, measure, openBody, openGuest, placesOf, saidAt, saidOn } from "./support/guest.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const GUESTS = new URL("../guest/", import.meta.url);
/** Desktop and phones: where lines end decides where there is room. */
const WIDTHS = [800, 390, 360];

story("rules of the page's own win, in layers too", {}, async (stage) => {
  const tab = await openGuest(stage, "layers");
  const drawn = await tab.page.$$eval("a", (links) =>
    links.map((link) => {
      const { color, content } = getComputedStyle(link, "::after");
      return { color, content: content.split(" /")[0] };
    }),
  );
  assert.deepEqual(drawn, [
    { color: "rgb(1, 2, 3)", content: '"★ 3"' },
    { color: "rgb(4, 5, 6)", content: '"3"' },
  ]);
});

story("numbers keep off text when a view transition replaces their links", {}, async (stage) => {
  const words = '<p style="margin: 4em"><a href="/one">Home</a> <a href="/two">Two</a> and text after it</p>';
  const slow = "<style>::view-transition-group(*) { animation-duration: 1s }</style>";
  const tab = await openBody(stage, `${slow}<main>${words}</main>`);
  const before = await placesOf(tab);
  assert.deepEqual(before, ["above small", "above small"]);
  await tab.page.evaluate(async (words) => {
    const swap = () => (document.querySelector("main").innerHTML = words);
    await document.startViewTransition(swap).finished;
  }, words);
  await until("they are there again", async () => (await placesOf(tab)).every(Boolean));
  assert.deepEqual(await placesOf(tab), before);
});

story("rules for all pseudo-elements that come later take no number into the text", {}, async (stage) => {
  const style = "<style>.late *::after { position: static !important; float: left }</style>";
  const tab = await openBody(stage, `${style}<p>Words and <a href="/one">a link</a> and words</p><p><a href="/two">Two</a></p>`);
  assert.deepEqual(await placesOf(tab), ["above small", "beside"]);
  await tab.page.evaluate(() => document.body.classList.add("late"));
  const { moved, movedLines } = await measure(stage, tab);
  assert.deepEqual([moved, movedLines], [[], []]);
});

/** What a page may say of all pseudo-elements, which makes numbers larger, or puts them elsewhere. */
const UNIVERSAL = [
  "padding-inline: 5em",
  "margin: 3em",
  "border: 2em solid",
  "inset: 0",
  "left: 100%",
  "width: 30em",
  "min-height: 10em",
  "scale: 4",
  "transform: translate(20em, 10em)",
  "font-size: 6em",
  "letter-spacing: 3em",
  "display: block; height: 20em",
];

story("rules for all pseudo-elements give a page no more to scroll to", {}, async (stage) => {
  const link = (idx) => `<p>Words and <a href="/${idx}">a link</a> and words</p><p><a href="/b${idx}" style="display: inline-block">Two</a></p>`;
  const links = list(4, link);
  const box = (style) => `<div style="${style}">${links}</div>`;
  const boxes = box("overflow: auto; width: 12em; height: 9em") + box("overflow-x: auto; width: 40em") + box("position: relative; width: 15em");
  for (const rule of UNIVERSAL) {
    const tab = await openBody(stage, `<style>*::after { ${rule} }</style>${boxes}${links}`);
    const { drawn, missing, ...changes } = await measure(stage, tab);
    assert.deepEqual([changes.moved, changes.movedLines, changes.scrolls], [[], [], []], rule);
    await tab.close();
  }
});

story("numbers stand at their links, not at the top of taller lines", {}, async (stage) => {
  const tab = await openGuest(stage, "tall");
  // How far the middle of each number is from that of its link, in the link's font size.
  const distances = await tab.page.$$eval("[data-viewers-place]", (links) =>
    links.map((link) => {
      const { height, top, translate } = getComputedStyle(link, "::after");
      const box = link.getBoundingClientRect();
      const raised = parseFloat(translate.split(" ")[1] ?? "0");
      const middle = parseFloat(top) + parseFloat(height) / 2 + raised - scrollY;
      return [link.textContent, (middle - (box.top + box.bottom) / 2) / parseFloat(getComputedStyle(link).fontSize)];
    }),
  );
  assert.ok(distances.length > 2, "some are drawn");
  for (const [text, distance] of distances) assert.ok(Math.abs(distance) < 0.5, `the number of ${text} is ${distance} away`);
});

story("numbers are drawn where no mask and no clip path cuts them", {}, async (stage) => {
  assert.deepEqual(await placesOf(await openGuest(stage, "masked")), ["", "above small", "", "beside"]);
});

story("numbers stand on the colour of labels and bars or nowhere, with a dot that can be told from it", {}, async (stage) => {
  const tab = await openGuest(stage, "painted");
  const places = ["", "beside", "above small", "", "above small", "above small tinted", ""];
  assert.deepEqual(await placesOf(tab), places);
  const dot = await tab.page.$eval(".green", (link) => getComputedStyle(link, "::after").backgroundImage);
  assert.match(dot, /rgb\(255, 255, 255\)/, "white as its text");
});

story("forced colours do not look like labels", {}, async (stage) => {
  const tab = await openGuest(stage, "ordinary", { media: [{ name: "forced-colors", value: "active" }] });
  const without = await tab.page.$$eval("[data-shown]:not([data-viewers-place])", (links) => links.map((link) => link.pathname));
  assert.deepEqual(without, ["/bordered"], "its border is seen now");
});

/** A link with room for words, one in text, one with room for a number only, and a box. Links look otherwise under the pointer. */
const POINTED = `<style>a:hover { background: #eee; transform: rotate(1deg) } a { text-transform: uppercase }</style><p><a href="/alone">Alone</a></p><p>Words and <a href="/in">a link</a> and words</p>
  <p style="display: flex; gap: 4em"><a href="/near">Near</a><span>another</span></p>
  <a href="/box" style="display: flex; width: 16em">Box</a>`;

story("words show while the pointer or the focus is on a link, if there is room", {}, async (stage) => {
  const tab = await openBody(stage, POINTED);
  const links = await tab.page.$$("a");
  const pointed = [];
  for (const link of links) pointed.push(await saidAt(link));
  assert.deepEqual(pointed, ["3 viewing now", "3", "3", "3 viewing now"]);
  await tab.page.keyboard.press("Tab");
  const said = [];
  for (const link of links) said.push(await saidOn(link));
  assert.deepEqual(said, ["3 viewing now", "3", "3", "3 viewing now"], "with the focus on the first, and the pointer on the last");
  const { children } = await tab.page.accessibility.snapshot();
  assert.equal(children[0].name, "ALONE (3 viewing now)", "what is heard stays the same");
  await tab.page.mouse.move(700, 600);
  assert.equal(await saidOn(links[3]), "3");
  const letters = await links[0].evaluate((link) => getComputedStyle(link, "::after").textTransform);
  assert.equal(letters, "none", "capital letters would be wider");
});

story("words are the owner's, or none", {}, async (stage) => {
  const said = async (options) => {
    const tab = await openBody(stage, POINTED, options);
    return saidAt(await tab.page.$("a"));
  };
  assert.equal(await said('data-text="– {count} lesen mit"'), "– 3 lesen mit");
  assert.equal(await said('data-text=""'), "3");
  assert.equal(await said('data-label="{count} readers"'), "3 readers");
});

const list = (count, item) => Array.from({ length: count }, (_, idx) => item(idx)).join("");
/** What stays in sight while one scrolls, and no `z-index` that would keep it on top of whatever is positioned. */
const STICKING = {
  "a header": `<style>header { position: sticky; top: 0; padding: 1em; background: #fff } main a { display: flex; padding: 0.5em; background: #eef }</style>
    <header>Header</header><main>${list(60, (idx) => `<a href="/${idx}">Page ${idx}</a>`)}</main>`,
  "the header of a table": `<style>th { position: sticky; top: 0; background: #fff } td, th { padding: 0.5em 3em 0.5em 0 }</style>
    <div id="box" style="height: 20em; overflow: auto"><table><tr><th>Page</th></tr>${list(40, (idx) => `<tr><td><a href="/${idx}">Page ${idx}</a></td></tr>`)}</table></div>`,
  "the first column of a table": `<style>td:first-child { position: sticky; left: 0; background: #fff } td { padding: 0.5em 3em 0.5em 0; white-space: nowrap }</style>
    <div id="box" style="width: 20em; overflow: auto"><table><tr><td>Row</td>${list(9, (idx) => `<td><a href="/${idx}">Page ${idx}</a></td>`)}</tr></table></div>`,
};

for (const [what, body] of Object.entries(STICKING)) {
  story(`links pass under ${what} as without numbers`, {}, async (stage) => {
    const tab = await openBody(stage, body);
    const changed = await tab.page.evaluate(async () => {
      const elements = () => {
        const spots = Array.from({ length: 40_000 }, (_, idx) => [(idx % 200) * 4, Math.floor(idx / 200) * 3]);
        return spots.map(([x, y]) => document.elementFromPoint(x, y));
      };
      (document.querySelector("#box") ?? document.scrollingElement).scrollBy(70, 57);
      // Two frames later, before numbers are placed again.
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      const shown = elements();
      window[Symbol.for("connection-counter")].handle.stop();
      const plain = elements();
      return shown.filter((element, idx) => element !== plain[idx]).length;
    });
    assert.equal(changed, 0);
  });
}

/** Opens a guest at each width, and compares it with itself without numbers. */
async function expectUnchanged(stage, name) {
  for (const width of WIDTHS) {
    const tab = await openGuest(stage, name, { width });
    const { drawn, missing, ...changes } = await measure(stage, tab);
    assert.deepEqual(changes, UNCHANGED, `${width} px wide`);
    if (width === WIDTHS[0]) assert.deepEqual(missing, [], "links with room show their numbers");
    if (readFileSync(new URL(`${name}.html`, GUESTS), "utf8").includes("data-shown")) assert.ok(drawn > 0, "numbers are drawn");
    await tab.close();
  }
}

for (const file of readdirSync(GUESTS)) {
  const name = file.replace(".html", "");
  story(`${name} stays as it is`, {}, (stage) => expectUnchanged(stage, name));
}

for (const name of ["boxes", "columns", "menus", "pagers", "prose", "rtl"]) {
  story(`${name} stays as it is while words show`, {}, async (stage) => {
    const tab = await openGuest(stage, name);
    assert.equal(await findWords(tab), "3 viewing now");
    const { drawn, missing, ...changes } = await measure(stage, tab);
    assert.deepEqual(changes, UNCHANGED);
  });
}

story("scrolling stays as it is with scroll bars that take room", {}, async (stage) => {
  await stage.startBrowser([], ["--hide-scrollbars"]);
  await expectUnchanged(stage, "scrolling");
});
