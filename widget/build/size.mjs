/**
 * Prints what the widget weighs, beside others of its kind, and fails when one of its bars is broken. KB are 1,000 bytes.
 */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import { build } from "esbuild";

import { printSpent } from "./spent.mjs";

const dist = path.join(import.meta.dirname, "../dist");
const npm = path.join(dist, "npm");

const brotliBest = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
const weigh = (content) => ({
  raw: content.length,
  gzip: gzipSync(content, { level: constants.Z_BEST_COMPRESSION }).length,
  brotli: brotliCompressSync(content, brotliBest).length,
});
const add = (one, other) => ({ raw: one.raw + other.raw, gzip: one.gzip + other.gzip, brotli: one.brotli + other.brotli });
/** What is served. */
const file = (name) => {
  const [raw, gzip, brotli] = ["", ".gz", ".br"].map((ending) => readFileSync(path.join(dist, name + ending)).length);
  return { raw, gzip, brotli };
};

// live.js names what it loads. Two JavaScript files it does not name: the widget for pages that pin it, and the module without wasm.
const live = readFileSync(path.join(dist, "live.js"), "utf8");
const [pinned] = readFileSync(path.join(dist, "pinned"), "utf8").split(" ");
const versions = readdirSync(dist).filter((name) => name !== pinned && /^live-\w+\.(js|wasm)$/.test(name));
const one = (ending, isNamed) => versions.find((name) => name.endsWith(ending) && live.includes(name) === isNamed);
const [widget, wasm, plain] = [one(".js", true), one(".wasm", true), one(".js", false)];

/** The npm package in a page: what it loads on demand is a file of its own, unless the bundler is told to write only one. */
const bundle = async (splitting) => {
  const stdin = { contents: 'import { start } from "./index.js"; start({ server: "" });', resolveDir: npm };
  const { outputFiles } = await build({ stdin, bundle: true, minify: true, write: false, format: "esm", splitting, outdir: dist });
  return weigh(outputFiles.find(({ path }) => path.endsWith("stdin.js")).contents);
};

const first = file("live.js");
const all = [first, file(widget), file(wasm)].reduce(add);
const rows = [
  ["live.js, the first script", first, { gzip: 2_500 }],
  [`${widget}, the widget`, file(widget)],
  [`${wasm}, its module`, file(wasm)],
  ["all until counts show", all, { brotli: 21_000 }],
  [`${plain}, for pages without wasm`, file(plain), { brotli: 23_500 }],
  ["npm package, split by esbuild, until counts show", await bundle(true), { gzip: 24_000 }],
  ["the same in one file, with all that is for few", await bundle(false), { gzip: 30_000 }],
];

/** Others, bundled by esbuild in the same way (releases of 2026-08). */
const OTHERS = [
  ["plausible tracker 0.4.6", 6_094, 2_621, 2_287],
  ["partysocket 1.3.0", 12_202, 4_192, 3_709],
  ["socket.io-client 4.8.4", 41_951, 13_053, 11_896],
  ["supabase realtime 2.109.0", 57_304, 16_817, 14_939],
  ["pusher-js 8.6.0", 63_041, 18_949, 16_980],
  ["ably 2.28.0", 211_067, 57_753, 49_216],
];

const format = (name, numbers, remark = "") =>
  name.padEnd(50) + numbers.map((number) => number.toLocaleString("en").padStart(10)).join("") + remark;
console.log(format("bytes", ["raw", "gzip", "brotli"]));
let isTooHeavy = false;
for (const [name, { raw, gzip, brotli }, bar = {}] of rows) {
  const weights = { gzip, brotli };
  const remarks = Object.entries(bar).map(([encoding, limit]) => {
    const isOver = weights[encoding] > limit;
    isTooHeavy ||= isOver;
    return `  ${isOver ? "OVER" : "within"} ${limit.toLocaleString("en")} ${encoding}`;
  });
  console.log(format(name, [raw, gzip, brotli], remarks.join("")));
}
for (const [name, ...numbers] of OTHERS) console.log(format(`  ${name}`, numbers));
console.log("\nWhat the brotli bytes of the widget and its module are spent on (what the compiler inlined counts where it went):");
printSpent(file(widget).brotli, file(wasm).brotli);

if (isTooHeavy) {
  console.error("The widget is heavier than it may be.");
  process.exit(1);
}
