/** What computed styles say of elements and of their pseudo-elements. */

const NOTHING = /^(none|normal)?$/;
/** A border, or a colour, that is not to be seen. */
export const CLEAR = /^0|a\(.*, 0\)/;

export const styleOf = (element, pseudo) => element.ownerDocument.defaultView.getComputedStyle(element, pseudo);

/** How much the property `zoom` enlarges an element. Its styles and its inner width are those before that. */
export const zoomOf = (element) => element.currentCSSZoom || 1;

/** Whether the page uses the pseudo-element that a number needs. */
export function isTaken(element) {
  const { content, position } = styleOf(element, "::after");
  return !NOTHING.test(content) || position !== "static";
}

/**
 * Whether the pseudo-element of a link's number is not used, or draws that number out of the flow. A page's rule may use it only when
 * the pointer is over the link. While a root has lost our style sheet, nothing is drawn.
 */
export const isOurs = (element, text) => {
  const { content, display, position } = styleOf(element, "::after");
  // Firefox tells the rule instead of the text, and all write some characters in other words.
  const isNumber = /data-viewers/.test(content) || content.includes(text.split(/["\\\n]/, 1));
  return NOTHING.test(content) || (isNumber && /^absolute(?!contents)/.test(position + display));
};

/** Whether an element draws in a pseudo-element. One that only clears floats has no size, and a bullet is before all text. */
export const isAdorned = (element) =>
  ["::after", "::before"].some((pseudo, isBefore) => {
    const { content, display, height, position, width } = styleOf(element, pseudo);
    return !NOTHING.test(content) && parseFloat(height) * parseFloat(width) !== 0 && !(isBefore && display + position === "inlinestatic");
  });

/** Whether one can see where an element ends. A line below it may be an underline. */
export const isPainted = ({ backgroundColor, backgroundImage, borderRight, boxShadow }) =>
  !CLEAR.test(backgroundColor) || !CLEAR.test(borderRight) || backgroundImage + boxShadow !== "nonenone";

/** How much red, green and blue each add to the light of a colour, roughly as WCAG 2 has it, and the largest value squared. */
const RED = 0.2;
const GREEN = 0.7;
const BLUE = 0.1;
const LARGEST_SQUARED = 65025;
/** How light colours are from which the dot can hardly be told, from 0 for black to 1 for white. Its own green is 0.28. */
const DARKEST = 0.1;
const LIGHTEST = 0.6;

/** Whether the dot can hardly be told from a colour behind it: how light both are is what counts. Of `oklch()`, the first value says it. */
export function isLikeDot(colour) {
  const [red, green, blue] = colour.match(/[\d.]+/g);
  const light = /^ok/.test(colour) ? red ** 3 : (RED * red ** 2 + GREEN * green ** 2 + BLUE * blue ** 2) / LARGEST_SQUARED;
  return light > DARKEST && light < LIGHTEST;
}
