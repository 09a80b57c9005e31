/** How counts look: numbers in the page's language, and the stylesheet that draws them. Nodes are never inserted. */

/** These four are also in `place/mod.rs`, which describes them. */
const SIZE = 0.7;
const SMALL = 0.56;
const RAISE = 1.19;
const GAP = 0.4;

/** The attribute with the count of a link. */
export const COUNT = "data-viewers";
/** The attribute with what to show for it, where that is another text. */
const LABEL = "data-viewers-label";
/** The attribute with the place of a link's number: the pseudo-element that draws it, and where that is. */
export const PLACE = "data-viewers-place";

/** The attributes that a link carries of ours. */
export const NAMES = [COUNT, LABEL, PLACE];
/** The place with a number, which is put together as in `place/mod.rs`. */
export const placeOf = (number) =>
  ["beside", "above small", "box end", "box small top"][number & 3] +
  (number & 8 ? " held" : "") +
  (number & 4 ? " rtl" : "") +
  (number & 16 ? " tinted" : "") +
  (number & 32 ? " words" : "");

/** A text as a string of CSS. */
const quote = (text) => JSON.stringify(text.replace(/\s/g, " "));

/** The text that shows while the pointer or the focus is on a link. Parentheses are for those who hear it after the link's own. */
export const shownText = ({ label, text }) => (label === "{count}" ? text.replace(/[()]/g, "") : "");

/**
 * The style of every count: a dot and a small number, out of the flow where the link's text ends, or in a box. So nothing on the
 * page moves, and the pointer does not meet it. Where on the link it is drawn, `place/mod.rs` has found out. Screen readers hear the
 * text after the slash, where browsers know it; on paper, where nothing is live, there is no count. While the pointer or the focus is
 * on the link, words show if there is room.
 */
export function style(options) {
  const shown = shownText(options);
  const around = (text) => text.split("{count}").map(quote).join(`attr(${COUNT})`);
  const spoken = options.label === "{count}" ? around(options.text) : `" ("attr(${LABEL})")"`;
  const content = (seen) => `content:${seen};content:${seen}/${spoken}`;
  const link = (place) => `a[${PLACE}${place}]`;
  const at = (place) => `${link(`~=${place}`)}::after`;
  return `@media screen{${link("~=held")}{position:relative}\
${link("")}::after{${content(`attr(${COUNT})`)};\
position:absolute!important;\
pointer-events:none;\
font:var(--viewers-weight,600) var(--viewers-size,${SIZE}em)/1lh system-ui;\
text-decoration:none!important;\
text-transform:none;\
direction:ltr;\
letter-spacing:normal;\
text-indent:.8em;\
white-space:nowrap;\
background:radial-gradient(circle at .28em,var(--viewers-dot,var(--viewers-tint,#1a9f52)) .25em,#0000 .28em);\
color:var(--viewers-color,inherit)}\
${at("rtl")}{--viewers-side:-1}\
${at("beside")}{translate:calc(var(--viewers-gap,${GAP}em)*var(--viewers-side,1))}\
${at("small")}{font-size:var(--viewers-size,${SMALL}em)}\
${at("above")}{translate:calc(-100%*var(--viewers-side,1)) -${RAISE}em}\
${at("tinted")}{--viewers-tint:currentColor}\
${at("box")}{right:${GAP}em;line-height:1}\
${link(`~=box][${PLACE}~=rtl`)}::after{right:auto;left:${GAP}em}\
${at("end")}{top:50%;translate:0 -50%}\
${at("top")}{top:${GAP}em}\
${shown && `${link("~=words")}:is(:hover,:focus-visible)::after{${content(around(shown))}}`}\
${link(`][${LABEL}`)}::after{${content(`attr(${LABEL})`)}}}`;
}

/**
 * The layer for our rules: one within the page's first, which a sheet names at its beginning. So they yield to all rules of the
 * page, in layers and outside. Ours alone would be the last layer, because ours is the last style sheet.
 */
export function layerIn(root) {
  for (const sheet of root.styleSheets) {
    try {
      const [, name] = /^@(?:layer |import.* layer\()([\w.-]+)/.exec(sheet.cssRules[0].cssText);
      return `${name}.viewers`;
    } catch {
      // It names none, or is from elsewhere, and not ours to read.
    }
  }
  return "viewers";
}
