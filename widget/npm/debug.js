/** What the widget prints for a site's owner: why numbers do not show, and with `debug` all it knows. Loaded on demand. */

import { canonicalAddress, page, subscribe } from "./page.js";
import { read } from "./rule.js";
import { safely, warn } from "./warn.js";

/** How often to check whether something has changed. */
const EVERY_MS = 1000;
/** Pages that are listed at most. A longer list would hide the other lines. */
const MOST_PAGES = 20;
/** The state of an open WebSocket. The page may have put something else in the place of `WebSocket`. */
const OPEN = 1;

/** Host and path of an address, in nearly the form that page ids have, to compare two. */
function plain({ host, pathname }) {
  const path = host + pathname.replace(/\/index\.html$/, "").replace(/\/+$/, "");
  try {
    return decodeURI(path);
  } catch {
    // A `%` that encodes nothing.
    return path;
  }
}

/** What the page's canonical link names, under the owner's rule. */
const readCanonical = (rule) => read(rule(canonicalAddress() || ""));

/** Why an address is no page. Nothing if it may be one. */
function whyNone(address) {
  if (!address) return "your own rule (pageOf) says so";
  if (!/^https?:/.test(address)) return `nobody else can view an address that begins with "${address.split(":")[0]}:"`;
  return undefined;
}

/**
 * Warns if this page cannot have viewers. Also if a link of this site led to an address of it other than the canonical one: such links
 * never show a number. Called once, when the widget starts.
 * @param {object} options as `readOptions` has understood them
 * @param {(address: string) => string} rule the owner's rule
 * @param {string} rooms the start of every room's address
 * @param {boolean} isDebugging whether to warn even if no link has led here, as far as the browser tells
 * @returns {() => void} ends what has been started
 */
export function explainPage({ canonical }, rule, rooms, isDebugging) {
  const address = rule(location.href);
  const none = whyNone(address);
  // An owner whose rule answers with no address knows it.
  if (none && address) {
    warn("address", `this page is not counted and shows no numbers, because ${none}. Open it from a web server, with http: or https:.`);
  }
  const [entry] = performance.getEntriesByType("navigation");
  const loaded = read(entry?.name);
  // No link has led to an address that a redirect has named, or that a script of the page has set since.
  const isLinked = entry?.redirectCount === 0 && loaded?.pathname === location.pathname;
  // The referrer of a frame is the page around it.
  const cameByLink = isDebugging || (window === top && document.referrer.startsWith(`${location.origin}/`));
  return none || canonical === "ignore" || !isLinked || !cameByLink ? () => {} : comparePages(loaded, rule, rooms);
}

/**
 * Warns if links to the address that was loaded show no number although this page has viewers. Which addresses are one page is known to
 * the Rust and its table of parameters. So this compares what the two are told: the viewers of one page are the same for all its addresses.
 */
function comparePages(loaded, rule, rooms) {
  const came = location.href;
  const viewers = [];
  const compare = () => {
    const named = readCanonical(rule);
    if (came !== location.href || viewers[0] > 0) return end();
    if (viewers[0] === undefined || !viewers[1]) return undefined;
    const id = idIn(page().room.socket.url, rooms);
    if (named && plain(new URL(`https://${id}`)) === plain(named)) warnOfMiss(loaded, id);
    return end();
  };
  const leave = [loaded.href, undefined].map((url, idx) =>
    subscribe(url, safely((count) => {
      viewers[idx] = count;
      // The other one is told in the same turn.
      queueMicrotask(safely(compare));
    })),
  );
  const end = () => leave.forEach((one) => one());
  return end;
}

function warnOfMiss({ host, pathname, search }, id) {
  const query = search.replace(/([?&])viewers-debug[^&]*&?/, "$1").replace(/[?&]$/, "");
  warn(
    "canonical",
    `links to ${host}${pathname}${query} show no number, because its <link rel=canonical> says to count it as ${id}. ` +
      'Link to that address, or set the option canonical to "ignore" (data-canonical="ignore") on all pages.',
  );
}

/** The page id that the room's address holds, in its query or as the end of its path. */
const idIn = (address, rooms) =>
  new URL(address).searchParams.get("page") || decodeURIComponent(address.slice(new URL(rooms).href.length).split("?")[0]);

/** Whether the browser lets this page use no such server: it has no TLS, and is not on this machine. */
export const isInsecure = (rooms) =>
  location.protocol === "https:" && /^ws:/.test(rooms) && !/^ws:\/\/(localhost|127\.\d+\.\d+\.\d+|\[::1\])[:/]/.test(rooms);

/** The longest id of a page, as in `protocol/src/page_id.rs`. */
const MAX_ID_BYTES = 512;

