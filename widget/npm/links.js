/**
 * The links of the page, and what they show. Finds them, follows them as they come, change and go, and tells the head which
 * pages they lead to and which of them a reader may see.
 */

import { COUNT, LABEL, adopt, labels, style } from "./look.js";
import { KEY, known, page, viewersEvent } from "./page.js";
import { safely } from "./warn.js";

/** Marks a link, or everything in an element, as none of our business. */
const IGNORE = "data-viewers-ignore";
/** Marks an element whose open shadow root, or whose same-origin frame, is our business too. */
const INSIDE = "data-viewers-inside";

/** What may be a link, or lead to more of them. */
const CANDIDATES = `a,area,[${INSIDE}]`;

/** How long to look at links before the page gets a turn: half of what 60 frames a second leave to everyone. */
const SLICE_MS = 8;
/** Links between two looks at the clock. */
const LINKS_PER_LOOK = 16;
/** Links that are gone are forgotten together, this long after the first went. */
const SWEEP_AFTER_MS = 1000;
/** What a link carries that shows nothing: neither count nor label. */
const BLANK = [null, null];
/** How far beyond the viewport a link is near: half a viewport above and below. */
const NEAR = "50% 0px";

/**
 * @param {object} options as `readOptions` has understood them
 * @param {object} head the functions that the wasm module exports
 * @param {() => void} changed called when the document has changed
 */
