/** The owner's rules about which page an address is (`omit` and `pageOf`). Loaded only if there are any. */

import { warn } from "./warn.js";

/** The source of a regular expression for a text with `*`. `**` matches any text, and `*` matches what `anything` says. */
const source = (text, anything) =>
  text.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replace(/\*+/g, (stars) => (stars === "*" ? anything : ".*"));

/** The name of a parameter such as `filter%5Bcolor%5D=red`. */
const nameOf = (parameter) => [...new URLSearchParams(`&${parameter}`).keys()][0] || "";

/** Removes from a URL the parameters with such a name, in any spelling: `?color`, `?filter*`. All others stay as they are spelled. */
function withoutParameters(part) {
  const name = new RegExp(`^${source(nameOf(part.slice(1)), ".*")}$`);
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
    const own = respelled(url.pathname);
    // A slash at the end makes no difference: `[/en]/**` means `/en`, too.
    const found = path.exec(own) || path.exec(`${own}/`);
    if (found) url.pathname = found.slice(1).join("");
  };
}

/** The URL of an address; nothing if nobody can read it as one. */
export function read(address, base) {
  try {
    return new URL(address, base);
  } catch {
    return undefined;
  }
}

/** What to do about an answer of the owner's function that is no address. */
const RIGHT = "It should return an address (a text or a URL), null if the URL is no page, or nothing. Until then, such a URL counts as it is";

/** The URL that the owner's function counts a URL as, or `null` if it says that it is no page. A URL that it has changed stays changed. */
function askOwner(pageOf, url) {
  const { href } = url;
  let page;
  try {
    page = pageOf?.(url);
  } catch (error) {
    warn("pageOf", `the option pageOf throws an exception for ${href}. ${RIGHT}:`, error);
    return new URL(href);
  }
  if (page === undefined || page === null) return page === null ? null : url;
  // `location` and links have their address as a URL has.
  const named = typeof page === "string" ? page : page.href;
  const counted = typeof named === "string" ? read(named, href) : undefined;
  if (!counted) warn("pageOf", `the option pageOf returns no address for ${href}. ${RIGHT}. It returned`, page);
  return counted || new URL(href);
}

/** What to write instead of a part of the option `omit` that would have no effect. Nothing if it is right. */
function remedyFor(part) {
  if (/^https?:/.test(part)) return `${part}: write the path without its host`;
  if (/^\?(.*[?&=,]|$)/.test(part)) return `${part}: write each parameter by its name alone, with a space before the next: ?color ?size`;
  if (part[0] === "?") return undefined;
  if (!/^[[/*]/.test(part)) return `${part}: write ?${part} for a parameter, or begin a path with /`;
  if (/[?#]/.test(part)) return `${part}: write the path without parameters and fragment. Parameters are parts of their own, such as ?color`;
  if (!/^[^[\]]*(\[[^[\]]+\][^[\]]*)+$/.test(part)) return `${part}: put what does not matter in brackets, as in /topic/*[/*]`;
  return /%(?![\da-f]{2})/i.test(part) ? `${part}: write * in place of a % that encodes nothing` : undefined;
}

/**
 * Returns the function that maps an address to the address it counts as, or to an empty text if it is no page.
 *
 * @param {object} options the result of `readOptions`. Its `mistakes` get those in `omit`
 * @param {[string, string, unknown][]} given as in `readOptions`
 */
export function createRule({ omit = "", pageOf, mistakes }, given) {
  const written = omit.split(/\s+/).filter(Boolean);
  const remedies = written.map(remedyFor);
  if (remedies.some(Boolean)) {
    const [spelled] = given.filter(([, name]) => name === "omit").at(-1);
    mistakes.push([spelled, "omit", omit, remedies.filter(Boolean).join("; ")]);
  }
  const parts = written
    .filter((_, idx) => !remedies[idx])
    .map((part) => (part[0] === "?" ? withoutParameters(part) : withoutBrackets(part)));
  return (address) => {
    const url = read(address);
    // An `href` may not be an address at all.
    if (!url) return address;
    const page = askOwner(pageOf, url);
    if (page === null) return "";
    for (const take of parts) take(page);
    return page.href;
  };
}
