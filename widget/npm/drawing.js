/** Writes numbers on links: a few at a time, and no more often than a reader can follow. */

import { COUNT, LABEL, labels } from "./look.js";
import { viewersEvent } from "./page.js";
import { createTimer } from "./timer.js";

/** How long numbers stay before others replace them: on a page of any size, each change costs the browser a frame's work. */
const DRAW_EVERY_MS = 500;
/** So many links are drawn before the browser has its turn, in which each costs it more than it cost us. */
const LINKS_PER_DRAW = 50;
/** The browser's turn: a frame. */
const FRAME_MS = 16;
/** What a link carries that shows nothing: neither count nor label. */
const BLANK = [null, null];

/** @param {object} options as `readOptions` has understood them */
export function createDrawing({ label, min }) {
  /** Links that carry something else than they should. */
  const due = new Set();
  /** Such that carry nothing of ours yet: a new element must not show without the number that the one before it had. */
  const fresh = new Set();
  let drawnAt = -DRAW_EVERY_MS;
  let language;
  let textOf;

  const textsFor = (viewers) => {
    if (viewers < 0 || viewers < min) return BLANK;
    const text = `${viewers}`;
    const shown = textOf(viewers);
    return [text, shown === text ? null : shown];
  };
  /** Changes one attribute, unless it is no longer what we wrote: then someone else has taken it over. */
  const rewrite = (element, name, from, to) => {
    if (from === to || (from !== undefined && element.getAttribute(name) !== from)) return;
    if (to === null) element.removeAttribute(name);
    else element.setAttribute(name, to);
  };
  const write = (link, texts) => {
    rewrite(link.element, COUNT, link.written?.[0], texts[0]);
    rewrite(link.element, LABEL, link.written?.[1], texts[1]);
    link.written = texts;
  };
  const drawOne = (link) => {
    const { element, entry, told } = link;
    link.told = entry?.viewers ?? -1;
    write(link, textsFor(link.told));
    if (entry && link.told !== told) element.dispatchEvent(viewersEvent(link.told));
  };
  const drawSome = (links) => {
    let left = LINKS_PER_DRAW;
    for (const link of links) {
      links.delete(link);
      drawOne(link);
      if (--left === 0) break;
    }
    if (fresh.size + due.size > 0) timer.in(FRAME_MS);
  };
  const timer = createTimer(() => {
    if (fresh.size > 0) return drawSome(fresh);
    drawnAt = performance.now();
    drawSome(due);
  });

  return {
    /** Draws the link, soon. One that carries nothing and should not is left alone. */
    add(link) {
      if (link.written) {
        due.add(link);
        timer.in(Math.max(0, drawnAt + DRAW_EVERY_MS - performance.now()));
      } else if (link.entry?.viewers >= 0 || link.element.hasAttribute(COUNT)) {
        fresh.add(link);
        timer.in(0);
      }
    },
    /** Draws new links before anyone sees them. */
    hurry() {
      drawSome(fresh);
    },
    /** Leaves a link as it was found, at once. */
    erase(link) {
      if (link.written) write(link, BLANK);
    },
    /** Answers whether the page's language is another than before. */
    renew() {
      const { lang } = document.documentElement;
      if (language === lang) return false;
      textOf = labels(label, (language = lang));
      return true;
    },
    stop() {
      timer.stop();
    },
  };
}
