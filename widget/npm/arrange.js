/** When places for numbers are looked for: some at a time, and never while the browser is about to draw. */

import { isOurs } from "./computed.js";
import { LATER, findPlace, sizeOf } from "./place.js";
import { safely } from "./warn.js";

/** How many links one turn looks at, and how long it may take, layout aside. After a turn is a rest of so many times as long. */
const BATCH = 32;
const TURN_MS = 16;
const REST = 4;
/** How long until a link is looked at again whose place could not be found just now. */
const LATER_MS = 300;
/** How long after the pointer or the focus has moved links are looked at. The page may do something about it first. */
const LOOK_MS = 200;

/** One link of a hostile page does not keep others from their places. */
const find = safely(findPlace);
/** Whether nothing hides or covers a link where it begins, and the page does not use the pseudo-element for its number. */
const isSeen = safely((element, text) => {
  const [{ bottom, left, right, top } = {}] = element.getClientRects();
  const there = bottom > 0 ? element.getRootNode().elementFromPoint((left + right) / 2, (top + bottom) / 2) : null;
  return element.contains(there) && isOurs(element, text);
}, false);

/**
 * Looks for the places of numbers. Answers with `arrange`, which has the number of one link placed again, or of all; `look`, which
 * looks whether any link has come in sight or has gone; and `check`, which takes a link's number off if the page uses its
 * pseudo-element now.
 * @param {Element[]} elements the links by their slots
 * @param {string[][]} written what each carries: count, label, place
 * @param {(slot: number, texts: string[]) => void} carry has a link carry something else
 * @param {() => void} tell called if a link has come in sight or has gone
 */
export function createArrange(elements, written, carry, tell) {
  let timer;
  let looking;
  let next = 0;
  /** The links to look at. */
  const due = new Set();
  /** Which were seen when they were last looked at. */
  const seen = [];
  let most = BATCH;
  const textOf = (slot) => written[slot]?.[1] ?? written[slot]?.[0];
  const isSeenNow = (slot) => textOf(slot) && isSeen(elements[slot], textOf(slot));
  const put = (slot, place) => written[slot]?.[0] && carry(slot, [...written[slot].slice(0, 2), place]);
  // After a frame the layout is known. Hidden tabs have none.
  const wait = (delayMs) => (timer ??= setTimeout(requestAnimationFrame, delayMs, () => setTimeout(place)));
  /**
   * Takes some numbers off, then only reads, then puts them where there is room: the browser works out the layout twice in all, and
   * draws in a turn of its own.
   */
  const place = safely(() => {
    const begunMs = performance.now();
    const batch = [];
    let restMs = 0;
    timer = undefined;
    for (const slot of due) {
      const before = written[slot]?.[2];
      if (batch.length === most) break;
      batch.push([slot, before]);
      put(slot, null);
    }
    // The browser works out the layout, which takes the same time for any number of links.
    document.elementFromPoint(0, 0);
    const endMs = performance.now() + TURN_MS;
    const lines = new Map();
    const sizes = new Map();
    const places = batch.map(([slot, before]) => {
      // Those that there is no time for stay where they are, and due.
      if (performance.now() > endMs) return before;
      due.delete(slot);
      const place = textOf(slot) && find(elements[slot], textOf(slot), lines, sizes);
      if (place !== LATER) return place;
      due.add(slot);
      restMs = LATER_MS;
      return before;
    });
    places.forEach((place, idx) => place && put(batch[idx][0], place));
    // A rule of the page for all pseudo-elements may make numbers larger. From now on we look which one hangs out.
    const isLarger = [...sizes].some(([element, size]) => size !== sizeOf(element));
    if (isLarger) most = 1;
    for (const [slot] of batch) {
      if (isLarger) put(slot, null);
      if (isLarger && batch.length > 1) due.add(slot);
      if (!due.has(slot)) check(slot);
    }
    if (due.size > 0) wait(REST * (performance.now() - begunMs) + restMs);
  });
  const check = (slot) => {
    if (written[slot]?.[2] && !isOurs(elements[slot], textOf(slot))) put(slot, null);
    seen[slot] = isSeenNow(slot);
  };
  const arrange = (slot) => {
    for (const one of slot ? [slot] : written.keys()) due.add(one);
    wait(0);
  };
  const look = () => {
    looking ??= setTimeout(safely(() => {
      looking = undefined;
      const endMs = performance.now() + TURN_MS;
      for (let left = seen.length; left > 0; left -= 1) {
        next = (next + 1) % seen.length;
        if ((isSeenNow(next) ?? seen[next]) !== seen[next]) return tell();
        // The others are looked at later.
        if (performance.now() > endMs) return look();
      }
    }), LOOK_MS);
  };
  return { arrange, check, look };
}
