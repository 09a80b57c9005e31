// Six real sites stay as they are, like the small pages of `examples/guest`, which keep the hardest of theirs.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { UNCHANGED, findWords, measure, openCounted, startCounting } from "../tests/support/guest.mjs";
import { serveSite } from "../tests/support/pages.mjs";
import { story } from "../tests/support/story.mjs";

const BUILT = fileURLToPath(new URL("../../target/sites/built/", import.meta.url));
/** A desktop, a tablet and a phone. */
const WIDTHS = [1280, 768, 390];
/** Where links are pointed at, so that the page need not scroll. */
const VIEW = { x: 0, y: 0, width: WIDTHS[0], height: 700 };
/** How many screens down pages are looked at as well. */
const SCREENS = [0, 1];
/** For how long nothing changes when a page has all its numbers. */
const QUIET_MS = 2_000;
/** What is opened of each site. */
const SITES = {
  python: ["/index.html", "/library/stdtypes.html", "/glossary.html"],
  furo: ["/index.html", "/embed.html"],
  material: ["/index.html", "/embed.html"],
  vitepress: ["/home", "/embed"],
  docusaurus: ["/embed", "/parties-of-ones-own"],
  bootstrap: ["/index.html", "/layout-static.html"],
};

/** Serves a site with the widget. */
async function startSite(stage, name) {
  const server = await startCounting(stage);
  const head = `<link rel="icon" href="data:,"><script async src="${server.url}/live.js"></script>`;
  return serveSite(stage, `${BUILT}${name}`, head);
}

for (const [name, paths] of Object.entries(SITES)) {
  story(`${name} stays as it is while words show`, {}, async (stage) => {
    const site = await startSite(stage, name);
    const tab = await openCounted(stage, `${site}${paths[0]}`, { width: WIDTHS[0], quietMs: QUIET_MS });
    assert.equal(await findWords(tab, VIEW), "3 viewing now");
    const { drawn, missing, ...changes } = await measure(stage, tab);
    assert.deepEqual(changes, UNCHANGED);
  });
  for (const path of paths) {
    story(`${name} stays as it is: ${path}`, {}, async (stage) => {
      const site = await startSite(stage, name);
      const failures = [];
      let shown = 0;
      for (const width of WIDTHS) {
        for (const screens of SCREENS) {
          const tab = await openCounted(stage, `${site}${path}`, { width, screens, quietMs: QUIET_MS });
          const { drawn, missing, ...changes } = await measure(stage, tab);
          const wrong = Object.entries(changes).filter(([, found]) => found.length !== 0 && found !== 0);
          if (wrong.length > 0) failures.push([`${width} px wide, ${screens} down`, Object.fromEntries(wrong)]);
          shown += drawn;
          await tab.close();
        }
      }
      assert.deepEqual(failures, []);
      assert.ok(shown > 0, "numbers are drawn");
    });
  }
}
