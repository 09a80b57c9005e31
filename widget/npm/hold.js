/** Whether a link can become what its number is positioned in: it would come out on top of what covers it. */

import { styleOf } from "./computed.js";

/** At how many spots of a link is asked whether something covers it, and what spreads them evenly: the golden ratio. */
const SPOTS = 256;
const GOLDEN = 0.618;
/** What `compareDocumentPosition` answers for what comes before an element and does not contain it. */
const PRECEDING = 2;

/** What is at many spots of a box. */
function elementsIn({ left, top, width, height }, root) {
  const found = new Set();
  for (let spot = 0; spot < SPOTS; spot += 1) {
    // Browsers take a point for a pixel, which may not reach over the edge.
    const x = left + (width - 1) * ((spot * GOLDEN) % 1);
    found.add(root.elementFromPoint(x, top + ((height - 1) * spot) / SPOTS));
  }
  return [...found];
}

/** Whether something lies over a link, such as a header that stays in sight: a positioned link would come out on top of that. */
function isCovered(element) {
  const there = elementsIn(element.getBoundingClientRect(), element.getRootNode());
  return there.some((other) => other?.contains(element) === false && !element.contains(other));
}

/** What stays in sight while one scrolls, and is below positioned links that come after it. */
function stickersOf({ document, innerWidth, innerHeight }) {
  const known = new Set();
  for (let at of elementsIn({ left: 0, top: 0, width: innerWidth, height: innerHeight }, document)) {
    for (; at && !known.has(at); at = at.parentElement) known.add(at);
  }
  return [...known].filter((element) => {
    const { position, zIndex } = styleOf(element);
    return /^(fixed|sticky)/.test(position) && !(zIndex > 0);
  });
}

/** Whether an element is in something that scrolls. */
const scrolls = (at) => at && (at.scrollHeight > at.clientHeight || at.scrollWidth > at.clientWidth || scrolls(at.parentElement));

/** Whether a positioned link would come out on top of something while one scrolls. Mostly one scrolls down; to the side under a column. */
function passesUnder(element, stickers) {
  const box = element.getBoundingClientRect();
  return scrolls(element) && stickers.some((other) => {
    const { bottom, left, right, top } = other.getBoundingClientRect();
    const style = styleOf(other);
    const isColumn = /^sticky.*\d/.test(style.position + style.left + style.right);
    const isInWay = (left < box.right && right > box.left) || (isColumn && top < box.bottom && bottom > box.top);
    return isInWay && element.compareDocumentPosition(other) === PRECEDING;
  });
}

/** Whether a link can become what its number is positioned in, and moves or uncovers nothing by that. */
export function canHold(element, { inset, zIndex }, lines) {
  const view = element.ownerDocument.defaultView;
  if (!lines.has(view)) lines.set(view, stickersOf(view));
  return (
    inset + zIndex + styleOf(element, "::before").position === "autoautostatic" &&
    ![...element.querySelectorAll("*")].some((part) => styleOf(part).position === "absolute") &&
    !isCovered(element) &&
    !passesUnder(element, lines.get(view))
  );
}
