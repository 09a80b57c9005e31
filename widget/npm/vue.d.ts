/** Types of `connection-counter/vue`. It shows counts; `start` of `connection-counter`, or a script tag, brings them. */

import type { AllowedComponentProps, ComponentCustomProps, MaybeRefOrGetter, Ref, VNodeChild, VNodeProps } from "vue";

/**
 * The viewers of the page at `url`, or of this page without one, live: a whole number from 0, or `undefined` as long as
 * nobody knows, as on a server. A ref or a getter is followed. The widget may be started before or after; without one it
 * stays `undefined`. It ends with the component, or the effect scope, that it is called in.
 *
 * @example
 * const props = defineProps<{ article: string }>();
 * const viewers = useViewers(() => `/articles/${props.article}`);
 */
export function useViewers(url?: MaybeRefOrGetter<string | URL | undefined>): Readonly<Ref<number | undefined>>;

/** What every component takes. */
type PublicProps = VNodeProps & AllowedComponentProps & ComponentCustomProps;

/** What {@link ViewerCount} takes. */
export interface ViewerCountProps {
  /** Address of the page that is counted. Default: this page. */
  href?: string | URL;
  /** What to show for the number, as the option `label` of the widget. Default: `"{count}"`. */
  label?: string;
}

/**
 * A `span` with the viewers of the page at `href`, or of this page without one, live. Its slot shows as long as nobody knows.
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
