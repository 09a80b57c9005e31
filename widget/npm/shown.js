/** What is shown for a number: in most languages, and below a thousand, the number itself. All else is loaded when it is needed. */

import { load } from "./load.js";

/** In these languages, numbers below `LONG` are written as JavaScript does. */
const PLAIN = /^(de|en|es|fr|it|ja|pl|pt|ru|zh)(-\w\w)?$/;
const LONG = 1000;

/**
 * @param {string} label the option
 * @param {() => void} tell called when the texts of the numbers are there that had to wait
 */
export function createShown(label, tell) {
  let language, labels, textOf;
  return {
    speaksAnother() {
      const { lang } = document.documentElement;
      if (language === lang) return false;
      language = lang;
      textOf = undefined;
      return true;
    },
    /** The text for a link's number; nothing if the number has to wait. */
    textFor(viewers) {
      if (viewers < LONG && label === "{count}" && PLAIN.test(language || navigator.language)) return `${viewers}`;
      if (labels) return `${(textOf ??= labels(label, language))(viewers)}`;
      load((extras) => {
        if (labels) return;
        labels = extras.labels;
        tell();
      });
    },
  };
}
