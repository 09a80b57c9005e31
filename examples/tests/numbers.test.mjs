// Numbers are those that the browser itself would write, in every language there may be, although it is seldom asked.

import assert from "node:assert/strict";
import { test } from "node:test";

import { labels } from "../../widget/npm/labels.js";

const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];
const pairs = LETTERS.flatMap((one) => LETTERS.map((other) => one + other));
const codes = [...pairs, ...pairs.flatMap((pair) => LETTERS.map((letter) => pair + letter))];
/** What may stand behind a language: scripts with digits of their own, all regions, a wish for other digits. */
const scripts = ["Adlm", "Arab", "Cakm", "Deva", "Beng", "Guru", "Rohg", "Olck", "Mtei", "Telu", "Latn"];
const regions = pairs.map((pair) => pair.toUpperCase());
const tags = [
  ...codes,
  ...codes.slice(0, pairs.length).flatMap((code) => scripts.map((script) => `${code}-${script}`)),
  ...["ar", "en", "fa", "pa", "ur", "uz"].flatMap((code) => regions.map((region) => `${code}-${region}`)),
  ...["en-u-nu-thai", "th-TH-u-nu-thai", "zh-u-nu-hanidec", "de-AT"],
];

test("small numbers are right in every language", () => {
  const wrong = tags.filter((tag) => {
    const own = new Intl.NumberFormat(tag, { notation: "compact", maximumFractionDigits: 1 });
    const textOf = labels("{count}", tag);
    return [0, 7, 10, 999, 1_000, 12_345].some((viewers) => textOf(viewers) !== own.format(viewers));
  });
  assert.deepEqual(wrong, []);
});
