/**
 * Prints what the widget weighs, and fails when a page that embeds it would download more than the budget allows.
 */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** What the script tag and its module may weigh together, as a browser downloads them: 24 KB with brotli at its best. */
const BUDGET_BYTES = 24 * 1024;

const dist = path.join(import.meta.dirname, "../dist");
const brotliBest = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };

const files = readdirSync(dist).filter((name) => /^live(-\w+)?\.(js|wasm)$/.test(name));
const rows = files.map((name) => {
  const content = readFileSync(path.join(dist, name));
  const gzip = gzipSync(content, { level: constants.Z_BEST_COMPRESSION });
  return [name, content.length, gzip.length, brotliCompressSync(content, brotliBest).length];
});
const sum = (column) => rows.reduce((total, row) => total + row[column], 0);
const total = ["total", sum(1), sum(2), sum(3)];

const format = (cell, idx) => {
  const text = cell.toLocaleString("en");
  return idx === 0 ? text.padEnd(20) : text.padStart(10);
};
for (const row of [["bytes", "raw", "gzip", "brotli"], ...rows, total]) console.log(row.map(format).join(""));

const downloaded = total[3];
const verdict = `${downloaded.toLocaleString("en")} of ${BUDGET_BYTES.toLocaleString("en")} bytes with brotli`;
if (downloaded > BUDGET_BYTES) {
  console.error(`The widget is over its budget: ${verdict}.`);
  process.exit(1);
}
console.log(`The widget is within its budget: ${verdict}.`);
