/**
 * The links of the page: finds them, follows them as they come, change and go, and knows which page each leads to. On a page
 * with very many, only those that a reader may see matter.
 */

import { adopt } from "./look.js";
import { KEY } from "./page.js";
import { createTimer } from "./timer.js";
import { safely } from "./warn.js";

/** Marks a link, or everything in an element, as none of our business. */
const IGNORE = "data-viewers-ignore";
/** Marks an element whose open shadow root, or whose same-origin frame, is our business too. */
const INSIDE = "data-viewers-inside";

/** What may be a link, or lead to more of them. */
const CANDIDATES = `a,area,[${INSIDE}]`;

/** How long to look at links before the page gets a turn: half of what 60 frames a second leave to everyone. */
const SLICE_MS = 8;
/** An `href` that came only once is not worth remembering what it means. */
const MOST_MEANINGS = 1000;
/** At most so many links are looked at together, between two looks at the clock. */
const RUN = 32;
/** Fewer are each looked at. */
const SHORT_RUN = 3;

/** With more pages than this, only links near the viewport matter: few pages have so many, and so few fit in one message. */
const CROWD = 200;
/** How far from the viewport a link comes to be near, and how far one is no longer, in heights of the viewport. */
const NEAR = 0.5;
const FAR = 1.5;
/** How soon after it scrolled, and how often anyway, to look which links of a crowd are near: menus open without a word to us. */
const AFTER_SCROLL_MS = 100;
const EVERY_MS = 1000;
/** So many times as long as looking took, there is rest: a tenth of the time for a page that scrolls, a fiftieth otherwise. */
const REST = 10;
const LONG_REST = 50;
/** A computer that slept meanwhile makes it look longer than it was. */
const LONGEST_REST_MS = 10_000;
/** Links that are gone are forgotten together, this long after the first went. */
const SWEEP_AFTER_MS = 1000;

/** Where a window begins, in pixels below the top of the viewport: one of the page's frames, or the page's own. */
const topOf = (view) =>
  view === window || !view.frameElement ? 0 : view.frameElement.getBoundingClientRect().top + topOf(view.parent);

/** Where an element is: 0 no further from the viewport than `reach`, -1 above that, 1 below, 2 nowhere. */
function placeOf(element, reach) {
  const { top, bottom } = element.getBoundingClientRect();
  const view = element.ownerDocument.defaultView;
  // Of what is not there at all, everything is zero. An area has no box, but its image may.
  const isThere = bottom > top || element.localName === "area" || element.getClientRects().length > 0;
  if (!isThere || !view) return 2;
  const above = topOf(view);
  if (bottom + above < -reach * innerHeight) return -1;
  return top + above > (1 + reach) * innerHeight ? 1 : 0;
}

/**
 * @param {object} options as `readOptions` has understood them
 * @param {object} head the functions that the wasm module exports
 * @param {object} pages what `createPages` made
 * @param {object} drawing what `createDrawing` made
 * @param {() => void} changed called when the document has changed
 */
