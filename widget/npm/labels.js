/** Numbers in words and in other digits, for the pages that need it. */

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
  locale ||= navigator.language;
  const forms = readForms(label);
  let number;
  let rules;
  const format = (viewers) => {
    if (viewers < LONG && !OTHER_DIGITS.test(locale)) return viewers;
    number ||= new Intl.NumberFormat(locale, { __proto__: null, notation: "compact", maximumFractionDigits: 1 });
    return number.format(viewers);
  };
  return (viewers) => {
    const form = forms.size > 1 ? forms.get((rules ||= new Intl.PluralRules(locale)).select(viewers)) : undefined;
    return (form ?? forms.get("other") ?? "{count}").replaceAll("{count}", () => format(viewers));
  };
}
