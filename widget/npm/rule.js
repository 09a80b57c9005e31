/** The rules of a site's owner: which page an address leads to, where the widget cannot know. Loaded only where there are any. */

import { fail } from "./warn.js";

/** What a text with `*` matches: anything, and in a path with a single `*` anything but a slash. */
const source = (text, anything) =>
  text.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*+/g, (stars) => (stars === "*" ? anything : ".*"));

/** Takes from a URL the parameters that go by such a name: `?color`, `?filter*`. */
function withoutParameters(part) {
  const name = new RegExp(`^${source(part.slice(1), ".*")}$`);
  return ({ searchParams }) => {
    for (const key of [...searchParams.keys()]) if (name.test(key)) searchParams.delete(key);
  };
}

/** Takes from a URL what is in brackets, where its path is such a one: `[/collections/*]/products/*`, `/topic/*[/*]`. */
function withoutBrackets(part) {
  // Every second piece was in brackets.
  const pieces = part.split(/[[\]]/).map((piece, idx) => {
    const matching = source(encodeURI(decodeURI(piece)), "[^/]*");
    return idx % 2 ? `(?:${matching})` : `(${matching})`;
  });
  const path = new RegExp(`^${pieces.join("")}/?$`);
  return (url) => {
    const found = path.exec(url.pathname);
    if (found) url.pathname = found.slice(1).join("");
  };
}

/** The option `omit`, parts of addresses separated by blanks, as functions that take them away. */
const readParts = (omit) =>
  omit
    .split(/\s+/)
    .filter(Boolean)
    .map((part) => (part[0] === "?" ? withoutParameters(part) : withoutBrackets(part)));

/**
 * The function from an address to the one that stands for it, which is an empty text where that is no page.
 *
 * @param {object} options as `readOptions` has understood them
 */
export function createRule({ omit, pageOf }) {
  let parts = [];
  try {
    parts = readParts(omit);
  } catch (error) {
    // Such as a `%` that encodes nothing.
    fail(error);
  }
  return (address) => {
    try {
      const page = pageOf?.(new URL(address));
      if (page === null) return "";
      const url = new URL(page ?? address, address);
      for (const take of parts) take(url);
      return url.href;
    } catch (error) {
      // An `href` may be no address at all.
      if (URL.canParse?.(address)) fail(error);
      return address;
    }
  };
}