/** Why the widget has tried no connection yet. */
function whyNoRoom(address, rooms) {
  if (whyWaiting()) return whyWaiting();
  if (isInsecure(rooms)) return "a page with https: cannot use a server with http:";
  if (address.split("#")[0].replace(/^https?:\/\//, "").length > MAX_ID_BYTES) return `its address is longer than ${MAX_ID_BYTES} bytes`;
  return "there was no connection yet";
}

/** The lines about which page this is, and why. */
function tellPage({ canonical, omit, pageOf }, rule, rooms, room) {
  const address = rule(location.href);
  if (whyNone(address)) return [`this page: none, because ${whyNone(address)}`];
  if (!room) return [`this page: not known, because ${whyNoRoom(address, rooms)}`];
  const id = idIn(room.socket.url, rooms);
  const named = readCanonical(rule);
  const reasons = [`its address is ${location.href}`];
  if (!named) reasons.push("it has no <link rel=canonical>");
  else if (canonical === "ignore") reasons.push(`its canonical link, ${named}, is ignored because of the option canonical`);
  else if (plain(new URL(`https://${id}`)) === plain(named)) {
    reasons.push(`its canonical link is ${named}`);
    if (plain(read(address)) !== plain(named)) reasons.push("it is not counted at its own address. If other pages have the same canonical link, all are one page");
  }
  else reasons.push(`its canonical link, ${named}, is ignored: it names another site or the start page, or did not change with the address`);
  if (omit || pageOf) reasons.push("your own rule (omit or pageOf) was applied");
  return [`this page: ${id}`, ...reasons.map((reason) => `  ${reason}`)];
}

/** The line about whether this reader is counted, and if not, why. The socket's address says whether. */
function tellViewer({ observe }, room) {
  let why;
  if (room?.socket.readyState !== OPEN) why = "there is no connection";
  else if (!/[?&]observe$/.test(room.socket.url)) return "this reader: counted";
  else if (navigator.globalPrivacyControl) why = "the browser sends Global Privacy Control";
  else if (observe) why = "of the option observe";
  else if (navigator.webdriver) why = 'a program controls the browser; the option bots="count" (data-bots="count") counts it';
  else why = "the browser says that it is a crawler";
  return `this reader: not counted, because ${why}`;
}

/** The lines about how many links lead to which pages. */
function tellLinks(options) {
  const { host } = location;
  const otherName = host.startsWith("www.") ? host.slice(4) : `www.${host}`;
  const toOtherName = `to ${otherName}, which counts as another site than ${host}: link to ${host}, or redirect one to the other`;
  const { handle } = page();
  const pages = new Map();
  const uncounted = "without a count (far away, ignored or too long)";
  const others = { "to other sites": 0, [toOtherName]: 0, "within this page": 0, [uncounted]: 0, "to no web address": 0 };
  const selected = [...document.querySelectorAll(options.links)];
  const links = selected.filter((link) => link.matches("a[href],area[href]"));
  if (!links.length && document.querySelector("a[href],area[href]")) {
    const why = selected.length ? "elements that are no links" : "no element";
    return [`links: 0, because the option links, ${options.links}, selects ${why}. It must select the links themselves, such as "main a"`];
  }
  for (const link of links) {
    const url = read(link.href.baseVal ?? link.href, document.baseURI);
    const [address, fragment] = url?.href.split("#") || [];
    const isOnWeb = /^https?:/.test(address);
    const viewers = isOnWeb ? handle?.count(url) : undefined;
    if (fragment !== undefined && address === location.href.split("#")[0] && !options.hash) others["within this page"] += 1;
    else if (viewers !== undefined) pages.set(address, { viewers, links: (pages.get(address)?.links || 0) + 1 });
    else if (!isOnWeb) others["to no web address"] += 1;
    else if (url.host !== host && options.scope === "site") others[url.host === otherName ? toOtherName : "to other sites"] += 1;
    else others[uncounted] += 1;
  }
  const list = [...pages].sort(([, one], [, other]) => other.viewers - one.viewers || other.links - one.links);
  return [
    `links: ${links.length}, to ${pages.size} pages that are counted`,
    ...list.slice(0, MOST_PAGES).map(([address, { viewers, links }]) => `  ${viewers} viewing ${address} (links here: ${links})`),
    ...(list.length > MOST_PAGES ? [`  and ${list.length - MOST_PAGES} more`] : []),
    ...Object.entries(others).flatMap(([where, count]) => (count ? [`  ${count} ${where}`] : [])),
  ];
}

/** What the widget waits for before it connects. Nothing if it does not wait. */
function whyWaiting() {
  if (!navigator.onLine) return "the browser is offline";
  if (document.prerendering) return "the browser has only prepared this page";
  if (document.hidden) return "the tab is hidden";
  return undefined;
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
function tellConnection(rule, rooms, room) {
  if (whyNone(rule(location.href))) return ["connection: none, because this page is not counted"];
  const isOver = !room || room.socket.readyState > OPEN;
  if (isOver && whyWaiting()) return [`connection: none, because ${whyWaiting()}; the widget connects when that is over`];
  if (!room) return [`connection: none, because ${whyNoRoom(rule(location.href), rooms)}`];
  const states = ["connecting", "open", "closing", "closed"];
  const told = [`connection: ${states[room.socket.readyState]}, ${room.socket.url}`];
  const { code, reason } = room.closed || {};
  // Only a refusal by the page's policy ends a connection that was never open without telling the browser's code.
  if (isOver && !room.wasOpen && !code) {
    told.push(`  refused by the page's content security policy: add ${new URL(rooms).origin} to its connect-src`);
  }
  if (code) told.push(`  last closed with code ${code}${reason && ` (${reason})`}: ${remedy(code, room.wasOpen)}`);
  return told;
}

/**
 * Prints all that the widget knows in the console, now and whenever it changes.
 * @param {object} options as `readOptions` has understood them
 * @param {(address: string) => string} rule the owner's rule
 * @param {string} rooms the start of every room's address
 * @param {string[]} foreign what the script tag says that is no option
 * @returns {() => void} stops the printing
 */
export function startDebugging(options, rule, rooms, foreign) {
  let last;
  const tell = safely(() => {
    const { room } = page();
    const lines = [...tellPage(options, rule, rooms, room), tellViewer(options, room), ...tellLinks(options), ...tellConnection(rule, rooms, room)];
    if (foreign.length) lines.push(`on the script tag, but no options: ${foreign.join(", ")}`);
    const text = lines.join("\n");
    if (text === last) return;
    last = text;
    console.info(`connection-counter:\n${text}`);
  });
  const telling = setInterval(tell, EVERY_MS);
  return () => clearInterval(telling);
}
