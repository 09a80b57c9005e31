// What a Vue component in TypeScript may do with viewer counts, and what not.

import { ViewerCount, useViewers } from "connection-counter/vue";
import { h, ref } from "vue";

const viewers = useViewers(() => "/one");
const number: number | undefined = viewers.value;
useViewers(ref<string>());
useViewers(new URL("https://example.com/"));
useViewers();

// @ts-expect-error It is not ours to set.
viewers.value = 1;
// @ts-expect-error An address is text.
useViewers(() => 1);

export const node = h(ViewerCount, { href: "/one", label: "{count} readers", class: "badge" }, () => "…");
// @ts-expect-error An address is text.
export const props: InstanceType<typeof ViewerCount>["$props"] = { href: 1 };
export { number };
