/** The options: their values and defaults. On a script tag they are `data-*` attributes, or parameters of its address. */

/** Yes or no. An attribute without a value means yes. */
const flag = (value) => (typeof value !== "object" && /^(true|false|)$/.test(value) ? `${value}` !== "false" : undefined);
/** A text. */
const like = (pattern) => (value) => (pattern.test(value) ? `${value}` : undefined);
/** A number from 0 up, or `undefined`. */
const amount = (value) => (value >= 0 && /\d|y/.test(value) ? +value : undefined);

/** For each option its default, and a function that reads a value. For a wrong value it returns `undefined` or throws. */
const OPTIONS = {
  __proto__: null,
  server: [undefined, like(/^https?:\/\/[^/]/)],
  path: ["/live?page=", like(/^\/(\S*[/=])?$/)],
  // In a document without elements nothing is found, but an invalid selector throws, and so does `null`.
  links: ["a,area", (value) => new Document().querySelector(value) ?? value.concat()],
  scope: ["site", like(/^(site|all)$/)],
  min: [1, amount],
  // Of plural forms, that for all other numbers.
  label: ["{count}", like(/(^|\|)(?!(zero|one|two|few|many)=)[^|]*\{count\}/)],
  text: ["({count} viewing now)", like(/^$|\{count\}/)],
  hash: [false, flag],
  // A text or a list of names. Names are separated by commas, and blanks are left out. They have neither signs of an address or of other
  // lists, nor those of a rule, and are no words for a rule, such as `Keep` and `none`.
  query: [
    "keep",
    (value) =>
      value === "drop"
        ? ""
        : /[!?&=*|;"]|\w\s+\w|^(-|([KD]..[pP]|all|none|true|false|)$)/.test(value)
          ? undefined
          : `${value.concat()}`.replace(/\s/g, ""),
  ],
  canonical: ["follow", like(/^(follow|ignore)$/)],
  omit: ["", (value) => value.trim()],
  pageOf: [undefined, (value) => (typeof value === "function" ? value : undefined)],
  hiddenAfter: [30, amount],
  mergeTabs: [false, flag],
  observe: [false, flag],
  self: ["count", like(/^(count|omit)$/)],
  bots: ["watch", like(/^(watch|count)$/)],
  debug: [false, flag],
  // Only for the script tag, which has read it before this file is loaded.
  engine: ["wasm", like(/^(wasm|js)$/)],
};

/** Matches the user agents of crawlers. CUBOT is a maker of telephones. */
const BOT = /(?<!cu)bot\b|crawl|spider|slurp|headless|lighthouse|externalhit|archiver|prerender/i;

/**
 * Reads the options. A wrong one gets its default, and is added to `mistakes`.
 *
 * @param {[string, string, unknown][]} given for each option its author's spelling, its name as in index.d.ts, and its value
 * @param {string | undefined} home the server to use unless the options name one
 */
export function readOptions(given, home) {
  const options = { mistakes: [] };
  for (const name of Object.keys(OPTIONS)) options[name] = OPTIONS[name][0];
  options.server = home;
  for (const option of given) {
    const [, name, value] = option;
    // An option passed as `undefined` is an option left out.
    if (value === undefined) continue;
    let understood;
    try {
      understood = OPTIONS[name][1](value);
    } catch {
      // For example an invalid selector, or no option of ours.
    }
    if (understood === undefined) options.mistakes.push(option);
    else options[name] = understood;
  }
  // Readers who ask sites not to track them are not counted. Programs are not counted either.
  const isBot = options.bots === "watch" && (navigator.webdriver || BOT.test(navigator.userAgent));
  if (isBot || navigator.globalPrivacyControl) options.observe = true;
  return options;
}
