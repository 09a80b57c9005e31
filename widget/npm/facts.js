/** What a browser knows of the elements at and around a link: numbers and nothing but numbers. `facts.rs` says what they mean. */

const RTL = /[\u0590-\u08ff\ufb1d-\ufefc]/;
/** At how many spots of a box is asked what is there, and what spreads them evenly: the golden ratio. */
const SPOTS = 256;
const GOLDEN = 0.618;

/** How many children are told of. A listing of code may have many more, but its lines are all of one height. */
const MOST_CHILDREN = 500;

/** What is asked of a pseudo-element's style, and of any other. The last may contain anything. */
const FEW = ["position", "display", "height", "width", "content"];
const MANY =
  "writingMode rotate scale transform position left right inset zIndex overflowX contentVisibility contain clipPath maskImage display direction backgroundColor backgroundImage borderRight boxShadow webkitTextFillColor".split(
    " ",
  );
/** What may be so of a style, a bit each, in the order of `facts.rs`. */
const STYLES = [
  /-tb;rotatenone;scalenone;transform(none|m.*x\(1, 0, 0, 1,)/,
  /onstatic/,
  /Xvisible/,
  /Xvisible;contentVisibilityvisible;containnone/,
  /yinline;/,
  /yinline/,
  /ynone/,
  /displayinline;|display[^;]*(block|list)/,
  /ycontents/,
  /onrtl/,
  /onabsolute/,
  /onsticky;left(auto;right)?[^a]/,
  /tauto;zIndexauto/,
  /zIndex[1-9]/,
  /dColorrgba[^;]* 0\)/,
  /dImage[^;]*url/,
  /kImagenone/,
  /lColorrgba[^;]* 0\)/,
  /;(height|width)0px/,
  /content(none|normal|)$/,
  /clipPathnone;maskImagenone/,
  /dColorrgba[^;]* 0\);backgroundImagenone;borderRight(0|[^;]*rgba[^;]* 0\))[^;]*;boxShadownone/,
];

/** A link that was moved into a template has no window any more. */
const viewOf = (element) => element.ownerDocument.defaultView || window;
const styleOf = (element, pseudo) => viewOf(element).getComputedStyle(element, pseudo);
const sidesOf = ({ left, top, right, bottom }) => [left, top, right, bottom];
const boxesOf = (things) => things.flatMap((thing) => [...thing.getClientRects()].flatMap(sidesOf));
/** The boxes of what is in some nodes, text among it. */
const boxesIn = (nodes) => {
  const range = new Range();
  return nodes.flatMap((node) => range.selectNodeContents(node) || boxesOf([range]));
};
const partsOf = (element) => [...element.querySelectorAll("*")];

function bitsOf(element, pseudo) {
  const style = styleOf(element, pseudo);
  const text = (pseudo ? FEW : MANY).map((name) => name + style[name]).join(";");
  return STYLES.reduce((bits, fact, idx) => bits | (fact.test(text) << idx), 0);
}

