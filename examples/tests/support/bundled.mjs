// What a bundled app has to do in a browser, whatever bundled it.

import assert from "node:assert/strict";

/** The wasm files that a tab has loaded. */
const modulesLoaded = ({ page }) =>
  page.evaluate(() => performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".wasm")).length);

/** Opens both pages of `bundlers/app` at `site`: each shows the other's viewer, and only one loads the module as a file. */
export async function expectBothEntries(stage, site) {
  const inside = await stage.openTab(`${site}/default.html#${stage.server.url}`);
  const beside = await stage.openTab(`${site}/slim.html#${stage.server.url}`);
  await inside.expectViewers('a[href="/slim.html"]', 1);
  await beside.expectViewers('a[href="/default.html"]', 1);
  assert.deepEqual([await modulesLoaded(inside), await modulesLoaded(beside)], [0, 1], "wasm files loaded");
}
