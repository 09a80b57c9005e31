/** `<viewer-count href="…">`: a count anywhere on the page, of the page itself without `href`. */

import { labels } from "./labels.js";
import { subscribe, viewersEvent } from "./page.js";

const NAME = "viewer-count";

/** Makes the element known to the browser, unless it is. */
export function defineElement() {
  if (customElements.get(NAME)) return;
  customElements.define(
    NAME,
    class extends HTMLElement {
      static observedAttributes = ["href", "label"];
      /** Shows what stands in the element, until there is a count. */
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
