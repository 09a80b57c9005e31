/**
 * What a browser does in bulk, for the widget's Rust, which decides all there is to decide: finds elements, reads and writes them.
 * They cross as numbers from 1 up, 0 is none; `dom.d.ts` lists all that crosses. `wasm.js` catches what is thrown here.
 */

import { createAnnotations } from "./annotate.js";
import { createFacts } from "./facts.js";
import { load } from "./load.js";
import { KEY, viewersEvent } from "./page.js";
import { COUNT, NAMES, PLACE, layerIn, style } from "./style.js";
import { createSocket } from "./socket.js";
import { createTab } from "./tab.js";
import { safely } from "./warn.js";

/** Marks a link, or everything in an element, as none of our business. */
const IGNORE = "data-viewers-ignore";
/** Marks an element whose open shadow root, or whose same-origin frame, is our business too. */
const INSIDE = "data-viewers-inside";
/** The element for a number anywhere. */
const ELEMENT = "viewer-count";
/** What may be a link, or lead to more of them. */
const CANDIDATES = `a,area,${ELEMENT},[${INSIDE}]`;
/** Those that need something before. */
const SPECIAL = `${ELEMENT},:is(${CANDIDATES})[${COUNT}]`;
/** Whatever is in one of these is saved with the text that someone edits. */
const EDITED = '[contenteditable]:not([contenteditable="false" i])';
/** What decides whether an element is a link of ours, and what we write ourselves. */
const WATCHED = ["href", IGNORE, INSIDE, "contenteditable", ...NAMES];

const windowOf = (node) => (node.ownerDocument || node).defaultView;
const isThere = (node) => node.isConnected && windowOf(node);
/** Where a window begins, in pixels below the top of the viewport: one of the page's frames, or the page's own. */
const topOf = (view) =>
  view === window || !view.frameElement ? 0 : view.frameElement.getBoundingClientRect().top + topOf(view.parent);

/** What is in `root`, and `root` itself. */
function all(selector, root) {
  // A form's fields hide its methods when they have their names.
  const its = root instanceof Element ? Element.prototype : root;
  const found = its.querySelectorAll.call(root, selector);
  return its.matches?.call(root, selector) ? [root, ...found] : found;
}

/** The candidates in `root`. A browser makes an object of each that we touch, so on long pages most are not touched. */
function gather(root) {
  for (const element of all(SPECIAL, root)) {
    if (element.localName === ELEMENT) load(({ defineElement }) => defineElement());
    // The copy of a link has a number that is not its own.
    if (element.hasAttribute(COUNT) && !slots.has(element)) NAMES.forEach((name) => element.removeAttribute(name));
  }
  return all(CANDIDATES, root);
}

/** What `begin` was given, and the options for listeners, which end with the widget. */
let engine, rule, css, counted, stopping, listening, observer, sight;
/** Lists of elements to look at. */
let lists;
let lastList = 0;
/** The links by their slots, the slots by their links, and the slots that are free. */
let elements, slots, free;
/** Documents and shadow roots, the sheet that each has of us, and elements that may get a shadow root later, which nobody tells us. */
let roots, sheets, hosts;
/** What an `href` means, for each root. Resolving it costs a browser more than everything else that is done for a link. */
let meanings, asked, isDesigned;

/**
 * Takes up a new widget. Answers with what its Rust calls.
 * @param {object} options as `readOptions` has understood them
 * @param {(address: string) => string} ownersRule
 * @param {string} rooms the start of every room's address
 * @param {object} itsEngine the functions that the Rust exports
 * @param {object} subscriptions `notify` a subscription's number of its viewers, `moved`
 * @param {object} extras for Firefox `createFrame`, for merged tabs `createChannel`
 */
