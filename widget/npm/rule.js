/** The owner's rules about which page an address is (`omit` and `pageOf`). Loaded only if there are any. */

import { fail } from "./warn.js";

/** The source of a regular expression for a text with `*`. `**` matches any text, and `*` matches what `anything` says. */
const source = (text, anything) =>
  text.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*+/g, (stars) => (stars === "*" ? anything : ".*"));

/** The name of a parameter such as `filter%5Bcolor%5D=red`. */
const nameOf = (parameter) => [...new URLSearchParams(`&${parameter}`).keys()][0] ?? "";

/** Removes from a URL the parameters with such a name: `?color`, `?filter*`. All others stay as they are spelled. */
function withoutParameters(part) {
  const name = new RegExp(`^${source(part.slice(1), ".*")}$`);
  return (url) => {
    const parameters = url.search.slice(1).split("&");
    const kept = parameters.filter((parameter) => !name.test(nameOf(parameter)));
    if (kept.length < parameters.length) url.search = kept.join("&");
  };
}

/** A path in the one spelling that is compared, so that `%7Eme` is `~me`. */
function respelled(path) {
  try {
    return encodeURI(decodeURI(path));
  } catch {
    // A `%` that encodes nothing.
    return path;
  }
}

/** Removes from a URL the part in brackets if its path matches: `[/collections/*]/products/*`, `/topic/*[/*]`. */
function withoutBrackets(part) {
  // Every second piece was in brackets.
  const pieces = part.split(/[[\]]/).map((piece, idx) => {
    const matching = source(respelled(piece), "[^/]*");
    return idx % 2 ? `(?:${matching})` : `(${matching})`;
  });
  const path = new RegExp(`^${pieces.join("")}/?$`);
  return (url) => {
    const found = path.exec(respelled(url.pathname));
    if (found) url.pathname = found.slice(1).join("");
  };
}

/** The parts of the option `omit`, as functions that remove them from a URL. */
const readParts = (omit) =>
  omit
    .split(/\s+/)
    .filter(Boolean)
    .map((part) => (part[0] === "?" ? withoutParameters(part) : withoutBrackets(part)));

/**
 * Returns the function that maps an address to the address it counts as, or to an empty text if it is no page.
 *
 * @param {object} options the result of `readOptions`
 */
export function createRule({ omit, pageOf }) {
  let parts = [];
  try {
    parts = readParts(omit);
  } catch (error) {
    // For example a `%` that encodes nothing.
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
      // An `href` may not be an address at all.
      if (URL.canParse?.(address)) fail(error);
      return address;
    }
  };
}
