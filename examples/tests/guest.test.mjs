// The widget is a guest: its numbers move nothing, cover nothing and break nothing, whatever the page is made of.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";

import { measure, openGuest } from "./support/guest.mjs";
import { story } from "./support/story.mjs";

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

for (const file of readdirSync(GUESTS)) {
  const name = file.replace(".html", "");
  story(`${name} stays as it is`, {}, async (stage) => {
    for (const width of WIDTHS) {
      const tab = await openGuest(stage, name, { width });
      const { drawn, missing, ...changes } = await measure(stage, tab);
      const unchanged = { moved: [], movedLines: [], scrolls: [], hits: [], pixelsOnText: 0, pixelsOfPseudo: 0 };
      assert.deepEqual(changes, unchanged, `${width} px wide`);
      if (width === WIDTHS[0]) assert.deepEqual(missing, [], "links with room show their numbers");
      if (readFileSync(new URL(file, GUESTS), "utf8").includes("data-shown")) assert.ok(drawn > 0, "numbers are drawn");
      await tab.close();
    }
  });
}
