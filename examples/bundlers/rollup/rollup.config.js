// Rollup finds packages with the first plugin, and files named by `new URL(…, import.meta.url)` with the second.

import { nodeResolve } from "@rollup/plugin-node-resolve";
import { importMetaAssets } from "@web/rollup-plugin-import-meta-assets";

export default {
  input: { default: "default.js", slim: "slim.js" },
  plugins: [nodeResolve(), importMetaAssets()],
};
