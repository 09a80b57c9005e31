/** How counts look: numbers in the page's language, and the stylesheet that draws them. Nodes are never inserted. */

import { ASCENT, COUNT, DIGIT, PLACE, SIZE, SMALL } from "./place.js";

/** The attribute with what to show for it, where that is another text. */
export const LABEL = "data-viewers-label";

/** A text as a string of CSS. */
const quote = (text) => `"${text.replace(/["\\\n]/g, (character) => `\\${character.charCodeAt(0).toString(16)} `)}"`;

/**
 * The style of every count: a dot and a small number, out of the flow where the link's text ends, or in a corner of its box. So
 * nothing on the page moves, and the pointer does not meet it. Where on the link it is drawn, `findPlace` has found out. Screen
 * readers hear the text after the slash, where browsers know it; on paper, where nothing is live, there is no count.
 */
function style({ label, text }, layer) {
  const isPlain = label === "{count}";
  const [before, after = ""] = text.split("{count}");
  const words = isPlain ? `${quote(before)}attr(${COUNT})${quote(after)}` : `" ("attr(${LABEL})")"`;
  const content = (shown) => `content:attr(${shown});content:attr(${shown})/${words}`;
  const link = (place) => `:where(a[${COUNT}][${PLACE}~=${place}])`;
  const number = (rules, its = "") =>
    `${["after", "before"].map((which) => `:where(a${its}[${COUNT}][${PLACE}~=${which}])::${which}`)}{${rules}}`;
  return `@layer ${layer}{${link("held")}{position:relative}\
${link("above")}{--viewers-fit:${SMALL}em;--viewers-shift:-100% calc(-${(ASCENT + (SMALL * DIGIT) / 2) / SMALL}em - 1px)}\
${link("above")}:where([${PLACE}~=before]){--viewers-shift:0 calc(-${(ASCENT + (SMALL * DIGIT) / 2) / SMALL}em - 1px)}\
${["side", "corner", "foot", "edge"].map(link)}{--viewers-end:.4em;--viewers-tall:1;--viewers-shift:0}\
${link("side")}{--viewers-top:50%;--viewers-shift:0 -50%}\
${link("corner")}{--viewers-top:3px}\
${link("foot")}{--viewers-foot:3px}\
${link("edge")}{--viewers-top:0;--viewers-shift:0 -100%}\
${link("solid")}{--viewers-live:currentColor}\
${number(`${content(COUNT)};\
position:absolute;\
inset-block:var(--viewers-top,auto) var(--viewers-foot,auto);\
inset-inline-end:var(--viewers-end,auto);\
translate:var(--viewers-shift,var(--viewers-gap,.3em));\
pointer-events:none;\
line-height:var(--viewers-tall,1lh);\
text-indent:.8em;\
background:radial-gradient(circle closest-side,var(--viewers-dot,var(--viewers-live,#1a9f52)) 90%,#0000)0/.55em .55em no-repeat;\
color:var(--viewers-color,inherit);\
font-size:var(--viewers-size,var(--viewers-fit,${SIZE}em));\
font-weight:var(--viewers-weight,600);\
font-style:normal;\
font-variant-numeric:tabular-nums;\
letter-spacing:normal;\
text-transform:none;\
white-space:nowrap`)}\
${number(content(LABEL), `[${LABEL}]`)}\
@media print{${number("content:none")}}}`;
}

/** So many rules at the beginning of a style sheet are read for the name of a layer, which stands there if anywhere. */
const FIRST_RULES = 50;

/**
 * The layer for our rules: one within the page's first. So they yield to all rules of the page, in layers and outside. Ours
 * alone would be the last layer, because ours is the last style sheet.
 */
function layerIn(root) {
  for (const sheet of root.styleSheets) {
    try {
      for (const rule of [...sheet.cssRules].slice(0, FIRST_RULES)) {
        const name = rule.nameList?.[0] ?? rule.layerName ?? (rule.constructor.name === "CSSLayerBlockRule" && rule.name);
        if (name) return `${name}.viewers`;
      }
    } catch {
      // A sheet from elsewhere is not ours to read.
    }
  }
  return "viewers";
}

/** Adds our style to a document or a shadow root, where it survives whatever happens to the elements; returns the undoing. */
export function adopt(root, options) {
  const sheet = new (root.ownerDocument ?? root).defaultView.CSSStyleSheet();
  sheet.replaceSync(style(options, layerIn(root)));
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  return () => (root.adoptedStyleSheets = [...root.adoptedStyleSheets].filter((other) => other !== sheet));
}

/** The plural forms of a label, `one={count} reader|other={count} readers`, by category; one without a category is `other`. */
export const readForms = (label) =>
  new Map(
    label.split("|").map((form) => {
      const [, category = "other", text] = /^(?:(zero|one|two|few|many|other)=)?(.*)/s.exec(form);
      return [category, text];
    }),
  );

/**
 * Languages and scripts that may write numbers with other digits than 0 to 9. All others write those below a thousand as
 * JavaScript does.
 */
const OTHER_DIGITS = /^(?:ars?|as|bgc|bho|bn|ccp|ckb|dz|fa|ks|lrc|mni|mr|my|mzn|ne|nqo|pa|ps|raj|sat?|sd|ur|uz)\b|-(?:Adlm|Arab|Deva|u)\b/;
/** From here on numbers are shortened. */
const LONG = 1000;

/**
 * Makes the texts for counts in a language: a function from a number to what is shown for it. `Intl` is used only where it
 * makes a difference: its first use costs a phone a tenth of a second.
 */
export function labels(label, language) {
  let locale;
  try {
    [locale] = Intl.getCanonicalLocales(language);
  } catch {
    // None, or such as `lang="en_US"`: the browser's own will do.
  }
  locale ??= navigator.language;
  const forms = readForms(label);
  let number;
  let rules;
  const format = (viewers) => {
    if (viewers < LONG && !OTHER_DIGITS.test(locale)) return viewers;
    number ??= new Intl.NumberFormat(locale, { __proto__: null, notation: "compact", maximumFractionDigits: 1 });
    return number.format(viewers);
  };
  return (viewers) => {
    const form = forms.size > 1 ? forms.get((rules ??= new Intl.PluralRules(locale)).select(viewers)) : undefined;
    return (form ?? forms.get("other") ?? "{count}").replaceAll("{count}", () => format(viewers));
  };
}
