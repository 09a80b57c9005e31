/** Finds a place for a link's number where it covers nothing, or none. */

import { CLEAR, isAdorned, isLikeDot, isPainted, isTaken, styleOf, zoomOf } from "./computed.js";
import { canHold } from "./hold.js";

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
/** How much taller above its link a line may be, in the link's font size. */
const SLACK = 0.25;
/** How many parts of a paragraph are looked at. A listing of code may have many more, but its lines are all of one height. */
const MOST_PARTS = 500;
const RTL = /[\u0590-\u08ff\ufb1d-\ufefc]/;
const UPRIGHT = /^hor.*bnonenone(none|m.*x\(1, 0, 0, 1,)/;
/** What `findPlace` answers while nothing of the page can be asked for its place. It is none of the other answers that mean nowhere. */
export const LATER = 0;

/** How many characters a place for a text has room for: two at least, so that a number that becomes 10 stays where it is. */
export const roomFor = (text) => text && Math.max(text.length, 2);

/** How much there is to scroll to in an element. Whatever hangs out of it makes that more. */
export const sizeOf = ({ scrollHeight, scrollWidth }) => scrollHeight + scrollWidth;

/** Where an element has lines of text of its own. */
function linesOf(element) {
  const range = new Range();
  // Only text has letters, and a page may have 50,000 elements in a row.
  const texts = [...element.childNodes].filter(({ nodeType }) => nodeType === 3);
  return texts.flatMap((text) => range.selectNode(text) ?? [...range.getClientRects()]);
}

/** Whether a link is text to its end, so that its number can stand there. A picture makes a line taller than its letters. */
const isText = (element, { display }, size) =>
  /^inline$|block|list/.test(display) &&
  [...element.querySelectorAll("*")].every(
    (part) =>
      (display === "inline" || /^(inline|none)/.test(styleOf(part).display)) &&
      [...part.getClientRects()].every(({ height }) => height < 2 * size),
  );

/**
 * What is around a link: `near`, the elements that its number may be over; `holders`, the boxes of those that it may not hang out of,
 * because they would have more to scroll to, cut it, or end in sight; whether the link has to be what its number is positioned in; and
 * the colour behind it. Nothing if the number would not be upright.
 */
function lookAround(element, flows, middle, sizes) {
  const html = element.ownerDocument.documentElement;
  const near = new Set();
  const holders = [{ left: 0, right: html.clientWidth * zoomOf(html) }];
  let isHeld = false;
  let isHolding = false;
  let isInside = true;
  let behind = "";
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    const style = styleOf(at);
    const { backgroundColor, clipPath, contain, contentVisibility, maskImage, overflowX, position, rotate, scale, transform, writingMode } = style;
    if (!UPRIGHT.test(writingMode + rotate + scale + transform)) return;
    sizes.set(at, sizeOf(at));
    if (isInside) near.add(at);
    // Neither a mask nor what clips has the shape of the box.
    isInside &&= clipPath + maskImage === "nonenone";
    if (!CLEAR.test(backgroundColor)) behind ||= backgroundColor;
    if (position !== "static") isHeld = true;
    // Neither borders nor scroll bars are in its inner width, which is a whole number. What has no box of its own has none.
    const { clientLeft, clientTop, clientWidth, offsetWidth } = at;
    const isPage = at.matches("body,html");
    const clips = clientWidth && overflowX + contentVisibility + contain !== "visiblevisiblenone";
    const isEdged = clips || (!isPage && isPainted(style));
    if (at !== html && (isEdged || (clientWidth && position !== "static"))) {
      const isHere = ({ top, bottom }) => top < middle && bottom > middle;
      const { bottom, left, right, top } = [...at.getClientRects()].find(isHere) ?? at.getBoundingClientRect();
      const zoom = zoomOf(at);
      holders.push({
        left: left + clientLeft * zoom,
        right: right - (clientWidth && offsetWidth - clientLeft - clientWidth) * zoom,
        top: isEdged && top + clientTop * zoom,
        bottom,
      });
    }
    // A number stands in its box, or has to go along when that scrolls.
    if (!isPage && !isHeld && (!flows || overflowX !== "visible")) isHeld = isHolding = true;
  }
  return [near, holders, isHolding, behind];
}

/** Where something is drawn in a link or beside it that the pointer does not meet: lines of text, and pictures. */
const untouchablesOf = (element) =>
  [...element.querySelectorAll("*"), element.parentElement, element.previousElementSibling, element.nextElementSibling]
    .filter((part) => part && styleOf(part).pointerEvents === "none")
    .flatMap((part) =>
      part.matches("img,svg") || part.parentElement === element.parentElement ? [part.getBoundingClientRect()] : linesOf(part),
    );

/** The boxes of those of these elements that are in lines, with all that is in them, each with its element. A float is in none. */
const boxesOf = (elements) =>
  [...elements]
    .slice(0, MOST_PARTS)
    .filter((element) => /^inline/.test(styleOf(element).display))
    .flatMap((element) =>
      [element, ...element.querySelectorAll("*")].flatMap((part) => [...part.getClientRects()].map((box) => [box, element])),
    );

/**
 * Whether the line of a link is much taller than the link, because of a heading's letters or a picture. Whatever is positioned after
 * the link stands at the top of the line, a number too.
 */
function isInTallLine(element, line, size, lines) {
  if (styleOf(element).display !== "inline") return;
  const around = element.parentElement ?? element.getRootNode().host;
  const { children } = around;
  const style = styleOf(around);
  if (!lines.has(children)) lines.set(children, boxesOf(children));
  return (
    parseFloat(style.fontSize) * zoomOf(around) * (1 - SLACK) > size ||
    lines.get(children).some(([{ top, bottom }]) => top < line.top - size * SLACK && bottom > line.top + size / 2) ||
    isInTallLine(around, line, size, lines)
  );
}

