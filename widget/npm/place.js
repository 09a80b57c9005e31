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
const UPRIGHT = /^hor.*bnonenone(none|matrix\(1, 0, 0, 1,)/;
const NOTHING = /^(none|normal)?$/;
/** After a look that took longer, the next is at one link; after a shorter one, at twice as many. Between them is so many times as long. */
const FRAME_MS = 10;
const REST = 4;
/** Of a number's place, in shares of its width and height, the points that have to be free. */
const SHARES = [0, 0.5, 1];

/**
 * Where the number of a link can be drawn, in the words of the style sheet; "" for nowhere. Asked while it has none.
 * @param {Element} element
 * @param {string} text what would be drawn
 */
function findPlace(element, text) {
  const page = element.ownerDocument;
  const view = page.defaultView;
  const box = element.getBoundingClientRect();
  if (!view || box.bottom <= 0 || box.top >= view.innerHeight) return "";
  const range = page.createRange();
  const root = element.getRootNode();
  const styleOf = (other, which) => view.getComputedStyle(other, which && `::${which}`);
  const style = styleOf(element);
  const { content, position } = styleOf(element, "after");
  // Does it stand at the end of a text, or in a box?
  const flows = style.display === "inline";
  const isStatic = style.position === "static";
  let isHolding = isStatic && !flows;
  if (!NOTHING.test(content) || position + styleOf(element, "before").position !== "staticstatic") return "";

  // What is around the link, as far as its number may go.
  const around = new Set();
  let isHeld = !flows;
  let isInside = true;
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    const { borderWidth, overflowX, position, rotate, scale, transform, writingMode } = styleOf(at);
    if (isInside) around.add(at);
    // It would be upside down, or lie on its side.
    if (!UPRIGHT.test(writingMode + rotate + scale + transform)) return "";
    isHeld ||= position !== "static";
    if (at.matches("body,html")) continue;
    // The number has to go along when that scrolls.
    if (!isHeld && overflowX !== "visible") isHeld = isHolding = true;
    isInside &&= overflowX === "visible" && borderWidth === "0px";
  }

  /** Whether an element draws in a pseudo-element. One that only clears floats has no size. */
  const isAdorned = (other) =>
    ["after", "before"].some((which) => {
      const { content, height, width } = styleOf(other, which);
      return !NOTHING.test(content) && parseFloat(height) * parseFloat(width) !== 0;
    });
  const hasText = (node, x, y) => {
    // Only text has letters, and a page may have 50,000 elements in a row.
    if (node.nodeType !== 3) return false;
    range.selectNode(node);
    return [...range.getClientRects()].some(
      ({ left, right, top, bottom, height }) =>
        x > left - 1 && x < right + 1 && y > top + ABOVE * height && y < bottom - BELOW * height,
    );
  };
  const isSolid = (other) => styleOf(other).backgroundColor !== "rgba(0, 0, 0, 0)";
  const isFreeAt = (x, y) => {
    const there = root.elementFromPoint(x, y);
    // What has no text in it is there to be seen itself, and so is a badge. On a button, the number has the colour for the button.
    const isPlain = element.contains(there)
      ? there.textContent.trim() && (there === element || !isSolid(there))
      : !isSolid(element) && around.has(there);
    const isOnBorder = y < there?.getBoundingClientRect().top + there?.clientTop;
    return isPlain && !isOnBorder && !isAdorned(there) && ![...there.childNodes].some((node) => hasText(node, x, y));
  };

  // The link becomes what its number is positioned in, unless that would move something else.
  if (
    (!flows && style.backgroundImage !== "none") ||
    (isHolding &&
      (style.inset + style.zIndex !== "autoauto" ||
        [...element.querySelectorAll("*")].some((part) => styleOf(part).position === "absolute")))
  ) {
    return "";
  }
  const size = parseFloat(style.fontSize);
  const isRtl = style.direction === "rtl";
  range.selectNodeContents(element);
  const line = flows ? [...range.getClientRects()].filter(({ width }) => width).at(-1) : box;
  if (!line || (flows && (line.height > 2 * size || RTL.test(element.textContent) !== isRtl))) return "";

  const characters = DOT + CHARACTER * text.replace(/[^ -~]/g, "xx").length;
  const font = size * SIZE;
  const small = size * SMALL;
  const isFree = (name, font, inset, middle) => {
    const width = font * characters;
    const x = isRtl ? line.left + inset : line.right - inset - width;
    return SHARES.every((across) => SHARES.every((down) => isFreeAt(x + across * width, middle + (down - 0.5) * DIGIT * font))) && name;
  };
  const middle = (line.top + line.bottom) / 2;
  const place = flows
    ? (style.paddingInlineEnd === "0px" && isFree("beside", font, -font * (GAP + characters), middle)) ||
      (small * characters <= line.width && isFree("above small", small, 0, middle - small * RAISE))
    : isFree("box end", font, font * GAP, middle) ||
      isFree("box small top", small, small * GAP, box.top + small * CORNER) ||
      isFree("box small bottom", small, small * GAP, box.bottom - small * CORNER);
  return place ? place + (isHolding ? " held" : "") + (isRtl ? " rtl" : "") : "";
}

/**
 * Looks for the places of numbers.
 * @param {Element[]} elements the links by their slots
 * @param {string[][]} written what each carries: count, label, place
 * @param {(slot: number, texts: string[]) => void} carry has a link carry something else
 */
export function createPlaces(elements, written, carry) {
  let timer;
  /** The link that was looked at last, how many are left, and how many to look at in the next frame. */
  let slot = 0;
  let left;
  let most = 1;
  const put = (slot, place) => written[slot]?.[0] && carry(slot, [...written[slot].slice(0, 2), place]);
  const wait = (delayMs) => (timer ??= setTimeout(requestAnimationFrame, delayMs, place));
  /** Takes some numbers off, then only reads, then puts them where there is room: the browser works out the layout twice in all. */
  const place = safely(() => {
    const begunMs = performance.now();
    const batch = [];
    timer = undefined;
    for (; left > 0 && batch.length < most; left -= 1) {
      slot = (slot + 1) % written.length;
      if (written[slot]?.[0]) batch.push(slot);
      put(slot, null);
    }
    const places = batch.map((slot) => findPlace(elements[slot], written[slot][1] ?? written[slot][0]));
    batch.forEach((slot, idx) => places[idx] && put(slot, places[idx]));
    const spentMs = performance.now() - begunMs;
    most = spentMs < FRAME_MS ? 2 * most : 1;
    if (left > 0) wait(REST * spentMs);
  });
  return {
    arrange() {
      left = written.length;
      wait(0);
    },
  };
}
