/** What the widget prints for a site's owner: why numbers do not show, and with `debug` all it knows. Loaded on demand. */

import { page } from "./page.js";
import { warn } from "./warn.js";

/** How often to check whether something has changed. */
const EVERY_MS = 1000;
/** Pages that are listed at most. A longer list would hide the other lines. */
const MOST_PAGES = 20;

/** A path in nearly the form that page ids have, to compare two. */
const plain = (path) => path.replace(/\/index\.html$/, "").replace(/\/+$/, "");

/**
 * Warns if a link of this site led to an address of this page other than the canonical one. Such links never show a number.
 * @param {string} canonical the address in the page's canonical link
 * @param {string} address the page's own
 */
export function explainCanonical(canonical, address) {
  // The widget ignores a canonical link that is not an address.
  if (!URL.canParse(canonical)) return;
  const [named, here] = [new URL(canonical), new URL(address)];
  const cameByLink = document.referrer.startsWith(`${here.origin}/`);
  // The widget ignores a canonical link to the start page on any other page.
  if (!cameByLink || named.host !== here.host || named.pathname === "/" || plain(named.pathname) === plain(here.pathname)) return;
  warn(
    "canonical",
    `links to ${here.host}${here.pathname} show no number, because its <link rel=canonical> says to count it as ${named.host}${named.pathname}. ` +
      'Link to that address, or set the option canonical to "ignore" (data-canonical="ignore") on all pages.',
  );
}

/** The page id that the room's address holds, in its query or as the end of its path. */
const idIn = (address, rooms) =>
  new URL(address).searchParams.get("page") ?? decodeURIComponent(address.slice(rooms.length).split("?")[0]);

/** The lines about which page this is, and why. */
function tellPage({ canonical, omit, pageOf }, rooms, room) {
  const named = document.head?.querySelector("link[rel~=canonical]")?.href;
  if (!room) return ["this page: not known, because there was no connection yet"];
  const id = idIn(room.socket.url, rooms);
  const reasons = [`its address is ${location.href}`];
  if (!named) reasons.push("it has no <link rel=canonical>");
  else if (canonical === "ignore") reasons.push(`its canonical link, ${named}, is ignored because of the option canonical`);
  else if (id.split("?")[0].endsWith(plain(new URL(named).pathname) || "/")) reasons.push(`its canonical link is ${named}`);
  else reasons.push(`its canonical link, ${named}, is ignored: it names another site or the start page, or did not change with the address`);
  if (omit || pageOf) reasons.push("your own rule (omit or pageOf) was applied");
  return [`this page: ${id}`, ...reasons.map((reason) => `  ${reason}`)];
}

/** The line about whether this reader is counted, and if not, why. */
function tellViewer({ observe, bots }) {
  if (!observe) return "this reader: counted";
  if (navigator.globalPrivacyControl) return "this reader: not counted, because the browser sends Global Privacy Control";
  if (navigator.webdriver && bots === "watch") return 'this reader: not counted, because a program controls the browser; bots="count" counts it';
  return "this reader: not counted, because of the option observe, or because the browser says that it is a crawler";
}

/** The lines about how many links lead to which pages. */
function tellLinks(options) {
  const { handle } = page();
  const pages = new Map();
  const others = { "to other sites": 0, "within this page": 0, "without a count (far away, ignored or too long)": 0, "to no web address": 0 };
  const links = [...document.querySelectorAll(options.links)].filter((link) => link.hasAttribute("href"));
  for (const link of links) {
    const href = link.href?.baseVal === undefined ? link.href : new URL(link.href.baseVal, document.baseURI).href;
    const [address, fragment] = href.split("#");
    const viewers = /^https?:/.test(href) ? handle?.count(href) : undefined;
    if (fragment !== undefined && address === location.href.split("#")[0] && !options.hash) others["within this page"] += 1;
    else if (viewers !== undefined) pages.set(address, { viewers, links: (pages.get(address)?.links ?? 0) + 1 });
    else if (!/^https?:/.test(href)) others["to no web address"] += 1;
    else if (new URL(href).host !== location.host && options.scope === "site") others["to other sites"] += 1;
    else others["without a count (far away, ignored or too long)"] += 1;
  }
  const list = [...pages].sort(([, one], [, other]) => other.viewers - one.viewers || other.links - one.links);
  return [
    `links: ${links.length}, to ${pages.size} pages that are counted`,
    ...list.slice(0, MOST_PAGES).map(([address, { viewers, links }]) => `  ${viewers} viewing ${address} (links here: ${links})`),
    ...(list.length > MOST_PAGES ? [`  and ${list.length - MOST_PAGES} more`] : []),
    ...Object.entries(others).flatMap(([where, count]) => (count ? [`  ${count} ${where}`] : [])),
  ];
}

/** What a close code means for the owner, and what to do. */
function remedy(code, wasOpen) {
  if (code === 1008) return "the server refuses this page; the widget does not try again";
  if (code === 1013) return "the server is full, or this reader is too slow; see the server's limits";
  if (code === 1001 || code === 1012) return "the server is restarting";
  if (wasOpen) return "the connection broke; the widget connects again";
  return "the widget could not connect. Is the server running? Does its proxy pass WebSockets on? Does the page's policy allow it in connect-src?";
}

/** The lines about the connection. */
function tellConnection(room) {
  if (!room) return ["connection: none"];
  const states = ["connecting", "open", "closing", "closed"];
  const told = [`connection: ${states[room.socket.readyState]}, ${room.socket.url}`];
  if (room.code) told.push(`  last closed with code ${room.code}${room.reason && ` (${room.reason})`}: ${remedy(room.code, room.wasOpen)}`);
  return told;
}

/**
 * Prints all that the widget knows in the console, now and whenever it changes.
 * @param {object} options as `readOptions` has understood them
 * @param {string} rooms the start of every room's address
 * @returns {() => void} stops the printing
 */
export function startDebugging(options, rooms) {
  let last;
  const tell = () => {
    const { room } = page();
    const lines = [...tellPage(options, rooms, room), tellViewer(options), ...tellLinks(options), ...tellConnection(room)];
    const text = lines.join("\n");
    if (text === last) return;
    last = text;
    console.info(`connection-counter:\n${text}`);
  };
  const telling = setInterval(tell, EVERY_MS);
  return () => clearInterval(telling);
}