export function begin(options, ownersRule, rooms, itsEngine, subscriptions, extras) {
  engine = itsEngine;
  rule = ownersRule;
  css = style(options);
  counted = `:is(${options.links}):is([href],svg *):not([${IGNORE}],[${IGNORE}] *,${EDITED},${EDITED} *)`;
  stopping = new AbortController();
  // No prototype, here and elsewhere: some pages give all objects a `signal` or `once`. These hear of what is inside of elements, too.
  listening = { __proto__: null, signal: stopping.signal, capture: true, passive: true };
  elements = [null];
  roots = [null];
  sheets = [];
  hosts = new Set();
  free = [];
  slots = new Map();
  lists = new Map();
  meanings = new WeakMap();
  isDesigned = document.designMode === "on";
  observer = new MutationObserver(safely(onChange));
  sight = new IntersectionObserver(
    safely((entries) => entries.forEach(({ target, isIntersecting }) => engine.sighted(slots.get(target), isIntersecting))),
  );
  const annotations = createAnnotations(elements, options.label, engine.worded, stopping.signal);
  const facts = createFacts((element) => annotations.shownOn(slots.get(element)));
  const socket = createSocket(engine, rooms, listening, extras.createFrame);
  return Object.assign(dom, annotations, facts, subscriptions, socket, createTab(engine, rule, listening), extras.createChannel?.(engine, listening));
}

