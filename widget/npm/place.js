/** Finds a place for a link's number where it covers nothing, or none. It reads the page and changes nothing. */

/** The attribute with the count of a link. */
export const COUNT = "data-viewers";
/** The attribute with the place of a link's number: the pseudo-element that draws it, and where that is. */
export const PLACE = "data-viewers-place";

/** The size of a number beside or in a link, and above one, where lines of text leave little room; of the link's. */
export const SIZE = 0.7;
export const SMALL = 0.6;
/** From the middle of a line to the top of its tallest letters, and how tall a digit is, in their font size. */
export const ASCENT = 0.42;
export const DIGIT = 0.72;
/** How wide the dot and a character are, in the number's font size. */
const DOT = 0.9;
const CHARACTER = 0.62;
/** Before and after a number, in the link's font size. */
const GAP = 0.3;
/** How much of a letter's box is empty above it, below it, and below it if it has a tail. */
const ABOVE = 0.14;
const BELOW = 0.2;
const BELOW_TAIL = 0.02;
const TAILS = /[^\x20-\x7e]|[gjpqyQ,;()[\]{}|/_$@]/;

/** What is no text, but not to be covered either. */
const PICTURES = "img,svg,video,canvas,input,button,select,iframe";

/** Whether letters are at a point. */
function hasText(page, x, y) {
  const at = page.caretPositionFromPoint?.(x, y) ?? page.caretRangeFromPoint?.(x, y);
  const node = at?.offsetNode ?? at?.startContainer;
  if (node?.nodeType !== Node.TEXT_NODE) return false;
  const range = page.createRange();
  const offset = at.offset ?? at.startOffset;
  for (let idx = Math.max(offset - 1, 0); idx <= offset && idx < node.length; idx += 1) {
    const letter = node.data[idx];
    if (!letter.trim()) continue;
    range.setStart(node, idx);
    range.setEnd(node, idx + 1);
    const { left, right, top, bottom, height } = range.getBoundingClientRect();
    const below = (TAILS.test(letter) ? BELOW_TAIL : BELOW) * height;
    if (x > left - 1 && x < right + 1 && y > top + ABOVE * height && y < bottom - below) return true;
  }
  return false;
}

/** Whether the link's content ends in a line of text, after which its `::after` would be. */
function isFlow(element, styleOf) {
  const last = element.lastElementChild;
  const endsInText = !last || last.nextSibling?.data?.trim() || /^(inline|none|contents)/.test(styleOf(last).display);
  return endsInText && !/flex|grid/.test(styleOf(element).display);
}

/** The pseudo-element for the number; none where the page needs both, or shows the number in one of them itself. */
function pseudoOf(element, styleOf) {
  const names = ["after", "before"];
  const [mine] = element.getAttribute(PLACE)?.split(" ") ?? [];
  const contents = names.map((name) => (name === mine ? "none" : styleOf(element, `::${name}`).content));
  const count = element.getAttribute(COUNT);
  if (count && contents.some((content) => content.includes(COUNT) || content.includes(count))) return;
  return names[contents.findIndex((content) => /^(none|normal)?$/.test(content))];
}

/** Where the number has to stay, in the edges around it, and whether it would not go along when those scroll. */
function limitsOf(element, styleOf) {
  const limits = { left: 0, top: -Infinity, right: element.ownerDocument.documentElement.clientWidth, isLoose: false };
  let isHeld = false;
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    const style = styleOf(at);
    const { overflowX, position, rotate, scale, transform, writingMode } = style;
    // It would be upside down, or lie on its side.
    if (!/^none|^matrix\(1, 0, 0, 1,/.test(transform) || rotate + scale !== "nonenone" || writingMode[0] !== "h") return;
    isHeld ||= position !== "static" || transform !== "none";
    if (at.matches("body,html")) continue;
    const clips = overflowX !== "visible";
    limits.isLoose ||= clips && !isHeld;
    const edge = at.getBoundingClientRect();
    if (clips || parseFloat(style.borderLeftWidth)) limits.left = Math.max(limits.left, edge.left);
    if (clips || parseFloat(style.borderRightWidth)) limits.right = Math.min(limits.right, edge.right);
    if (clips || parseFloat(style.borderTopWidth)) limits.top = Math.max(limits.top, edge.top);
  }
  return limits;
}

