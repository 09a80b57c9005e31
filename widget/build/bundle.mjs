/**
 * Makes what readers download: shrinks the module and bundles it, the glue and the sources of widget/npm into the script
 * tag and the npm package. Run by the build program; the arguments are three folders: wasm-bindgen's output, widget/npm
 * and the folder to fill.
 */
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const [glue, sources, dist] = process.argv.slice(2);
const shrunk = path.join(glue, "shrunk.wasm");

const wasmOpt = createRequire(import.meta.url).resolve("binaryen/bin/wasm-opt");
// The section that is stripped tells tools which features the module uses; browsers find out themselves.
const passes = ["-Oz", "--strip-target-features"];
execFileSync(process.execPath, [wasmOpt, ...passes, path.join(glue, "widget.wasm"), "-o", shrunk], { stdio: "inherit" });

/** Bundles one entry, with what both have in common. */
async function bundle(options) {
  const common = {
    bundle: true,
    minify: true,
    // Every browser with the WebAssembly that Rust's compiler writes knows at least this much JavaScript.
    target: "es2022",
    alias: { "widget-glue": path.join(glue, "glue.js"), "widget-wasm": shrunk },
    logLevel: "warning",
  };
  // esbuild has said what is wrong by then.
  await build({ ...common, ...options }).catch(() => process.exit(1));
}

rmSync(dist, { recursive: true, force: true });

// The script tag: a classic script, which finds the module beside itself.
await bundle({
  entryPoints: [path.join(sources, "live.js")],
  outdir: dist,
  format: "iife",
  loader: { ".wasm": "file" },
  // The name changes with the content, so caches may keep the module for ever.
  assetNames: "live-[hash]",
});

// The npm package: one module with everything inside, which every bundler can take without being told about wasm.
await bundle({
  entryPoints: [path.join(sources, "index.js")],
  outdir: path.join(dist, "npm"),
  format: "esm",
  loader: { ".wasm": "binary" },
});
const root = path.join(import.meta.dirname, "../..");
for (const file of [
  ...["README.md", "index.d.ts", "package.json"].map((name) => path.join(sources, name)),
  ...["LICENSE-APACHE", "LICENSE-MIT"].map((name) => path.join(root, name)),
]) {
  copyFileSync(file, path.join(dist, "npm", path.basename(file)));
}

// Smaller copies for the server to hand out. Made here, at their best and once, not by a server at every request.
for (const name of readdirSync(dist).filter((name) => /\.(js|wasm)$/.test(name))) {
  const content = readFileSync(path.join(dist, name));
  writeFileSync(path.join(dist, `${name}.br`), brotliCompressSync(content));
  writeFileSync(path.join(dist, `${name}.gz`), gzipSync(content, { level: constants.Z_BEST_COMPRESSION }));
}
