/** Finds a place for a link's number where it covers nothing, or none. */

import { safely } from "./warn.js";

/** The size of a number, and of one above its link, where lines of text leave little room; of the link's. */
export const SIZE = 0.7;
export const SMALL = 0.56;
/** How far above the middle of its link a number stands that is above it, in its own font size. */
export const RAISE = 1.19;
/** Before and after a number, in its font size. */
export const GAP = 0.4;
/** How far from the edge of a box the middle of a number in its corner is, in its font size. */
const CORNER = 0.5 + GAP;
/** How wide the dot and a character are, and how tall a digit is, in the number's font size. */
const DOT = 0.9;
const CHARACTER = 0.62;
const DIGIT = 0.72;
/** How much of the height of a line's letters is empty above all but the tallest, and below all. */
const ABOVE = 0.2;
const BELOW = 0.02;
const RTL = /[\u0590-\u08ff\ufb1d-\ufefc]/;
const UPRIGHT = /^hor.*bnonenone(none|m.*x\(1, 0, 0, 1,)/;
const NOTHING = /^(none|normal)?$/;
/** How long the links of one turn may take, layout aside. After a turn is a rest of so many times as long. */
const FRAME_MS = 16;
const REST = 4;

/** How many characters a place for a text has room for: two at least, so that a number that becomes 10 stays where it is. */
export const roomFor = (text) => text && Math.max(text.length, 2);

/**
 * Where the number of a link can be drawn, in the words of the style sheet; nothing for nowhere. Asked while it has none.
 * @param {Element} element
 * @param {string} text what would be drawn
 * @param {Map<Element, DOMRect[] | true>} lines where each element has lines of text; `true` if it draws something else. Shared by
 * the links of a turn, in which nothing moves
 */
function findPlace(element, text, lines) {
  const view = element.ownerDocument.defaultView;
  const box = element.getBoundingClientRect();
  if (!view || box.bottom <= 0 || box.top >= view.innerHeight) return;
  const range = new Range();
  const root = element.getRootNode();
  const styleOf = (other, pseudo) => view.getComputedStyle(other, pseudo);
  const style = styleOf(element);
  const { content, position } = styleOf(element, "::after");
  // Does it stand at the end of a text, or in a box?
  const flows = style.display === "inline";
  const isStatic = style.position === "static";
  let isHolding = isStatic && !flows;
  if (!NOTHING.test(content) || position + styleOf(element, "::before").position !== "staticstatic") return;

  // What is around the link, as far as its number may go.
  const around = new Set();
  let isHeld = !flows;
  let isInside = true;
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    const { borderWidth, overflowX, position, rotate, scale, transform, writingMode } = styleOf(at);
    if (isInside) around.add(at);
    // It would be upside down, or lie on its side.
    if (!UPRIGHT.test(writingMode + rotate + scale + transform)) return;
    isHeld ||= position !== "static";
    if (at.matches("body,html")) continue;
    // The number has to go along when that scrolls.
    if (!isHeld && overflowX !== "visible") isHeld = isHolding = true;
    isInside &&= overflowX === "visible" && borderWidth === "0px";
  }

  /** Whether an element draws in a pseudo-element. One that only clears floats has no size. */
  const isAdorned = (other) =>
    ["::after", "::before"].some((pseudo) => {
      const style = styleOf(other, pseudo);
      return !NOTHING.test(style.content) && parseFloat(style.height) * parseFloat(style.width) !== 0;
    });
  const linesOf = (other) => {
    // Only text has letters, and a page may have 50,000 elements in a row.
    const texts = [...other.childNodes].filter(({ nodeType }) => nodeType === 3);
    return texts.flatMap((text) => range.selectNode(text) ?? [...range.getClientRects()]);
  };
  const isSolid = (other) => styleOf(other).backgroundColor !== "rgba(0, 0, 0, 0)";
  // What has no text in it is there to be seen itself, and so is a badge. On a button, the number has the colour for the button.
  const isPlain = (other) =>
    element.contains(other)
      ? other.textContent.trim() && (other === element || !isSolid(other))
      : !isSolid(element) && around.has(other);

  // The link becomes what its number is positioned in, unless that would move something else.
  if (
    (!flows && style.backgroundImage !== "none") ||
    (isHolding &&
      (style.inset + style.zIndex !== "autoauto" ||
        [...element.querySelectorAll("*")].some((part) => styleOf(part).position === "absolute")))
  ) {
    return;
  }
  const size = parseFloat(style.fontSize);
  const isRtl = style.direction === "rtl";
  const padding = parseFloat(style.paddingInlineEnd);
  const rects = [...element.getClientRects()];
  // Its last line, which has no width after a block. Of a line with a picture, the link's box is only as tall as its letters.
  const line = rects.at(-1);
  range.selectNodeContents(element);
  const isTall = range.getBoundingClientRect().height > 2 * size * rects.length;
  if (!line.width || (flows && (isTall || RTL.test(element.textContent) !== isRtl))) return;

  const characters = DOT + CHARACTER * roomFor(text.replace(/[^ -~]/g, "xx"));
  const font = size * SIZE;
  const small = size * SMALL;
  // Whatever is in a box may be as narrow as an arrow. What comes after a link on its line is found where it begins.
  const stepPx = flows ? 12 : 6;
  const isFree = (name, font, inset, middle) => {
    const width = font * characters;
    const left = isRtl ? line.left + inset : line.right - inset - width;
    const top = middle - (DIGIT / 2) * font;
    const bottom = top + DIGIT * font;
    const isHit = (line) =>
      line.right + 1 > left &&
      line.left - 1 < left + width &&
      line.bottom - BELOW * line.height > top &&
      line.top + ABOVE * line.height < bottom;
    for (let across = 0, y = top; across < width + stepPx; across += stepPx) {
      const there = root.elementFromPoint(left + Math.min(across, width), y);
      // Above is the border of what is there.
      if (!isPlain(there) || y < there.getBoundingClientRect().top + there.clientTop) return;
      if (!lines.has(there)) lines.set(there, isAdorned(there) || linesOf(there));
      const its = lines.get(there);
      if (its === true || its.some(isHit)) return;
      y = top + bottom - y;
    }
    return name;
  };
  const middle = (line.top + line.bottom) / 2;
  const place = flows
    ? (!padding && isFree("beside", font, -font * (GAP + characters), middle)) ||
      (small * characters <= line.width && isFree("above small", small, padding, middle - small * RAISE))
    : isFree("box end", font, font * GAP, middle) ||
      isFree("box small top", small, small * GAP, box.top + small * CORNER) ||
      isFree("box small base", small, small * GAP, box.bottom - small * CORNER);
  return place && place + (isHolding ? " held" : "") + (isRtl ? " rtl" : "");
}

