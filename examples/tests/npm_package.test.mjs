// The npm package of the widget, as a bundler takes it into a page of its own.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";

const PACKAGE = fileURLToPath(new URL("../../widget/dist/npm", import.meta.url));

/** Bundles `app`, which may import "connection-counter", into one classic script. */
async function bundle(app) {
  assert.ok(existsSync(PACKAGE), `the widget's npm package is not built: ${PACKAGE}`);
  const { outputFiles } = await build({
    stdin: { contents: app, resolveDir: PACKAGE },
    alias: { "connection-counter": PACKAGE },
    bundle: true,
    write: false,
    format: "iife",
    logLevel: "error",
  });
  return outputFiles[0].text.replaceAll("</script", "<\\/script");
}

story("bundled package shows counts and stops", {}, async (stage) => {
  const app = await bundle(`
    import { start } from "connection-counter";
    window.handle = start({ server: "${stage.server.url}" });
  `);
  const links = '<a href="/one">one</a> <a href="/two">two</a>';
  const site = await servePages(stage, () => html("", `${links}<script>${app}</script>`));

  const one = await stage.openTab(`${site}/one`);
  const two = await stage.openTab(`${site}/two`);
  await one.expectViewers('a[href="/two"]', 1);
  await two.expectViewers('a[href="/one"]', 1);

  await two.page.evaluate(async () => (await window.handle).stop());
  await two.expectViewers("a", 0);
  await one.expectViewers('a[href="/two"]', 0);
});
