/** Writes numbers on links: a few at a time, and no more often than a reader can follow. */

import { LABEL, labels } from "./look.js";
import { viewersEvent } from "./page.js";
import { COUNT, PLACE, findPlace } from "./place.js";
import { createTimer } from "./timer.js";
import { safely } from "./warn.js";

/** How long numbers stay before others replace them, at least and at most. */
const SHORTEST_MS = 250;
const LONGEST_MS = 5000;
/** Between the two, so many times as long as it took to draw the last ones: a thirtieth of the time is for drawing. */
const REST = 32;
/**
 * How long the browser may take over a frame with new numbers. The next has half as many links after one that took longer,
 * twice as many after one that took half of it. With fewer than the fewest it would be the frames that cost, not the links.
 */
const FRAME_MS = 32;
const FEWEST_LINKS = 25;
const MOST_LINKS = 400;
/** When the browser has had its turn: a frame later. */
const TURN_MS = 16;
/** What a link carries that shows nothing: neither count nor label. */
const BLANK = [null, null, null];

/**
 * @param {object} options as `readOptions` has understood them
 * @param {(link: object) => void} erased called with each link that leads nowhere any more, and now carries nothing
 */
export function createDrawing({ label, min, observe, self }, erased, isOwnPage) {
  /** Links that carry something else than they should: those to draw next time, and those that are being drawn. */
  let due = new Set();
  let round = new Set();
  /** Such that carry nothing of ours yet: a new element must not show without the number that the one before it had. */
  const fresh = new Set();
  let links = FEWEST_LINKS;
  let begunAt = -LONGEST_MS;
  let spentMs = 0;
  let isMeasuring = false;
  let language;
  let textOf;

  /** What to write on a link to a page. */
  const textsFor = (entry) => {
    const isMe = self === "omit" && !observe && isOwnPage(entry);
    const viewers = entry.viewers - (isMe ? 1 : 0);
    if (viewers < 0 || viewers < min) return BLANK;
    const text = `${viewers}`;
    const shown = textOf(viewers);
    return [text, shown === text ? null : shown, null];
  };
  /** Looks for a place for the number of a link, unless it has one. One that is out of sight is looked at when it is in sight. */
  const findPlaceOf = safely((link) => {
    const [text, label] = link.entry ? textsFor(link.entry) : BLANK;
    if (text === null) return;
    const { length } = label ?? text;
    if (link.place !== undefined && length <= link.length) return;
    link.length = length;
    link.place = findPlace(link.element, length);
    linksOf.set(link.element, link);
    sight.observe(link.element);
  });
  const linksOf = new WeakMap();
  const sight = new IntersectionObserver(
    safely((sights) => {
      for (const { isIntersecting, target } of sights) {
        const link = linksOf.get(target);
        if (!isIntersecting) link.place = undefined;
        else if (link.place === undefined) due.add(link);
      }
      plan();
    }),
  );
  /** Changes one attribute, unless it is no longer what we wrote: then someone else has taken it over. */
  const rewrite = (element, name, from, to) => {
    if (from === to || (from !== undefined && element.getAttribute(name) !== from)) return;
    if (to === null) element.removeAttribute(name);
    else element.setAttribute(name, to);
  };
  const write = (link, texts) => {
    rewrite(link.element, COUNT, link.written?.[0], texts[0]);
    rewrite(link.element, LABEL, link.written?.[1], texts[1]);
    rewrite(link.element, PLACE, link.written?.[2], texts[2]);
    link.written = texts;
  };
  const erase = (link) => {
    if (link.written) write(link, BLANK);
    sight.unobserve(link.element);
    link.written = undefined;
  };
  const drawOne = safely((link) => {
    const { element, entry, told } = link;
    link.told = entry?.viewers ?? -1;
    if (entry) {
      const texts = textsFor(entry);
      // Out of sight it stays as it is.
      if (texts !== BLANK) texts[2] = link.place === undefined ? (link.written?.[2] ?? null) : link.place || null;
      write(link, texts);
      if (link.told !== told) element.dispatchEvent(viewersEvent(link.told));
    } else {
      erase(link);
      erased(link);
    }
  });
  const drawSome = (some) => {
    if (some.size === 0) return;
    const begun = performance.now();
    const next = [...some].slice(0, links);
    // First only reading, then only writing: the browser works out the layout once.
    for (const link of next) findPlaceOf(link);
    for (const link of next) {
      some.delete(link);
      drawOne(link);
    }
    spentMs += performance.now() - begun;
    if (!isMeasuring) requestAnimationFrame(measure);
    isMeasuring = true;
  };
  /** What all of that cost: the browser works it out right after those who wait for a frame had their say. */
  const measure = () => {
    const begun = performance.now();
    setTimeout(() => {
      isMeasuring = false;
      const tookMs = performance.now() - begun;
      spentMs += tookMs;
      if (tookMs > FRAME_MS) links = Math.max(links / 2, FEWEST_LINKS);
      else if (tookMs < FRAME_MS / 2) links = Math.min(links * 2, MOST_LINKS);
    });
  };
  const timer = createTimer(() => {
    if (fresh.size > 0) {
      drawSome(fresh);
    } else {
      if (round.size === 0) {
        [round, due] = [due, round];
        begunAt = performance.now();
        spentMs = 0;
      }
      drawSome(round);
    }
    plan();
  });
  const plan = () => {
    if (fresh.size + round.size > 0) return timer.in(TURN_MS);
    if (due.size === 0) return;
    const restMs = Math.min(Math.max(SHORTEST_MS, REST * spentMs), LONGEST_MS);
    timer.in(Math.max(0, begunAt + restMs - performance.now()));
  };

  return {
    /** Draws the link, soon. One that carries nothing and should not is left alone. */
    add(link) {
      if (link.written) {
        due.add(link);
        plan();
      } else if (link.entry?.viewers >= 0 || link.element.hasAttribute(COUNT)) {
        fresh.add(link);
        timer.in(0);
      }
    },
    /** Finds another place for what is drawn, soon. */
    place(link) {
      link.place = undefined;
      if (link.written) due.add(link);
      plan();
    },
    /** Draws new links before anyone sees them. */
    hurry() {
      drawSome(fresh);
      plan();
    },
    /** Leaves a link as it was found, at once. */
    erase,
    /** Answers whether the page's language is another than before. */
    renew() {
      const { lang } = document.documentElement;
      if (language === lang) return false;
      textOf = labels(label, (language = lang));
      return true;
    },
    stop() {
      timer.stop();
      sight.disconnect();
      due.clear();
      round.clear();
      fresh.clear();
    },
  };
}