/** Whether the link can become what its pseudo-elements are positioned in, with nothing else being positioned in it. */
const mayHold = (element, styleOf) =>
  styleOf(element).inset === "auto" &&
  ["::before", "::after"].every((which) => styleOf(element, which).position !== "absolute") &&
  [...element.querySelectorAll("*")].every((part) => styleOf(part).position !== "absolute");

/** The places in a box, by the names in the style sheet: which is the first that is free? */
function inBox(box, size, isRtl, width, isFree) {
  const tall = size * SIZE * DIGIT;
  const end = isRtl ? box.left + size * GAP : box.right - size * GAP - width;
  const middle = (box.top + box.bottom) / 2;
  const tops = [
    ["side", middle - tall / 2],
    ["corner", box.top + 3],
    ["foot", box.bottom - tall - 3],
    ["edge", box.top - tall],
  ];
  return tops.find(([, top]) => isFree(end, top, end + width, top + tall))?.[0];
}

/** The places at a text: beside it in its line if `mayBeside`, or above it, where it must not reach another link's number. */
function atText(text, size, isRtl, isAfter, widthOf, mayBeside, room, isFree) {
  const middle = (text.top + text.bottom) / 2;
  const width = widthOf(SIZE) + 2 * GAP * size;
  const beside = isRtl ? text.left - 2 - width : text.right + 2;
  if (mayBeside(width) && isFree(beside, middle - size * GAP, beside + width, middle + size * GAP)) return "beside";
  const bottom = middle - size * ASCENT - 1;
  const small = widthOf(SMALL);
  if (small > room) return;
  const left = isAfter === isRtl ? text.left : text.right - small;
  return isFree(left, bottom - size * SMALL * DIGIT, left + small, bottom) ? "above" : undefined;
}

/**
 * Where a number of so many characters can be drawn on a link, in the words of the style sheet; "" for nowhere, and nothing as
 * long as the link is out of sight.
 */
export function findPlace(element, length) {
  const page = element.ownerDocument;
  const view = page.defaultView;
  const root = element.getRootNode();
  const styleOf = (other, which) => view.getComputedStyle(other, which);
  const box = element.getBoundingClientRect();
  if (box.bottom <= 0 || box.top >= view.innerHeight || !box.width) return;

  const which = pseudoOf(element, styleOf);
  const flows = isFlow(element, styleOf);
  const limits = limitsOf(element, styleOf);
  // In a box, the page's own pseudo-element may be anywhere.
  if (!which || !limits || (which === "before" && !flows)) return "";
  const style = styleOf(element);
  const mustHold = style.position === "static" && (limits.isLoose || !flows);
  if (mustHold && !mayHold(element, styleOf)) return "";
  const isSolid = style.backgroundColor + style.backgroundImage !== "rgba(0, 0, 0, 0)none";

  const isFreeAt = (x, y) => {
    const there = root.elementFromPoint(x, y);
    // What is out of sight, nobody reads over.
    if (!there) return true;
    // On a button, the number has the colour for the button.
    const isOurs = element.contains(there) || (!isSolid && (there.contains(element) || styleOf(there).display === "inline"));
    return isOurs && !there.closest(PICTURES) && !hasText(page, x, y);
  };
  const isFree = (left, top, right, bottom) =>
    left >= limits.left &&
    right <= limits.right &&
    top >= limits.top &&
    [left, (left + right) / 2, right].every((x) => [top, (top + bottom) / 2, bottom].every((y) => isFreeAt(x, y)));

  const size = parseFloat(style.fontSize);
  const isRtl = style.direction === "rtl";
  const widthOf = (scale) => size * scale * (DOT + CHARACTER * length);
  let place;
  if (flows) {
    const range = page.createRange();
    range.selectNodeContents(element);
    const rects = [...range.getClientRects()].filter(({ width }) => width);
    const text = which === "after" ? rects.at(-1) : rects[0];
    if (!text || text.height > 2 * size) return "";
    const isBoxed = style.display !== "inline" || parseFloat(style.paddingRight) > 0;
    const mayBeside = (width) =>
      which === "after" && (!isBoxed || (isRtl ? text.left - box.left : box.right - text.right) > width);
    const isAfter = which === "after";
    place = atText(text, size, isRtl, isAfter, widthOf, mayBeside, isBoxed ? box.width : text.width, isFree);
  } else {
    place = inBox(box, size, isRtl, widthOf(SIZE), isFree);
  }
  return place ? `${which} ${place}${mustHold ? " held" : ""}${isSolid ? " solid" : ""}` : "";
}
