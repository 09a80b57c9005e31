/** The element `<viewer-count href="…">`, which shows a count anywhere. Without `href` it shows the count of the page itself. */

import { labels } from "./labels.js";
import { subscribe, viewersEvent } from "./page.js";

const NAME = "viewer-count";

/** Defines the element, unless it is defined already. */
export function defineElement() {
  if (customElements.get(NAME)) return;
  customElements.define(
    NAME,
    class extends HTMLElement {
      static observedAttributes = ["href", "label"];
      /** Shows the element's own content until the count is known. */
      #slot = this.attachShadow({ __proto__: null, mode: "open" }).appendChild(document.createElement("slot"));
      #leave;

      connectedCallback() {
        this.#leave?.();
        const textOf = labels(this.getAttribute("label") ?? "{count}", document.documentElement.lang);
        this.#leave = subscribe(this.getAttribute("href") ?? undefined, (viewers) => {
          this.shadowRoot.replaceChildren(viewers === undefined ? this.#slot : textOf(viewers));
          this.dispatchEvent(viewersEvent(viewers));
        });
      }
      disconnectedCallback() {
        this.#leave?.();
        this.#leave = undefined;
        this.shadowRoot.replaceChildren(this.#slot);
      }
      attributeChangedCallback() {
        if (this.#leave) this.connectedCallback();
      }
    },
  );
}
