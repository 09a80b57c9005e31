/** Types of `connection-counter/vue`. It shows the counts of the widget, which `start` of `connection-counter` or a script tag starts. */

import type { AllowedComponentProps, ComponentCustomProps, MaybeRefOrGetter, Ref, VNodeChild, VNodeProps } from "vue";

/**
 * The current viewers of the page at `url`, or of this page without `url`: a whole number from 0, or `undefined` until the count is
 * known. On a server it is always `undefined`. If `url` is a ref or a getter, the value follows its changes. The widget may start before
 * or after this. Without a widget the value stays `undefined`. The subscription ends with the component or effect scope that calls this.
 *
 * @example
 * const props = defineProps<{ article: string }>();
 * const viewers = useViewers(() => `/articles/${props.article}`);
 */
export function useViewers(url?: MaybeRefOrGetter<string | URL | undefined>): Readonly<Ref<number | undefined>>;

/** Properties of every component. */
type PublicProps = VNodeProps & AllowedComponentProps & ComponentCustomProps;

/** Properties of {@link ViewerCount}. */
export interface ViewerCountProps {
  /** Address of the page that is counted. Default: this page. */
  href?: string | URL;
  /** The text shown for the number, like the option `label` of the widget. Default: `"{count}"`. */
  label?: string;
}

/**
 * A `span` with the current viewers of the page at `href`, or of this page without `href`. Its slot shows until the count is known.
 *
 * @example
 * <ViewerCount href="/checkout" label="one={count} customer|other={count} customers">…</ViewerCount>
 */
export const ViewerCount: new () => {
  $props: ViewerCountProps & PublicProps;
  $slots: { default?: () => VNodeChild };
};

declare module "vue" {
  interface GlobalComponents {
    /** The custom element, which needs no import. */
    "viewer-count": new () => { $props: { href?: string; label?: string } & PublicProps };
  }
}
