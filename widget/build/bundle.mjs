/**
 * Makes what readers download: shrinks the module and bundles it, the glue and the sources of widget/npm into the script
 * tag and the npm package. Run by the build program; the arguments are wasm-bindgen's output, widget/npm, the folder to fill,
 * and the words of the wire that the JavaScript needs, as JSON.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const [glue, sources, dist, words] = process.argv.slice(2);
const npm = path.join(dist, "npm");
const npmProgram = process.platform === "win32" ? "npm.cmd" : "npm";
const shrunk = path.join(glue, "shrunk.wasm");

const binaryen = (program, ...args) => {
  const file = createRequire(import.meta.url).resolve(`binaryen/bin/${program}`);
  execFileSync(process.execPath, [file, ...args], { stdio: "inherit" });
};
// What it may take for granted: the lowest kilobyte is the end of a stack of sixty-four, which is never reached. Not that a load never
// traps: then one may be moved before the check that guards it.
const assumptions = ["--low-memory-unused"];
// The section that is stripped tells tools which features the module uses; browsers find out themselves.
const optimizing = ["--flatten", "--rereloop", "-Oz", "--gufa-optimizing", "-Oz", "-Oz", "--reorder-locals", "--reorder-functions"];
const passes = [...optimizing, "--strip-target-features", "--strip-producers"];
const shrink = [...assumptions, ...passes, path.join(glue, "widget.wasm")];
binaryen("wasm-opt", ...shrink, "-o", shrunk);
// The same with the names of its functions, for `size.mjs`.
binaryen("wasm-opt", ...shrink, "--debuginfo", "-o", path.join(glue, "named.wasm"));

// The same as JavaScript. First what JavaScript has no instruction for is said in others.
const lowered = path.join(glue, "lowered.wasm");
const plain = path.join(glue, "plain.js");
const features = ["bulk-memory", "bulk-memory-opt", "mutable-globals", "nontrapping-float-to-int", "sign-ext"];
const lowerings = ["llvm-memory-copy-fill-lowering", "llvm-nontrapping-fptoint-lowering", "signext-lowering"];
const flags = [...features.map((name) => `--enable-${name}`), ...lowerings.map((name) => `--${name}`)];
binaryen("wasm-opt", ...flags, "-Oz", shrunk, "-o", lowered);
binaryen("wasm2js", "-Oz", lowered, "-o", plain);

const hash = (content) => createHash("sha256").update(content).digest("hex").slice(0, 8);
const integrity = (content, algorithm) => `${algorithm}-${createHash(algorithm).update(content).digest("base64")}`;

// What wasm2js writes is a module that imports and begins by itself; ours is a function of what it imports.
const plainText = readFileSync(plain, "utf8");
const plainParts = /^(?:import [^;]+;\n)+(.*)\nvar retasmFunc = asmFunc\(.*\);\n(?:export var .*\n)*$/s.exec(plainText);
if (!plainParts) throw new Error("wasm2js writes its modules in another way");
writeFileSync(plain, `${plainParts[1]}\nexport default asmFunc;\n`);

// What crosses between the module and the JavaScript has short names in both.
const mangleCache = JSON.parse(readFileSync(path.join(glue, "names.json"), "utf8"));
const mangled = { mangleProps: new RegExp(`^(${Object.keys(mangleCache).join("|")})$`), mangleCache };

const alias = {
  "widget-wasm": shrunk,
  "widget-plain": path.resolve(plain),
};

// The module as a text: a character for each byte that is frequent, which are the first ones and most small letters, and a sign and a
// character for each of the others. Compressed, that is a tenth smaller than hexadecimal digits, and a fifth smaller than the base64 of esbuild's
// own: what bytes have in common with others survives.
const { fromCharCode } = String;
const toText = (byte) => {
  if (byte < 72) return fromCharCode(byte + 35);
  if (byte >= 98 && byte < 117) return fromCharCode(byte + 9);
  return byte < 164 ? `!${fromCharCode(byte - 37)}` : `~${fromCharCode(byte - 129)}`;
};
const text = [...readFileSync(shrunk)].map(toText).join("");
const toByte = `([one, two]) => two ? two.charCodeAt() + (one > "!" ? 129 : 37) : one.charCodeAt() - (one > "j" ? 9 : 35)`;
const inside = path.join(glue, "inside.js");
writeFileSync(inside, `export default Uint8Array.from(${JSON.stringify(text)}.match(/[!~]?./g), ${toByte});\n`);

/** Bundles one entry, with what all have in common, and returns its text. */
async function bundle(entry, options = {}) {
  const common = {
    entryPoints: [path.join(sources, entry)],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    // Every browser with the WebAssembly that Rust's compiler writes knows at least this much JavaScript.
    target: "es2022",
    define: { ...JSON.parse(words), EXTRAS_FILE: '"./extras.js"' },
    external: ["./extras.js"],
    alias,
    logLevel: "warning",
    ...mangled,
  };
  // esbuild has said what is wrong by then.
  const define = { ...common.define, ...options.define };
  const { outputFiles, metafile } = await build({ ...common, ...options, define }).catch(() => process.exit(1));
  // What it is made of, for `size.mjs`.
  writeFileSync(path.join(glue, `${entry}.json`), JSON.stringify(metafile));
  return outputFiles[0].text;
}

