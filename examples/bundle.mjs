// Bundles each example app into a `bundle.js` beside it: `npm run bundle`. Any other bundler would work, too.

import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** How apps are bundled, here and in the tests. They use the package that was just built, and not one from a registry. */
export const options = {
  alias: { "connection-counter": here("../widget/dist/npm") },
  // Where the package finds React and Vue. An installed package has them beside it.
  nodePaths: [here("node_modules")],
  bundle: true,
  jsx: "automatic",
  define: {
    // In development, frameworks check more, and React runs effects twice.
    "process.env.NODE_ENV": '"development"',
    // Vue needs this setting.
    __VUE_OPTIONS_API__: "true",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "true",
  },
  logLevel: "error",
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await build({
    ...options,
    // This has Vue's compiler for templates. Other apps run it in a plugin of their bundler.
    alias: { ...options.alias, vue: "vue/dist/vue.esm-bundler.js" },
    entryPoints: [
      { in: here("react/app.jsx"), out: "react/bundle" },
      { in: here("vue/app.js"), out: "vue/bundle" },
    ],
    outdir: here("."),
    format: "esm",
  });
}