export function createLinks(options, head, pages, drawing, changed) {
  const counted = `:is(${options.links}):is([href],svg *):not([${IGNORE}],[${IGNORE}] *)`;

  /** The links that lead to a page that is counted, by their elements; of a crowd only those near. */
  const links = new Map();
  /** Lists of elements to look at, each with how far we have come. */
  const due = [];
  /** What an `href` means, for each root: resolving costs a browser more than all else we do for a link together. */
  let meanings = new WeakMap();
  /** Undoes what we did in each document and shadow root. */
  const roots = new Map();
  const stopping = new AbortController();
  /** Whether there are so many pages that only near links matter. It stays one. */
  let isCrowd = false;
  let hasLost = false;
  let isSurveying = false;
  let spentMs = 0;
  let restUntil = 0;

  /** The page that a link leads to, as its root resolves it. In SVG, `href` is an object. */
  const meaning = (element) => {
    const root = element.getRootNode();
    let known = meanings.get(root);
    if (!known) meanings.set(root, (known = new Map()));
    const inSvg = element.href.baseVal;
    const href = inSvg ?? element.getAttribute("href");
    let entry = known.get(href);
    if (entry === undefined || entry?.isForgotten) {
      const address = inSvg === undefined ? element.href : inSvg && new URL(inSvg, element.baseURI).href;
      // In SVG, none is an empty one.
      entry = (address && pages.entryAt(address, true)) || null;
      if (known.size > MOST_MEANINGS) known.clear();
      known.set(href, entry);
    }
    return entry ?? undefined;
  };

  const isThere = (element) => element.isConnected && element.ownerDocument.defaultView;
  const examine = (element) => {
    const link = links.get(element);
    let entry;
    try {
      if (element.hasAttribute(INSIDE)) enter(element);
      const isNear = !isCrowd || placeOf(element, link?.entry ? FAR : NEAR) === 0;
      if (isNear && isThere(element) && element.matches(counted)) entry = meaning(element);
    } catch {
      // An `href` that no one can resolve leads nowhere.
    }
    lead(element, entry);
    if (isCrowd || pages.watched <= CROWD) return;
    // Those that the page has just removed do not count.
    for (const known of links.keys()) if (!isThere(known)) lead(known, undefined);
    isCrowd = pages.watched > CROWD;
    if (!isCrowd) return;
    lookAt([...links.keys()], true);
    surveys.in(EVERY_MS);
  };
  /** From now on the link leads to this page, or to none. */
  const lead = (element, entry) => {
    let link = links.get(element);
    if (entry === link?.entry) return;
    // What is `written` on it when it comes was written for another: the page, or its framework, copied a link of ours.
    if (!link) links.set(element, (link = { element, entry: undefined, written: undefined, told: -1 }));
    pages.follow(link, entry);
    if (entry || link.written) drawing.add(link);
    else forget(link);
  };
  const forget = ({ element }) => links.delete(element);

  /** Has each of these elements looked at. In a crowd, unless it `isExact`, those between others that are far are not. */
  const lookAt = (elements, isExact = false) => {
    if (elements.length > 0) due.push({ elements, isExact, next: 0 });
  };
  /** Has all links in `root` looked at, and `root` itself. */
  const search = (root) => {
    // A form's fields hide its methods when they have their names.
    const its = root instanceof Element ? Element.prototype : root;
    if (its.matches?.call(root, CANDIDATES)) lookAt([root]);
    lookAt(its.querySelectorAll.call(root, CANDIDATES));
  };

  /** Looks at some of the elements that are due. */
  const lookAtRun = () => {
    const [list] = due;
    const { elements, isExact, next } = list;
    // Of any length, so that each time others come first and last.
    const end = Math.min(next + Math.ceil((RUN * (1 + Math.random())) / 2), elements.length);
    list.next = end;
    if (end === elements.length) due.shift();
    if (isCrowd && !isExact && end - next > SHORT_RUN) {
      // Where the first, the last and another are far away on the same side, nearly always all are. The others will be found
      // by and by: each time these are different ones.
      const another = next + Math.floor(Math.random() * (end - next));
      const [place, ...places] = [next, end - 1, another].map((idx) => placeOf(elements[idx], NEAR));
      if (place && places.every((other) => other === place)) return;
    }
    for (let idx = next; idx < end; idx += 1) examine(elements[idx]);
  };
  /** Looks at elements that are due, as long as it may. */
  const work = safely(() => {
    const begun = performance.now();
    let now = begun;
    while (due.length > 0 && now - begun < SLICE_MS) {
      lookAtRun();
      now = performance.now();
    }
    spentMs += now - begun;
    drawing.hurry();
    if (due.length > 0) return slices.in(0);
    head.tell();
    if (isSurveying) {
      restUntil = now + Math.min(REST * spentMs, LONGEST_REST_MS);
      surveys.in(Math.min(Math.max(EVERY_MS, LONG_REST * spentMs), LONGEST_REST_MS));
    }
    isSurveying = false;
    spentMs = 0;
  });
  const slices = createTimer(work);

  /** Looks whether links went, or, in a crowd, came near. */
  const surveys = createTimer(() => {
    if (hasLost) {
      hasLost = false;
      for (const [root, undo] of roots) {
        if (root.isConnected && (root.ownerDocument ?? root).defaultView) continue;
        undo();
        roots.delete(root);
      }
    } else if (document.hidden) {
      return surveys.in(EVERY_MS);
    }
    const known = [...links.keys()];
    lookAt(isCrowd ? known : known.filter((element) => !isThere(element)), true);
    if (isCrowd) for (const root of roots.keys()) search(root);
    isSurveying = isCrowd;
    work();
  });

  /** Everything may lead elsewhere. */
  const searchAgain = () => {
    meanings = new WeakMap();
    for (const root of roots.keys()) search(root);
  };

  const observer = new MutationObserver(
    safely((records) => {
      const isBusy = due.length > 0;
      for (const { target, type, addedNodes, removedNodes } of records) {
        if (type === "attributes") search(target);
        for (const node of addedNodes) if (node.querySelectorAll) search(node);
        // Text that goes takes no link along.
        for (const node of removedNodes) if (node.querySelectorAll) hasLost = true;
        if ([target, ...addedNodes, ...removedNodes].some(({ localName }) => localName === "base")) searchAgain();
      }
      if (hasLost) surveys.in(Math.max(SWEEP_AFTER_MS, restUntil - performance.now()));
      // At once, before anyone sees a link without its number. Where the page must be laid out for it, that would be dear.
      if (due.length > 0) isBusy || isCrowd ? slices.in(0) : work();
      changed();
    }),
  );

  /** Makes a document or a shadow root part of our business. */
  const open = (root) => {
    roots.set(root, adopt(root, options));
    const filter = ["href", IGNORE, INSIDE];
    observer.observe(root, { __proto__: null, childList: true, subtree: true, attributeFilter: filter });
    const listening = { __proto__: null, capture: true, passive: true, signal: stopping.signal };
    root.addEventListener("scroll", onScroll, listening);
    root.addEventListener("load", onLoad, listening);
  };
  const onScroll = () => isCrowd && surveys.in(Math.max(AFTER_SCROLL_MS, restUntil - performance.now()));
  /** A frame may have loaded another page. */
  const onLoad = safely(({ target }) => {
    if (!target.hasAttribute?.(INSIDE)) return;
    hasLost = true;
    surveys.in(SWEEP_AFTER_MS);
    search(target);
    work();
  });
  /** Goes into an element that asks us to. A frame with a widget of its own is not ours. */
  const enter = (element) => {
    const root = element.shadowRoot ?? element.contentDocument;
    if (!root || roots.has(root) || root.defaultView?.[KEY]?.handle) return;
    open(root);
    search(root);
  };

  drawing.renew();
  open(document);
  const onResize = safely(() => links.forEach(drawing.place));
  addEventListener("resize", onResize, { __proto__: null, passive: true, signal: stopping.signal });

  return {
    forget,
    /** Everything may lead elsewhere, and be in another language. */
    renew() {
      searchAgain();
      if (drawing.renew()) links.forEach(drawing.add);
      // In a task of its own: finding them was one.
      slices.in(0);
    },
    /** Leaves every link as it was found. */
    stop() {
      stopping.abort();
      observer.disconnect();
      slices.stop();
      surveys.stop();
      due.length = 0;
      drawing.stop();
      links.forEach(drawing.erase);
      for (const undo of roots.values()) undo();
    },
  };
}
