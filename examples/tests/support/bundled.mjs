// What every bundled app must do in a browser, whichever bundler built it.

import assert from "node:assert/strict";

/** The wasm files that a tab has loaded. */
const modulesLoaded = ({ page }) =>
  page.evaluate(() => performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".wasm")).length);

/**
 * Opens both pages of an app, `default` and `slim`, at `site`: each shows the other's viewer, and only one loads the module
 * as a file. Answers with the two tabs.
 */
export async function expectBothEntries(stage, site, ending) {
  const inside = await stage.openTab(`${site}/default${ending}#${stage.server.url}`);
  const beside = await stage.openTab(`${site}/slim${ending}#${stage.server.url}`);
  await inside.expectViewers(`a[href="/slim${ending}"]`, 1);
  await beside.expectViewers(`a[href="/default${ending}"]`, 1);
  assert.deepEqual([await modulesLoaded(inside), await modulesLoaded(beside)], [0, 1], "wasm files loaded");
  return [inside, beside];
}
