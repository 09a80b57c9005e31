/** Warnings to a site's owner about wrong options. Loaded on demand. */

import { explainPage, isInsecure, startDebugging } from "./debug.js";
import { camel, kebab } from "./names.js";
import { warn } from "./warn.js";

const YES_OR_NO = "true or false";
/** What is expected of each option. */
const EXPECTED = {
  server: "an address such as https://live.example.org",
  path: "a path such as /live?page= or /parties/page/",
  links: "a CSS selector",
  scope: "site or all",
  min: "a number",
  label: "a text with {count}",
  text: "a text with {count}, or an empty one",
  hash: YES_OR_NO,
  query: "keep, drop or names of parameters, such as page,id",
  canonical: "follow or ignore",
  omit: "parts of addresses, such as ?color or /topic/*[/*]",
  pageOf: "a function",
  hiddenAfter: "a number of seconds",
  mergeTabs: YES_OR_NO,
  observe: YES_OR_NO,
  self: "count or omit",
  bots: "watch or count",
  debug: YES_OR_NO,
  engine: "wasm or js",
};

/** How many typing errors two words differ by: a missing, extra, wrong or swapped letter. At most `most` are counted. */
function distance(one, other, most) {
  if (one === other || most === 0) return one === other ? 0 : 1;
  if (one && one[0] === other[0]) return distance(one.slice(1), other.slice(1), most);
  const rest = [
    [one.slice(1), other],
    [one, other.slice(1)],
    [one.slice(1), other.slice(1)],
  ];
  if (one[0] === other[1] && one[1] === other[0]) rest.push([one.slice(2), other.slice(2)]);
  return 1 + Math.min(...rest.map((words) => distance(...words, most - 1)));
}

/** The option that a misspelled name probably means. Short names may differ less: `data-test` does not mean `text`. */
function meantBy(name) {
  // `data-` is for attributes of the tag only.
  const bare = name.replace(/^data-?(?=[A-Z-])/, "").replace(/-/g, "").toLowerCase();
  const most = (ours) => (ours.length < 5 ? 0 : ours.length < 9 ? 1 : 2);
  return Object.keys(EXPECTED).find((ours) => distance(bare, ours.toLowerCase(), most(ours)) <= most(ours));
}

/**
 * Whether an attribute or parameter may as well be another program's, because it is a word of its own: `data-link`, `data-observer`,
 * `data-engines`. Nobody else has `data-merge-tab` or `data-scop`.
 */
function mayBeForeign(name, meant) {
  const word = name.toLowerCase();
  return !/[A-Z-]/.test(name) && word !== meant.toLowerCase() && /^(s|r|d|ed|er)$/.test(word.slice(meant.length) || meant.slice(word.length));
}

/** A value as its author wrote it. */
function written(value) {
  if (typeof value !== "string") return Array.isArray(value) ? JSON.stringify(value) : String(value);
  return value.includes('"') ? `'${value}'` : `"${value}"`;
}

/** What is wrong with a label that has a place for the number. */
const ONLY_SOME = "all other numbers need a text with {count}: |other={count} …";

/** What to do about options that are given where they have no effect, by their spelling. */
const ELSEWHERE = {
  "?engine": "write it as an attribute of the tag: data-engine",
  engine: 'to do without WebAssembly, import start from "connection-counter/no-wasm"',
};

/** The name of an option as its author should write it: in code, in the tag's address, or as an attribute of the tag. */
function rightSpelling(given, isOfTag, meant) {
  if (!isOfTag) return meant;
  return `${given[0] === "?" ? "?" : "data-"}${kebab(meant)}`;
}

/**
 * What is wrong with an option. `undefined` if the attribute or parameter may belong to another program, unless this `asksAll` that have
 * nearly a name of ours.
 */
