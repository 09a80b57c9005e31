/** The element `<viewer-count href="…">`, which shows a count anywhere. Without `href` it shows the count of the page itself. */

import { labels } from "./labels.js";
import { subscribe, viewersEvent } from "./page.js";

const NAME = "viewer-count";

/** What ends the subscription of each element that has one. It is no field, because the older JavaScript of the package has none. */
const leaves = new WeakMap();
const leave = (element) => leaves.has(element) && leaves.get(element)();
/** What an element shows until its count is known: its own content. */
const own = () => document.createElement("slot");

/** Defines the element, unless it is defined already. */
export function defineElement() {
  if (customElements.get(NAME)) return;
  customElements.define(
    NAME,
    class extends HTMLElement {
      static get observedAttributes() {
        return ["href", "label"];
      }
      constructor() {
        super();
        this.attachShadow({ __proto__: null, mode: "open" }).append(own());
      }
      connectedCallback() {
        leave(this);
        const textOf = labels(this.getAttribute("label") ?? "{count}", document.documentElement.lang);
        const show = (viewers) => {
          this.shadowRoot.replaceChildren(viewers === undefined ? own() : textOf(viewers));
          this.dispatchEvent(viewersEvent(viewers));
        };
        leaves.set(this, subscribe(this.getAttribute("href") ?? undefined, show));
      }
      disconnectedCallback() {
        leave(this);
        leaves.delete(this);
        this.shadowRoot.replaceChildren(own());
      }
      attributeChangedCallback() {
        if (leaves.has(this)) this.connectedCallback();
      }
    },
  );
}
