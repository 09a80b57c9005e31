/**
 * The links of the page: finds them, follows them as they come, change and go, and knows which page each leads to. On a page
 * with very many, only those that a reader may see matter.
 */

import { adopt, style } from "./look.js";
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
/** At most so many links are looked at together, between two looks at the clock. */
const RUN = 16;

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
/** Links that are gone are forgotten together, this long after the first went. */
const SWEEP_AFTER_MS = 1000;

/** @param {Window} view a frame's, or that of the page; answers where it begins, in pixels below the top of the viewport */
const topOf = (view) => (view === window ? 0 : view.frameElement.getBoundingClientRect().top + topOf(view.parent));

/**
 * @param {object} options as `readOptions` has understood them
 * @param {object} head the functions that the wasm module exports
 * @param {object} pages what `createPages` made
 * @param {object} drawing what `createDrawing` made
 * @param {() => void} changed called when the document has changed
 */
export function createLinks(options, head, pages, drawing, changed) {
  const css = style(options);
  const counted = `:is(${options.links}):is([href],svg *):not([${IGNORE}],[${IGNORE}] *)`;

  /** All that may be links. */
  const links = new Map();
  /** Those to look at. */
  const due = new Set();
  /** What an `href` means, for each root: resolving costs a browser more than all else we do for a link together. */
  let meanings = new WeakMap();
  /** Undoes what we did in each document and shadow root. */
  const roots = new Map();
  const stopping = new AbortController();
  /** Whether there are so many pages that only near links matter. It stays one. */
  let isCrowd = false;
  let hasLost = false;
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
      known.set(href, entry);
    }
    return entry ?? undefined;
  };

  /** Where an element is: 0 near the viewport, -1 far above it, 1 far below, 2 nowhere. */
  const placeOf = (element, reach) => {
    const { top, bottom } = element.getBoundingClientRect();
    // Of what is not there at all, everything is zero. An area has no box, but its image may.
    if (bottom === top && element.localName !== "area" && element.getClientRects().length === 0) return 2;
    const above = topOf(element.ownerDocument.defaultView);
    if (bottom + above < -reach * innerHeight) return -1;
    return top + above > (1 + reach) * innerHeight ? 1 : 0;
  };

  const examine = (link) => {
    const { element, entry: before } = link;
    let entry;
    try {
      if (element.hasAttribute(INSIDE)) enter(element);
      const isNear = !isCrowd || placeOf(element, before ? FAR : NEAR) === 0;
      if (isNear && element.matches(counted)) entry = meaning(element);
    } catch {
      // An `href` that no one can resolve leads nowhere.
    }
    follow(link, entry);
    if (isCrowd || pages.size <= CROWD) return;
    isCrowd = true;
    for (const link of links.values()) due.add(link);
  };
  const follow = (link, entry) => {
    if (entry === link.entry) return;
    pages.follow(link, entry);
    drawing.add(link);
  };

  /** Looks at links that follow each other, those of a crowd that are gone or far with as little effort as may be. */
  const lookAt = (run) => {
    // What lies between two that are far away on the same side is nearly always there as well. What is not will be found
    // soon: the next time, other links are first and last.
    const place = isCrowd && run.length > 2 && placeOf(run[0].element, NEAR);
    const areFar = place && place === placeOf(run.at(-1).element, NEAR);
    for (const link of run) {
      if (!link.element.isConnected || !link.element.ownerDocument.defaultView) {
        links.delete(link.element);
        follow(link, undefined);
      } else if (!areFar || link.entry) {
        examine(link);
      }
    }
  };

  /** Looks at the links that are due, as long as it may. */
  const work = safely(() => {
    const begun = performance.now();
    let now = begun;
    while (due.size > 0 && now - begun < SLICE_MS) {
      // Of any length, so that each time others come first and last.
      const length = (RUN * (1 + Math.random())) / 2;
      const run = [];
      for (const link of due) {
        due.delete(link);
        if (run.push(link) > length) break;
      }
      lookAt(run);
      now = performance.now();
    }
    spentMs += now - begun;
    drawing.hurry();
    if (due.size > 0) return slices.in(0);
    head.tell();
    restUntil = now + REST * spentMs;
    if (isCrowd) surveys.in(Math.max(EVERY_MS, LONG_REST * spentMs));
    spentMs = 0;
  });
  const slices = createTimer(work);

  /** Looks at all links again. */
  const surveys = createTimer(() => {
    if (hasLost) {
      hasLost = false;
      // It grows with every `href` there ever was.
      meanings = new WeakMap();
      for (const [root, undo] of roots) {
        if (root.isConnected && (root.ownerDocument ?? root).defaultView) continue;
        undo();
        roots.delete(root);
      }
    } else if (document.hidden) {
      return surveys.in(EVERY_MS);
    }
    for (const link of links.values()) due.add(link);
    work();
  });

  const add = (element) => {
    let link = links.get(element);
    // What is `written` on it when it comes was written for another: the page, or its framework, copied a link of ours.
    if (!link) links.set(element, (link = { element, entry: undefined, written: undefined, told: -1 }));
    due.add(link);
  };
  /** Has all links in `root` looked at, and `root` itself. */
  const search = (root) => {
    // A form's fields hide its methods when they have their names.
    const its = root instanceof Element ? Element.prototype : root;
    if (its.matches?.call(root, CANDIDATES)) add(root);
    for (const element of its.querySelectorAll.call(root, CANDIDATES)) add(element);
  };

  const observer = new MutationObserver(
    safely((records) => {
      for (const { target, type, addedNodes, removedNodes } of records) {
        if (type === "attributes") search(target.localName === "base" ? document : target);
        for (const node of addedNodes) if (node.querySelectorAll) search(node);
        if (removedNodes.length > 0) hasLost = true;
      }
      if (hasLost) surveys.in(SWEEP_AFTER_MS);
      if (due.size > 0) work();
      changed();
    }),
  );

  /** Makes a document or a shadow root part of our business. */
  const open = (root) => {
    roots.set(root, adopt(root, css));
    observer.observe(root, { childList: true, subtree: true, attributeFilter: ["href", IGNORE, INSIDE] });
    const listening = { capture: true, passive: true, signal: stopping.signal };
    root.addEventListener("scroll", onScroll, listening);
    root.addEventListener("load", onLoad, listening);
  };
  const onScroll = () => isCrowd && surveys.in(Math.max(AFTER_SCROLL_MS, restUntil - performance.now()));
  /** A frame may have loaded another page. */
  const onLoad = safely(({ target }) => {
    if (!target.hasAttribute?.(INSIDE)) return;
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

  return {
    /** Everything may lead elsewhere, and be in another language. */
    renew() {
      meanings = new WeakMap();
      for (const root of roots.keys()) search(root);
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
      drawing.stop();
      links.forEach(drawing.erase);
      for (const undo of roots.values()) undo();
    },
  };
}