/** Whether a link looks so that no number fits there. */
const isUnfit = (element, { backgroundImage, fontSize, lineHeight, maskImage, webkitTextFillColor }, flows) =>
  // A rule of the page for all pseudo-elements would have the number begin a line of its own.
  (flows && !/^inline|none/.test(styleOf(element, "::after").display)) ||
  // Letters that one can see through show what is behind them, and the number would have no colour.
  /a.*, 0\)/.test(webkitTextFillColor) ||
  /url/.test(backgroundImage) ||
  maskImage !== "none" ||
  // Its letters are over other lines, and so would the number be.
  parseFloat(lineHeight) < parseFloat(fontSize) * (1 - SLACK);

/**
 * Answers with a function that tells whether a number may be drawn at a spot of a link. It takes the spot's name, which is its answer if
 * so, the number's font size, and the spot: how far from the end of the link's line, and around which height.
 */
function createIsFree(element, characters, line, flows, isRtl, near, holders, lines) {
  const root = element.getRootNode();
  // What has no text in it is there to be seen itself, and so is a badge.
  const isPlain = (other) =>
    element.contains(other)
      ? other.textContent.trim() && (other === element || !isPainted(styleOf(other)))
      : near.has(other);
  // Whatever is in a box may be as narrow as an arrow. What comes after a link on its line is found where it begins.
  const stepPx = flows ? 12 : 6;
  const beside = lines.get(element.parentElement?.children) ?? [];
  const others = untouchablesOf(element).concat(beside.flatMap(([box, its]) => (its === element ? [] : [box])));
  return (name, font, inset, middle) => {
    const width = font * characters;
    const left = isRtl ? line.left + inset : line.right - inset - width;
    const top = middle - (DIGIT / 2) * font;
    const bottom = top + DIGIT * font;
    const isHit = (line) =>
      line.right + 1 > left &&
      line.left - 1 < left + width &&
      line.bottom - BELOW * line.height > top &&
      line.top + ABOVE * line.height < bottom;
    const isOut = (holder) => left < holder.left || left + width > holder.right || top < holder.top || bottom > holder.bottom;
    if (holders.some(isOut) || others.some(isHit)) return;
    for (let across = 0, y = top; across < width + stepPx; across += stepPx) {
      const there = root.elementFromPoint(left + Math.min(across, width - 1), y);
      if (!isPlain(there)) return;
      // In the link's own shadow root, the host stands for what has no element there.
      const drawn = there.shadowRoot === root ? root : there;
      if (!lines.has(drawn)) lines.set(drawn, drawn.shadowRoot || isAdorned(there) || linesOf(drawn));
      const texts = lines.get(drawn);
      if (!texts.some || texts.some(isHit)) return;
      y = top + bottom - y;
    }
    return name;
  };
}

/**
 * Where the number of a link can be drawn, in the words of the style sheet; nothing for nowhere, or `LATER`. Asked while it has none.
 * @param {Element} element
 * @param {string} text what would be drawn
 * @param {Map<Element | ShadowRoot | HTMLCollection | Window, any[] | boolean | ShadowRoot>} lines where each element has lines of text;
 * something else if it draws more than that; for the children of an element, their boxes; and what sticks in a window. Shared by the links of a turn, in which nothing moves
 * @param {Map<Element, number>} sizes takes the sizes of whatever the number may hang out of
 */
export function findPlace(element, text, lines, sizes) {
  const view = element.ownerDocument.defaultView;
  const box = element.getBoundingClientRect();
  if (!view || box.bottom <= 0 || box.top >= view.innerHeight || isTaken(element)) return;
  const style = styleOf(element);
  const isInline = style.display === "inline";
  const zoom = zoomOf(element);
  const size = parseFloat(style.fontSize) * zoom;
  const flows = isText(element, style, size);
  const range = new Range();
  range.selectNodeContents(element);
  // Its last line, which has no width after a block.
  const line = [...(flows && !isInline ? range : element).getClientRects()].at(-1);
  if (!line?.width) return;
  const middle = (line.top + line.bottom) / 2;
  const [near, holders, isHolding, behind] = ((flows || !isInline) && lookAround(element, flows, middle, sizes)) || [];
  if (!near || isUnfit(element, style, flows) || (isHolding && !canHold(element, style, lines))) return;
  // It would have more to scroll to, as any box of which a number hangs out.
  if (isHolding && !isInline) holders.push(box);
  const isRtl = style.direction === "rtl";
  const padding = isInline ? parseFloat(style.paddingInlineEnd) * zoom : 0;
  if (flows && (RTL.test(element.textContent) !== isRtl || isInTallLine(element, line, size, lines))) return;
  const shown = element.getRootNode().elementFromPoint((line.left + line.right) / 2, middle);
  // In a view transition, only a picture of the page is there.
  if (shown === element.ownerDocument.documentElement) return LATER;
  if (!element.contains(shown)) return;

  const characters = DOT + CHARACTER * roomFor(text.replace(/[^ -~]/g, "xx"));
  const isFree = createIsFree(element, characters, line, flows, isRtl, near, holders, lines);
  const font = size * SIZE;
  const small = size * SMALL;
  const place = flows
    ? (!padding && isFree("beside", font, -font * (GAP + characters), middle)) ||
      (small * characters <= line.width && isFree("above small", small, padding, middle - small * RAISE))
    : isFree("box end", font, font * GAP, middle) || isFree("box small top", small, small * GAP, box.top + small * CORNER);
  return place && place + (isHolding ? " held" : "") + (isRtl ? " rtl" : "") + (behind && isLikeDot(behind) ? " tinted" : "");
}