/**
 * Looks for the places of numbers. Answers with a function that has the number of one link placed again, or of all.
 * @param {Element[]} elements the links by their slots
 * @param {string[][]} written what each carries: count, label, place
 * @param {(slot: number, texts: string[]) => void} carry has a link carry something else
 */
export function createArrange(elements, written, carry) {
  let timer;
  /** The links to look at, and how many of them in the next frame. */
  const due = new Set();
  let most = 1;
  const put = (slot, place) => written[slot]?.[0] && carry(slot, [...written[slot].slice(0, 2), place]);
  const wait = (delayMs) => (timer ??= setTimeout(requestAnimationFrame, delayMs, place));
  /** Takes some numbers off, then only reads, then puts them where there is room: the browser works out the layout twice in all. */
  const place = safely((begunMs) => {
    const batch = [];
    timer = undefined;
    for (const slot of due) {
      if (batch.length === most) break;
      due.delete(slot);
      if (written[slot]?.[0]) batch.push(slot);
      put(slot, null);
    }
    // The browser works out the layout, which takes the same time for any number of links.
    document.elementFromPoint(0, 0);
    const laidOutMs = performance.now();
    const lines = new Map();
    const places = batch.map((slot) => findPlace(elements[slot], written[slot][1] ?? written[slot][0], lines));
    places.forEach((place, idx) => place && put(batch[idx], place));
    const nowMs = performance.now();
    most = Math.ceil(most * Math.min(2, FRAME_MS / (nowMs - laidOutMs)));
    if (due.size > 0) wait(REST * (nowMs - begunMs));
  });
  return (slot) => {
    for (const one of slot ? [slot] : written.keys()) due.add(one);
    wait(0);
  };
}