const list = (found) => (found.length && lists.set(++lastList, found) ? lastList : 0);
const at = (number, idx) => lists.get(number)[idx];
/** A page that sets its own sheets drops ours, which nobody tells us. */
const adopt = (root, sheet) => {
  if (sheet && !root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
};
/** Whether someone began or ceased to edit the page as a whole, which nobody tells us. */
const isRedesigned = () => isDesigned !== (isDesigned = document.designMode === "on");

/** Elements that are no links of ours, and carry the number of a copy of one. */
const strays = [];
const dropStrays = safely(() => new Set(strays.splice(0)).forEach(gather));

/** Tells the Rust what the page did. */
function onChange(records) {
  const found = [];
  let hasLost = false;
  let isElsewhere = isRedesigned();
  let isTheirs = isElsewhere;
  for (const { target, type, attributeName, addedNodes, removedNodes } of records) {
    if (NAMES.includes(attributeName)) {
      const slot = slots.get(target);
      if (slot) engine.lost(slot, NAMES.indexOf(attributeName));
      // No link of ours: it has the number of a copy. That goes in the next frame, because the page may answer at once.
      if (!slot && target.hasAttribute(PLACE) && strays.push(target) === 1) requestAnimationFrame(dropStrays);
      continue;
    }
    isTheirs = true;
    for (const node of type === "attributes" ? [target] : addedNodes) {
      if (node.querySelectorAll) for (const element of gather(node)) found.push(element);
    }
    // Text that goes takes no link along.
    for (const node of removedNodes) if (node.querySelectorAll) hasLost = true;
    if (target.localName === "base" || [...addedNodes, ...removedNodes].some(({ localName }) => /^(base|head|html)$/.test(localName))) {
      isElsewhere = true;
    }
  }
  // What we write ourselves is no reason to look at the page again.
  if (isTheirs) engine.changed(list(found), hasLost, isElsewhere);
}
/** A page may show a menu, or draw something at a link, when the pointer or the focus comes or goes, which nobody tells us. */
const onPoint = safely(({ target }) => engine.pointed(slots.get(target.closest?.(`[${PLACE}]`))));
const onLoad = safely(({ target }) => target.hasAttribute?.(INSIDE) && engine.loaded(list(gather(target))));

/** What the Rust calls; `begin` adds what concerns the tab, the socket and the page's own code. */
const dom = {
  __proto__: null,
  search: (root) => list(gather(roots[root])),
  known: (isGone) => list([...slots.keys()].filter((element) => !isGone || !isThere(element))),
  length: (number) => lists.get(number)?.length,
  release: (number) => lists.delete(number),
  slot: (number, idx) => slots.get(at(number, idx)),
  keep(number, idx) {
    const element = at(number, idx);
    const slot = free.pop() || elements.length;
    elements[slot] = element;
    slots.set(element, slot);
    sight.observe(element);
    return slot;
  },
  discard(slot) {
    sight.unobserve(elements[slot]);
    slots.delete(elements[slot]);
    elements[slot] = undefined;
    free.push(slot);
  },
  isThere: (slot) => Boolean(isThere(elements[slot])),
  place(number, idx, reach) {
    const element = at(number, idx);
    const { top, bottom } = element.getBoundingClientRect();
    const view = windowOf(element);
    // Of what is not there at all, everything is zero. An area has no box, but its image may.
    const isShown = bottom > top || element.localName === "area" || element.getClientRects().length;
    if (!isShown || !view) return 2;
    const above = topOf(view);
    if (bottom + above < -reach * innerHeight) return -1;
    return top + above > (1 + reach) * innerHeight ? 1 : 0;
  },
  meaning(number, idx) {
    const element = at(number, idx);
    if (!isThere(element) || !element.matches(counted) || element.ownerDocument.designMode === "on") return 0;
    const root = element.getRootNode();
    let known = meanings.get(root);
    if (!known) meanings.set(root, (known = new Map()));
    // In SVG, `href` is an object. Elsewhere the browser would have to resolve it.
    const inSvg = element.ownerSVGElement && element.href.baseVal;
    const href = inSvg ?? element.getAttribute("href");
    asked = { number, idx, inSvg, known, href };
    return known.get(href) ?? -1;
  },
  address() {
    const { number, idx, inSvg } = asked;
    const element = at(number, idx);
    try {
      const address = inSvg === undefined ? element.href : inSvg && new URL(inSvg, element.baseURI).href;
      // In SVG, none is an empty one.
      return address && rule(address);
    } catch {
      // An `href` that no one can resolve leads nowhere.
    }
  },
  mean: (key) => asked.known.set(asked.href, key),
  forgetMeanings: () => (meanings = new WeakMap()),
  inner(number, idx) {
    const element = at(number, idx);
    if (!element.hasAttribute(INSIDE)) return 0;
    const root = element.shadowRoot || element.contentDocument;
    if (!root) hosts.add(element);
    // A frame with a widget of its own is not ours.
    if (!root || roots.includes(root) || root.defaultView?.[KEY]?.handle) return 0;
    return roots.push(root) - 1;
  },
  open(number) {
    const root = (roots[number] ||= document);
    const sheet = new (windowOf(root).CSSStyleSheet)();
    sheet.replaceSync(`@layer ${layerIn(root)}{${css}}`);
    adopt(root, (sheets[number] = sheet));
    observer.observe(root, { __proto__: null, childList: true, subtree: true, attributeFilter: WATCHED });
    const on = (target, types, react) => types.split(" ").forEach((type) => target.addEventListener(type, react, listening));
    on(root, "scroll click transitionend", engine.scrolled);
    on(root, "pointerover focusin focusout", onPoint);
    on(root, "load", onLoad);
    on(windowOf(root), "resize", engine.scrolled);
    on(windowOf(root).document.fonts, "loadingdone", engine.scrolled);
  },
  isGone: (number) => !isThere(roots[number]),
  close(number) {
    const [root, ours] = [roots[number], sheets[number]];
    roots[number] = sheets[number] = undefined;
    root.adoptedStyleSheets = root.adoptedStyleSheets.filter((sheet) => sheet !== ours);
  },
  adoptAll() {
    roots.forEach((root, number) => root && adopt(root, sheets[number]));
    const found = [...hosts].filter((host) => host.shadowRoot);
    hosts = new Set([...hosts].filter((host) => host.isConnected && !host.shadowRoot));
    if (found.length > 0) engine.changed(list(found), false, false);
    if (isRedesigned()) engine.changed(0, false, true);
  },
  link: (slot) => dom.node(elements[slot]),
  tell: (slot, viewers) => elements[slot].dispatchEvent(viewersEvent(viewers)),
  end() {
    [observer, sight].forEach((one) => one.disconnect());
    stopping.abort();
    dom.leave();
    // What is gone from the page is not held until the next widget begins.
    elements.length = 0;
    [slots, lists, hosts].forEach((all) => all.clear());
  },
};
