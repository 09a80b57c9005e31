/** The options: what each may be, and its default. On a script tag they are the `data-*` attributes. */

import { readForms } from "./look.js";
import { warn } from "./warn.js";

const isYes = (value) => value === true || value === "" || value === "true";
const isNo = (value) => value === false || value === "false";

/** Yes or no; an attribute without a value means yes. */
const flag = (value) => (isYes(value) ? true : isNo(value) ? false : undefined);

const oneOf =
  (...values) =>
  (value) =>
    values.includes(value) ? value : undefined;

/** A number from 0 up, or `undefined`. */
const amount = (value) => (value !== "" && value >= 0 ? +value : undefined);

/** For each option its default, and how its value is understood: `undefined` for what is not. */
const OPTIONS = {
  server: [undefined, (value) => (/^https?:\/\/[^/]/.test(value) ? `${value}` : undefined)],
  path: ["/parties/page/", (value) => (/^\/(.*\/)?$/.test(value) ? value : undefined)],
  links: [
    "a,area",
    (value) => {
      document.createDocumentFragment().querySelector(value);
      return value;
    },
  ],
  scope: ["site", oneOf("site", "all")],
  min: [1, amount],
  label: ["{count}", (value) => (readForms(value).has("other") ? value : undefined)],
  text: ["({count} viewing now)", (value) => (typeof value === "string" ? value : undefined)],
  hash: [false, flag],
  query: ["keep", (value) => (typeof value === "string" ? (value === "drop" ? "" : value) : value?.join())],
  hiddenAfter: [30, amount],
  mergeTabs: [false, flag],
  observe: [false, flag],
  // Of the script tag only, and heeded before anything here is loaded.
  engine: ["wasm", oneOf("wasm", "js")],
};

/**
 * What the widget goes by: every option, understood or replaced by its default. What is not understood is warned about.
 *
 * @param {object} given options as in index.d.ts, or the `dataset` of a script tag
 * @param {string | undefined} home the server to use unless the options name one
 */
export function readOptions(given, home) {
  const options = {};
  for (const name of Object.keys(OPTIONS)) options[name] = OPTIONS[name][0];
  options.server = home;
  for (const [name, value] of Object.entries(given)) {
    // An option passed as `undefined` is an option left out.
    if (value === undefined) continue;
    let understood;
    try {
      if (Object.hasOwn(OPTIONS, name)) understood = OPTIONS[name][1](value);
    } catch {
      // Such as a selector that is none.
    }
    if (understood === undefined) warn("option ignored:", name);
    else options[name] = understood;
  }
  // Who asks not to be watched by the sites they read is not counted.
  if (navigator.globalPrivacyControl) options.observe = true;
  return options;
}