/** Whether the pseudo-element draws a number of ours. Firefox tells the rule instead of the text, and all write some characters in other words. */
function isNumber(element) {
  const { content } = styleOf(element, "::after");
  return /data-viewers/.test(content) || content.includes(textOf(element)?.split(/["\\\n]/, 1));
}

/** What is at many spots of a box. */
function elementsIn({ left, top, width, height }, root) {
  const found = new Set();
  for (let spot = 0; spot < SPOTS; spot += 1) {
    // Browsers take a point for a pixel, which may not reach over the edge.
    const x = left + (width - 1) * ((spot * GOLDEN) % 1);
    found.add(root.elementFromPoint(x, top + ((height - 1) * spot) / SPOTS));
  }
  found.delete(null);
  return found;
}

/** The elements that were asked about since `fresh`, and what is known of each. Nothing moves in that time. */
let nodes, numbers, known, textOf;
const forget = () => {
  nodes = [null];
  numbers = new Map();
  known = [[]];
};
const numberOf = (node) => {
  if (!node) return 0;
  if (!numbers.has(node)) {
    known.push([]);
    numbers.set(node, nodes.push(node) - 1);
  }
  return numbers.get(node);
};

/** What stays in sight in a window while one scrolls. */
function stickersIn(view) {
  const all = new Set();
  for (let at of elementsIn(new DOMRect(0, 0, view.innerWidth, view.innerHeight), view.document)) {
    for (; at && !all.has(at); at = at.parentElement) all.add(at);
  }
  return [...all].filter((at) => /^(fixed|sticky)/.test(styleOf(at).position)).map(numberOf);
}

/** What can be asked, in the order of `facts.rs`. */
const ASKED = [
  (element) => {
    const style = styleOf(element);
    const { scrollHeight, scrollWidth, clientWidth } = element;
    // Styles and inner widths are those before the property `zoom` enlarges an element.
    const zoomed = [
      style.fontSize,
      style.lineHeight,
      style.paddingInlineEnd,
      element.clientLeft,
      element.clientTop,
      clientWidth,
      element.offsetWidth,
    ].map((number) => parseFloat(number) * (element.currentCSSZoom || 1));
    const root = element.getRootNode();
    return [
      numberOf(root),
      numberOf(element.shadowRoot),
      element.matches(":root") + 2 * element.matches("body,html") + 4 * element.matches("img,svg"),
      viewOf(element).innerHeight,
      Math.max(scrollHeight - element.clientHeight, scrollWidth - clientWidth),
      ...zoomed,
    ];
  },
  (element) => [bitsOf(element)],
  (element) => [bitsOf(element, "::before")],
  (element) => [bitsOf(element, "::after") | (isNumber(element) << STYLES.length)],
  (element) => [RTL.test(element.textContent) + 2 * /\S/.test(element.textContent)],
  (element) => sidesOf(element.getBoundingClientRect()),
  (element) => boxesOf([element]),
  (element) => boxesOf([element, ...partsOf(element)]),
  // Lines of text of its own. Only text has letters, and a page may have 50,000 elements in a row.
  (element) => boxesIn([...element.childNodes].filter(({ nodeType }) => nodeType === 3)),
  (element) => boxesIn([element]),
  (element) => partsOf(element).map(numberOf),
  (element) => [...element.children].slice(0, MOST_CHILDREN).filter((child) => /^inline/.test(styleOf(child).display)).map(numberOf),
  (element) => [...elementsIn(element.getBoundingClientRect(), element.getRootNode())].map(numberOf),
  (element) => [element.scrollWidth + element.scrollHeight],
  // A link that has left the page has a host, too: that of its address.
  (element) => [numberOf(element.parentElement || element.parentNode?.host)],
  // What stays in sight. The same for all elements of a window.
  (element) => {
    const its = known[numberOf(viewOf(element))];
    if (!its[0]) its[0] = stickersIn(viewOf(element));
    return its[0];
  },
  (element) =>
    [...partsOf(element), element.parentElement, element.previousElementSibling, element.nextElementSibling]
      .filter((part) => part && styleOf(part).pointerEvents === "none")
      .map(numberOf),
  // How light its background colour is.
  (element) => {
    const { backgroundColor } = styleOf(element);
    const [red, green, blue] = backgroundColor.match(/[\d.]+/g);
    return [/^ok/.test(backgroundColor) ? red ** 1.5 : Math.hypot(0.45 * red, 0.84 * green, 0.32 * blue) / 255];
  },
];

/** @param {(element: Element) => string} itsTextOf what is drawn at a link */
export function createFacts(itsTextOf) {
  textOf = itsTextOf;
  return {
    fresh() {
      forget();
      // What goes from the page is not held by us.
      queueMicrotask(forget);
      document.elementFromPoint(0, 0);
    },
    node: numberOf,
    fact(kind, node, idx) {
      const its = known[node];
      if (!its[kind]) its[kind] = ASKED[kind](nodes[node]);
      return its[kind][idx];
    },
    at: (node, x, y) => numberOf(nodes[node].getRootNode().elementFromPoint(x, y)),
    relation: (node, other) => nodes[node].compareDocumentPosition(nodes[other]),
  };
}
