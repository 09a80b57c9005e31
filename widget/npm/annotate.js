/**
 * What is written on links: the count, a label if that is another text, and the place of the number. In most languages, and below a
 * thousand, the text is the number itself. All other texts are made by code that is loaded when it is needed.
 */

import { load } from "./load.js";
import { NAMES, placeOf } from "./style.js";

/** In these languages, numbers below `LONG` are written as JavaScript does. */
const PLAIN = /^(de|en|es|fr|it|ja|pl|pt|ru|zh)(-\w\w)?$/;
const LONG = 1000;

/** How long a text is. Characters that are not of ASCII may be as wide as two. */
export const lengthOf = (text) => text.replace(/[^ -~]/g, "xx").length;

/**
 * @param {Element[]} elements the links by their slots
 * @param {string} label the option
 * @param {() => void} tell called when the texts are there that some numbers had to wait for
 * @param {AbortSignal} signal aborted when the widget ends
 */
export function createAnnotations(elements, label, tell, signal) {
  let language, labels, labelOf;
  /** What is shown on each link, by its slot. */
  const texts = [];
  /** The text for a number; nothing if it has to wait. */
  const textFor = (viewers) => {
    if (viewers < LONG && label === "{count}" && PLAIN.test(language || navigator.language)) return `${viewers}`;
    if (labels) return `${(labelOf ||= labels(label, language))(viewers)}`;
    load((extras) => {
      if (labels) return;
      labels = extras.labels;
      tell();
    });
  };
  /** What the attributes of a link should say. */
  const textsOf = (slot, count, place) =>
    count < 0 ? [] : [`${count}`, texts[slot] === `${count}` ? undefined : texts[slot], place < 0 ? undefined : placeOf(place)];
  const isOld = (slot, idx, count, place) => {
    const now = elements[slot].getAttribute(NAMES[idx]);
    // No attribute is `null`, and `undefined` here. A count that is no number is the page's own.
    return now != textsOf(slot, count, place)[idx] && (idx > 0 || !now || !/\D/.test(now));
  };
  return {
    isOld,
    speaksAnother() {
      const before = language;
      language = document.documentElement.lang;
      if (language !== before) labelOf = undefined;
      return language !== before;
    },
    text(slot, viewers) {
      const text = textFor(viewers);
      if (!text) return 0;
      texts[slot] = text;
      return lengthOf(text);
    },
    carry(slot, count, place) {
      NAMES.forEach((name, idx) => {
        // What the page does about one attribute may stop us.
        if (signal.aborted || !isOld(slot, idx, count, place)) return;
        const text = textsOf(slot, count, place)[idx];
        if (text) elements[slot].setAttribute(name, text);
        else elements[slot].removeAttribute(name);
      });
    },
    shownOn: (slot) => texts[slot],
  };
}
