// Rollup needs the first plugin to find packages, and the second for files in `new URL(…, import.meta.url)`.

import { nodeResolve } from "@rollup/plugin-node-resolve";
import { importMetaAssets } from "@web/rollup-plugin-import-meta-assets";

export default {
  input: { default: "default.js", slim: "slim.js" },
  plugins: [nodeResolve(), importMetaAssets()],
};