/**
 * Bundles one entry for the server to hand out. Terser makes it a twentieth shorter, because it puts constants and functions where they
 * are used. No function of ours is called with `new`, so all may be arrows. Not for the npm package: its users' bundlers do the same, and webpack's breaks what was shortened before.
 */
async function bundleShorter(entry, options) {
  const { code } = await minify(await bundle(entry, options), { module: true, ecma: 2020, compress: { passes: 5, unsafe_arrows: true } });
  return code;
}

rmSync(dist, { recursive: true, force: true });
mkdirSync(npm, { recursive: true });

/** Writes what the server hands out; the name changes with the content, so caches may keep it for ever. */
const writeVersion = (name, content) => {
  const file = name.replace("*", hash(content));
  writeFileSync(path.join(dist, file), content);
  return { file: JSON.stringify(file), content };
};

// What the server hands out: the script tag, and what it loads from beside itself.
const wasm = writeVersion("live-*.wasm", readFileSync(shrunk));
const extras = writeVersion("live-extras-*.js", await bundleShorter("extras.js"));
const plainJs = writeVersion("live-*.js", await bundleShorter("plain.js"));
// Those that a module loads.
const [extrasFile, plainFile] = [extras, plainJs].map(({ file }) => `./${JSON.parse(file)}`);
// The shortest hash that browsers take, because no compression shortens it.
const WASM_INTEGRITY = JSON.stringify(integrity(wasm.content, "sha256"));
const define = { WASM_FILE: wasm.file, WASM_INTEGRITY };
const [EXTRAS_FILE, PLAIN_FILE] = [extrasFile, plainFile].map((file) => JSON.stringify(file));
const tagOptions = { define: { ...define, EXTRAS_FILE, PLAIN_FILE }, external: [extrasFile, plainFile] };
const module = writeVersion("live-*.js", await bundleShorter("tag.js", tagOptions));
// For the server to print, for pages that want this version and no other.
const pinned = writeVersion("live-*.js", await bundleShorter("pinned.js", tagOptions));
writeFileSync(path.join(dist, "pinned"), `${JSON.parse(pinned.file)} ${integrity(pinned.content, "sha384")}`);
const live = await bundleShorter("live.js", { format: "iife", define: { ...define, MODULE_FILE: module.file } });
writeFileSync(path.join(dist, "live.js"), live);

// The npm package: with the module inside, which every bundler can take without being told about wasm; with the module
// beside it, for those that can; without one, for pages that may not; and what knows of none, because it shows the counts of
// whichever widget runs.
const entries = {
  "extras.js": {},
  "index.js": { alias: { ...alias, "widget-wasm": inside } },
  // `import.meta` is newer.
  "slim.js": { target: "es2020" },
  "no-wasm.js": {},
  "react.js": { external: ["react"] },
  "vue.js": { external: ["vue"] },
};
// Older bundlers, such as webpack 4, read no newer JavaScript.
const target = "es2018";
for (const [entry, options] of Object.entries(entries)) {
  writeFileSync(path.join(npm, entry), await bundle(entry, { target, ...options }));
}
copyFileSync(shrunk, path.join(npm, "widget.wasm"));
const root = path.join(import.meta.dirname, "../..");
const texts = readdirSync(sources).filter((name) => /(?<!^dom)\.d\.ts$|^README\.md$|^package\.json$/.test(name));
for (const file of [
  ...texts.map((name) => path.join(sources, name)),
  ...["LICENSE-APACHE", "LICENSE-MIT"].map((name) => path.join(root, name)),
]) {
  copyFileSync(file, path.join(npm, path.basename(file)));
}

// The package as `npm install <server>/connection-counter.tgz` takes it.
const [{ filename }] = JSON.parse(execFileSync(npmProgram, ["pack", "--json", "--silent", "--pack-destination", dist], { cwd: npm }));
renameSync(path.join(dist, filename), path.join(dist, "connection-counter.tgz"));

/** The shortest that brotli makes of a content. Which way to write distances is best for it, nobody knows before. */
function brotli(content) {
  const ways = [0, 1, 2, 3].flatMap((postfix) => [0, 1, 4, 8].map((direct) => [postfix, direct << postfix]));
  const copies = ways.map(([postfix, direct]) =>
    brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_NPOSTFIX]: postfix, [constants.BROTLI_PARAM_NDIRECT]: direct } }),
  );
  return copies.sort((one, other) => one.length - other.length)[0];
}

// Smaller copies for the server to hand out. Made here, at their best and once, not by a server at every request.
for (const name of readdirSync(dist).filter((name) => /\.(js|wasm)$/.test(name))) {
  const content = readFileSync(path.join(dist, name));
  writeFileSync(path.join(dist, `${name}.br`), brotli(content));
  writeFileSync(path.join(dist, `${name}.gz`), gzipSync(content, { level: constants.Z_BEST_COMPRESSION }));
}
