/** How counts look: numbers in the page's language, and the stylesheet that draws them. Nodes are never inserted. */

/** The attribute with the count of a link. */
export const COUNT = "data-viewers";
/** The attribute with what to show for it, where that is another text. */
export const LABEL = "data-viewers-label";

/** A text as a string of CSS. */
const quote = (text) => `"${text.replace(/["\\\n]/g, (character) => `\\${character.charCodeAt(0).toString(16)} `)}"`;

/**
 * The style of every count: a small number at the upper end of its link, above what follows, in a box without width. So
 * nothing on the page moves, whenever it comes and however long it is. It beats a page's `a::after` and yields to its
 * `a[data-viewers]::after`; the custom properties are for the page to set. Screen readers hear the text after the slash,
 * where browsers know it; on paper, where nothing is live, there is no count.
 */
export function style({ label, text }) {
  const isPlain = label === "{count}";
  const [before, after = ""] = text.split("{count}");
  const words = isPlain ? `${quote(before)}attr(${COUNT})${quote(after)}` : `" ("attr(${LABEL})")"`;
  const content = (shown) => `content:attr(${shown});content:attr(${shown})/${words}`;
  return `:where(a)[${COUNT}]::after{${content(COUNT)};\
display:inline-block;\
inline-size:0;\
line-height:0;\
text-indent:var(--viewers-gap,.2em);\
vertical-align:var(--viewers-raise,1.1em);\
color:var(--viewers-color,inherit);\
font-size:var(--viewers-size,.6em);\
font-weight:var(--viewers-weight,600);\
font-variant-numeric:tabular-nums;\
white-space:nowrap}\
:where(a)[${LABEL}]::after{${content(LABEL)}}\
@media print{:where(a)[${COUNT}]::after{content:none}}`;
}

/** Adds a stylesheet to a document or a shadow root, where it survives whatever happens to the elements; returns the undoing. */
export function adopt(root, css) {
  const sheet = new (root.ownerDocument ?? root).defaultView.CSSStyleSheet();
  sheet.replaceSync(css);
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