export function createLinks(options, head, changed) {
  const { label, links: selector, min } = options;
  const css = style(options);
  const counted = `:is(${selector}):is([href],svg *):not([${IGNORE}],[${IGNORE}] *)`;

  /** The pages that anyone wants to know about, by page id and by the key that the head knows them by. */
  const keys = new Map();
  const entries = new Map();
  let nextKey = 0;
  /** Every counted link and its entry. */
  const links = new Map();
  /** What an `href` means, for each root: resolving costs a browser more than all else we do for a link together. */
  let meanings = new WeakMap();
  /** Links to look at. */
  const due = new Set();
  /** Links that a reader may see, once there are so many that it matters. */
  const near = new Set();
  /** Undoes what we did in each document and shadow root. */
  const roots = new Map();
  const stopping = new AbortController();
  let crowd;
  let slice;
  let sweep;
  let language;
  let textOf;

  /** Changes one attribute, unless it is no longer what we wrote: then someone else has taken it over. */
  const rewrite = (link, name, from, to) => {
    if (from === to || (from !== undefined && link.getAttribute(name) !== from)) return;
    if (to === null) link.removeAttribute(name);
    else link.setAttribute(name, to);
  };
  const textsFor = (viewers) => {
    if (viewers < 0 || viewers < min) return BLANK;
    const text = `${viewers}`;
    const shown = textOf(viewers);
    return [text, shown === text ? null : shown];
  };
  const draw = (link, from, to) => {
    rewrite(link, COUNT, from?.[0], to[0]);
    rewrite(link, LABEL, from?.[1], to[1]);
  };
  const redraw = (entry) => {
    const from = entry.written;
    entry.written = textsFor(entry.viewers);
    for (const link of entry.links) draw(link, from, entry.written);
  };
  const tellOf = (link, viewers) => link.dispatchEvent(viewersEvent(viewers));

  /** Where the link leads to, as its root resolves it. In SVG, `href` is an object. */
  const meaning = (link) => {
    const root = link.getRootNode();
    let known = meanings.get(root);
    if (!known) meanings.set(root, (known = new Map()));
    const inSvg = link.href.baseVal;
    const href = inSvg ?? link.getAttribute("href");
    let entry = known.get(href);
    if (entry === undefined || entry?.isForgotten) {
      const address = inSvg === undefined ? link.href : inSvg && new URL(inSvg, link.baseURI).href;
      // In SVG, none is an empty one.
      entry = (address && entries.get(head.find(address, true))) || null;
      known.set(href, entry);
    }
    return entry;
  };

  const attach = (link, entry) => {
    links.set(link, entry);
    entry.links.add(link);
    head.want(entry.key, 1, 0);
    crowd?.observe(link);
    // Whatever number is on it came along when the page, or its framework, copied a link of ours.
    draw(link, undefined, entry.written);
    if (entry.viewers >= 0) tellOf(link, entry.viewers);
  };
  const detach = (link, entry) => {
    crowd?.unobserve(link);
    links.delete(link);
    entry.links.delete(link);
    head.want(entry.key, -1, near.delete(link) ? -1 : 0);
    draw(link, entry.written, BLANK);
  };

  const examine = (link) => {
    if (link.hasAttribute(INSIDE)) enter(link);
    const known = links.get(link);
    let entry = null;
    try {
      if (link.isConnected && link.matches(counted)) entry = meaning(link);
    } catch {
      // An `href` that no one can resolve leads nowhere.
    }
    if (entry === (known ?? null)) return;
    if (known) detach(link, known);
    if (entry) attach(link, entry);
  };

  /** Looks at the links that are due, as long as it may. */
  const work = safely(() => {
    clearTimeout(slice);
    slice = undefined;
    const end = performance.now() + SLICE_MS;
    let looked = 0;
    for (const link of due) {
      due.delete(link);
      examine(link);
      if (++looked % LINKS_PER_LOOK === 0 && performance.now() > end) break;
    }
    if (due.size > 0) slice = setTimeout(work);
    else tell();
  });

  /** Has all links in `root` looked at, and `root` itself. Answers whether there is any. */
  const search = (root) => {
    // A form's fields hide its methods when they have their names.
    const its = root instanceof Element ? Element.prototype : root;
    if (its.matches?.call(root, CANDIDATES)) due.add(root);
    for (const link of its.querySelectorAll.call(root, CANDIDATES)) due.add(link);
    return due.size > 0;
  };

  const tell = () => {
    if (!head.tell() || crowd) return;
    // From here on a link counts as wanted only while it is near.
    crowd = new IntersectionObserver(
      safely((changes) => {
        for (const { target, isIntersecting } of changes) {
          const entry = links.get(target);
          if (!entry || isIntersecting === near.has(target)) continue;
          if (isIntersecting) near.add(target);
          else near.delete(target);
          head.want(entry.key, 0, isIntersecting ? 1 : -1);
        }
        head.tell();
      }),
      { rootMargin: NEAR },
    );
    for (const link of links.keys()) crowd.observe(link);
  };

  const observer = new MutationObserver(
    safely((records) => {
      for (const { target, type, addedNodes, removedNodes } of records) {
        if (type === "attributes") search(target.localName === "base" ? document : target);
        for (const node of addedNodes) if (node.querySelectorAll) search(node);
        if (removedNodes.length > 0) sweep ??= setTimeout(letGo, SWEEP_AFTER_MS);
      }
      if (slice === undefined && due.size > 0) work();
      changed();
    }),
  );

  /** Lets go of links and roots that are no longer in the page. */
  const letGo = safely(() => {
    sweep = undefined;
    const isGone = (node) => !node.isConnected || !(node.ownerDocument ?? node).defaultView;
    for (const [link, entry] of links) if (isGone(link)) detach(link, entry);
    for (const [root, undo] of roots) {
      if (!isGone(root)) continue;
      undo();
      roots.delete(root);
    }
    // It grows with every `href` there ever was.
    meanings = new WeakMap();
    head.tell();
  });

  /** Makes a document or a shadow root part of our business. */
  const open = (root) => {
    if (roots.has(root)) return;
    roots.set(root, adopt(root, css));
    observer.observe(root, { childList: true, subtree: true, attributeFilter: ["href", IGNORE, INSIDE] });
    // A frame that has loaded another page.
    root.addEventListener("load", ({ target }) => target.hasAttribute?.(INSIDE) && search(target) && work(), {
      capture: true,
      signal: stopping.signal,
    });
    search(root);
  };
  /** Goes into an element that asks us to. A frame with a widget of its own is not ours. */
  const enter = (element) => {
    const root = element.shadowRoot ?? element.contentDocument;
    if (root && !root.defaultView?.[KEY]?.handle) open(root);
  };

  const find = (url) => head.find(url === undefined ? "" : new URL(url, document.baseURI).href, false);
  const notify = ({ callback }, viewers) => {
    try {
      callback(known(viewers));
    } catch (error) {
      reportError(error);
    }
  };
  /** The entry of the page at `url`. An address that is none has no viewers. */
  const entryOf = (url) => {
    try {
      return entries.get(find(url));
    } catch {
      return undefined;
    }
  };
  /** Has the subscription follow another page: nothing is heard, or told to the server, while it stays the same one. */
  const follow = (subscription, entry) => {
    const before = subscription.entry;
    if (entry === before) return;
    subscription.entry = entry;
    if (entry) {
      entry.subscriptions.add(subscription);
      head.want(entry.key, 1, 1);
    }
    if (before) {
      before.subscriptions.delete(subscription);
      head.want(before.key, -1, -1);
    }
  };
  const subscriber = {
    attach(subscription) {
      const before = subscription.entry;
      const entry = entryOf(subscription.url);
      follow(subscription, entry);
      head.tell();
      if (entry !== before && (before || entry.viewers >= 0)) notify(subscription, entry?.viewers ?? -1);
    },
    detach(subscription) {
      follow(subscription, undefined);
      head.tell();
    },
    count(url) {
      const entry = entryOf(url);
      // The head forgets what nobody wants.
      head.tell();
      return entry && known(entry.viewers);
    },
  };

  /** Everything may lead elsewhere. */
  const renew = () => {
    meanings = new WeakMap();
    for (const root of roots.keys()) search(root);
    page().subscriptions.forEach(subscriber.attach);
    if (document.documentElement.lang !== language) {
      language = document.documentElement.lang;
      textOf = labels(label, language);
      for (const entry of entries.values()) redraw(entry);
    }
    work();
  };

  textOf = labels(label, (language = document.documentElement.lang));
  open(document);

  return {
    renew,
    widget: subscriber,
    /** The key of the page with this id: always the same, until the page is forgotten; never given twice. */
    keyOf(id) {
      let key = keys.get(id);
      if (key === undefined) {
        keys.set(id, (key = nextKey++));
        entries.set(key, { id, key, links: new Set(), subscriptions: new Set(), viewers: -1, written: BLANK });
      }
      return key;
    },
    forget(key) {
      const entry = entries.get(key);
      entry.isForgotten = true;
      entries.delete(key);
      keys.delete(entry.id);
    },
    /** What a message from the server says, in pairs of key and viewers. A newer server may say more, a broken one anything. */
    read(text) {
      const counts = [];
      try {
        const message = JSON.parse(text);
        if (message[WIRE_TYPE] === WIRE_UPDATE) {
          for (const [id, viewers] of Object.entries(message[WIRE_CONNECTIONS])) {
            const key = keys.get(id);
            if (key !== undefined && Number.isSafeInteger(viewers) && viewers >= 0) counts.push(key, viewers);
          }
        }
      } catch {
        // No message of ours.
      }
      return counts;
    },
    /** Shows counts, as the head tells them: pairs of key and viewers. */
    show: safely((counts) => {
      // The list is the head's, and gone when whoever hears of a count has the head work again.
      const ours = [...counts];
      for (let idx = 0; idx < ours.length; idx += 2) {
        const entry = entries.get(ours[idx]);
        if (!entry) continue;
        entry.viewers = ours[idx + 1];
        redraw(entry);
        for (const link of entry.links) tellOf(link, entry.viewers);
        for (const subscription of entry.subscriptions) notify(subscription, entry.viewers);
      }
    }),
    get total() {
      let total = 0;
      for (const { viewers } of entries.values()) total += Math.max(viewers, 0);
      return total;
    },
    /** Leaves every link as it was found. */
    stop() {
      stopping.abort();
      observer.disconnect();
      crowd?.disconnect();
      clearTimeout(slice);
      clearTimeout(sweep);
      for (const [link, entry] of links) detach(link, entry);
      for (const undo of roots.values()) undo();
      for (const subscription of page().subscriptions) {
        if (!subscription.entry) continue;
        subscription.entry = undefined;
        notify(subscription, -1);
      }
    },
  };
}
