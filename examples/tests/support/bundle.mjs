// Bundles a script for the browser, as the pages of our users do.

import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { options } from "../../bundle.mjs";

/**
 * The script as one piece that may stand inside a `script` element.
 * @param {string} contents an ES module
 * @param {Record<string, string>} alias packages to take in place of others
 * @param {Record<string, boolean>} supported what to write in other words: `false` for a feature of the language
 */
export async function bundle(contents, alias = {}, supported = {}) {
  const { outputFiles } = await build({
    ...options,
    stdin: { contents, resolveDir: fileURLToPath(new URL(".", import.meta.url)), loader: "jsx" },
    alias: { ...options.alias, ...alias },
    supported,
    write: false,
    format: "iife",
  });
  return outputFiles[0].text.replaceAll("</script", "<\\/script");
}
