/** What is shown for a number: in most languages, and below a thousand, the number itself. All else is loaded when it is needed. */

import { load } from "./load.js";

/** In these languages, numbers below `LONG` are written as JavaScript does. */
const PLAIN = /^(de|en|es|fr|it|ja|pl|pt|ru|zh)(-\w\w)?$/;
const LONG = 1000;

/**
 * @param {string} label the option
 * @param {(slot: number, element: Element, viewers: number) => void} write called with the numbers that had to wait
 */
export function createShown(label, write) {
  let language, labels, textOf;
  let waiting = [];
  return {
    speaksAnother() {
      const { lang } = document.documentElement;
      if (language === lang) return false;
      language = lang;
      textOf = undefined;
      return true;
    },
    /** The text for a link's number; nothing if the number has to wait. */
    textFor(slot, element, viewers) {
      if (viewers < LONG && label === "{count}" && PLAIN.test(language || navigator.language)) return `${viewers}`;
      if (labels) return `${(textOf ??= labels(label, language))(viewers)}`;
      waiting.push([slot, element, viewers]);
      load((extras) => {
        labels = extras.labels;
        for (const one of waiting) write(...one);
        waiting = [];
      });
    },
    forget: () => (waiting = []),
  };
}
