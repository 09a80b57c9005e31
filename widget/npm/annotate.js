/** What is written on links: the count, a label if that is another text, and the place of the number. All of it is ours. */

import { createArrange } from "./arrange.js";
import { roomFor } from "./place.js";
import { COUNT, LABEL, PLACE } from "./style.js";

/** The attributes that a link carries of ours. */
export const NAMES = [COUNT, LABEL, PLACE];
/** What a link carries that shows nothing. */
const BLANK = [null, null, null];

/**
 * @param {Element[]} elements the links by their slots
 * @param {() => void} tell called if a link has come in sight or has gone
 */
export function createAnnotations(elements, tell) {
  /** What each link carries of ours, by its slot. */
  const written = [undefined];
  // A count that is no number is the page's own.
  const isOld = (slot, idx, now = elements[slot].getAttribute(NAMES[idx])) =>
    now !== (written[slot] ?? BLANK)[idx] && (idx > 0 || !/\D/.test(now ?? ""));
  /** Noted first: what the page does about one attribute may have us take back all. */
  const carry = (slot, texts) => {
    const element = elements[slot];
    written[slot] = texts;
    texts.forEach((text, idx) => {
      if (written[slot] !== texts || !isOld(slot, idx)) return;
      if (text === null) element.removeAttribute(NAMES[idx]);
      else element.setAttribute(NAMES[idx], text);
    });
  };
  const places = createArrange(elements, written, carry, tell);
  return {
    ...places,
    /** Whether an attribute of a link is not what we last wrote: a page has removed it, or was morphed into an older copy. */
    isLost: (slot, name) => isOld(slot, NAMES.indexOf(name)),
    /** Writes a number. Nothing yet without a text, which is on its way then. */
    annotate(slot, viewers, text) {
      const [oldCount, oldLabel, place] = written[slot] ?? BLANK;
      if (text) carry(slot, [`${viewers}`, text === `${viewers}` ? null : text, place]);
      if (roomFor(text) > roomFor(oldLabel ?? oldCount)) places.arrange(slot);
    },
    /** Removes what is left of a number. If nothing was, whatever is there is the page's own. */
    erase: (slot) => (written[slot] ?? BLANK) !== BLANK && carry(slot, BLANK),
    restore: (slot) => carry(slot, written[slot] ?? BLANK),
    /** Forgets one link, or all. */
    drop(slot) {
      if (slot) written[slot] = undefined;
      else written.length = 1;
    },
  };
}