function explain([given, name, value, remedy = ELSEWHERE[given]], asksAll) {
  const spelled = given.startsWith("data-") ? kebab(given) : given;
  if (remedy) return `${spelled}=${written(value)} (${remedy})`;
  if (name === "label" && `${value}`.includes("{count}")) return `${spelled}=${written(value)} (${ONLY_SOME})`;
  if (Object.hasOwn(EXPECTED, name)) return `${spelled}=${written(value)} (expected: ${EXPECTED[name]})`;
  // A tag may have attributes for other programs, and its address parameters against caches. Options of `start` are only ours.
  const isOfTag = given !== name;
  const meant = meantBy(name);
  if (meant && (asksAll || !isOfTag || !mayBeForeign(name, meant))) return `${spelled} (did you mean ${rightSpelling(given, isOfTag, meant)}?)`;
  return isOfTag ? undefined : `${spelled} (no such option)`;
}

/**
 * Tells the owner what is wrong when the widget starts, and from then on, with `debug`, all it knows.
 * @param {object} options as `readOptions` has understood them. A fourth text in a mistake says what to do about it
 * @param {(address: string) => string} rule the owner's rule
 * @param {string} rooms the start of every room's address
 * @returns {() => void} ends what has been started
 */
export function advise(options, rule, rooms) {
  const explained = options.mistakes.map((mistake) => explain(mistake)).filter(Boolean);
  if (explained.length) warn("options", `options ignored: ${explained.join(", ")}`);
  explainInsecure(rooms);
  const isDebugging = options.debug || /[?&]viewers-debug\b/.test(location);
  const stopExplaining = explainPage(options, rule, rooms, isDebugging);
  if (!isDebugging) return stopExplaining;
  const unexplained = options.mistakes.filter((mistake) => !explain(mistake));
  const foreign = unexplained.map((mistake) => explain(mistake, true) || (mistake[0][0] === "?" ? mistake[0] : kebab(mistake[0])));
  foreign.push(...withoutData());
  const stopDebugging = startDebugging(options, rule, rooms, foreign);
  return () => {
    stopExplaining();
    stopDebugging();
  };
}

/** Warns if the page may not use the server, because the server's address is less safe than the page's. This machine's own may be. */
function explainInsecure(rooms) {
  if (!isInsecure(rooms)) return;
  const right = new URL(rooms).origin.replace("ws:", "https:");
  warn("insecure", `a page with https: cannot use a server with http:. Serve it with https:, and write server: "${right}" (data-server="${right}")`);
}

/** Why there is no server, for the error that ends the start. */
export function explainServer(mistakes) {
  const [, , value] = mistakes.find(([, name]) => name === "server") || [];
  if (value === undefined) return 'the option server is missing; write server: "https://live.example.org"';
  const host = typeof value === "string" && value.trim().replace(/^(\w+:)?\/+/, "");
  const scheme = /^(localhost|127\.|\[)/.test(host) ? "http" : "https";
  return `the option server=${written(value)} does not begin with https:// or http://; write server: "${host ? `${scheme}://${host}` : "https://live.example.org"}"`;
}

/** The options on a script tag, in the author's spelling, those of other programs left out. */
function optionsOn(tag) {
  const ofAddress = [...new URL(tag.src).searchParams].map(([name, value]) => [`?${name}`, camel(name), value]);
  const ofTag = Object.entries(tag.dataset).map(([name, value]) => [`data-${kebab(name)}`, name, value]);
  return [...ofAddress, ...ofTag].filter(([, name]) => Object.hasOwn(EXPECTED, name)).map(([spelled, , value]) => `${spelled}=${written(value)}`);
}

const scriptTags = () => [...document.querySelectorAll("script[src]")].filter(({ src }) => /\/live(-\w+)?\.js(\?|$)/.test(src));

/** The attributes of our script tags that lack their `data-`. */
const withoutData = () =>
  scriptTags()
    .flatMap((tag) => tag.getAttributeNames())
    .filter((name) => Object.keys(EXPECTED).some((ours) => kebab(ours) === name))
    .map((name) => `${name} (did you mean data-${name}?)`);

/** Warns if several script tags of this page have different options. A page has one widget, so only one of them has an effect. */
export function explainTags() {
  const texts = new Set(scriptTags().map((tag) => [tag.src.split("?")[0], ...optionsOn(tag).sort()].join(" ")));
  if (texts.size > 1) warn("tags", `only one of the script tags of this page has an effect. Keep one of these: ${[...texts].join(", or ")}`);
}
