/** For Vue: the viewer counts of the page's widget. Documented in vue.d.ts. */

import { computed, defineComponent, h, shallowReadonly, shallowRef, toValue, watchPostEffect } from "vue";

import { labels } from "./labels.js";
import { subscribe } from "./page.js";

export function useViewers(url) {
  const viewers = shallowRef();
  // This runs after the first rendering, which must equal the server's. It never runs on a server.
  watchPostEffect((onCleanup) => {
    const address = toValue(url);
    viewers.value = undefined;
    onCleanup(subscribe(address, (count) => (viewers.value = count)));
  });
  return shallowReadonly(viewers);
}

export const ViewerCount = defineComponent({
  name: "ViewerCount",
  props: {
    href: [String, URL],
    label: { type: String, default: "{count}" },
  },
  setup(props, { slots }) {
    const viewers = useViewers(() => props.href);
    const isKnown = computed(() => viewers.value !== undefined);
    const textOf = computed(() => isKnown.value && labels(props.label, document.documentElement.lang));
    return () => h("span", isKnown.value ? textOf.value(viewers.value) : slots.default?.());
  },
});
