/** Types of `connection-counter/react`. It shows the counts of the widget, which `start` of `connection-counter` or a script tag starts. */

import type { ComponentPropsWithoutRef, DetailedHTMLProps, HTMLAttributes, ReactElement, ReactNode } from "react";

import type { ViewerCountElement } from "./index.js";

/**
 * The current viewers of the page at `url`, or of this page without `url`: a whole number from 0, or `undefined` until the count is
 * known. On a server it is always `undefined`. The widget may start before or after this. Without a widget the value stays `undefined`.
 *
 * @example
 * function Readers({ article }) {
 *   const viewers = useViewers(`/articles/${article}`);
 *   return <p>{viewers === undefined ? "…" : `${viewers} are reading this`}</p>;
 * }
 */
export function useViewers(url?: string | URL): number | undefined;

/** Properties of {@link ViewerCount}. All others are passed to its `span`. */
export interface ViewerCountProps extends ComponentPropsWithoutRef<"span"> {
  /** Address of the page that is counted. Default: this page. */
  href?: string | URL;
  /** The text shown for the number, like the option `label` of the widget. Default: `"{count}"`. */
  label?: string;
  /** What to show until the count is known. Default: nothing. */
  children?: ReactNode;
}

/**
 * A `span` with the current viewers of the page at `href`, or of this page without `href`.
 *
 * @example
 * <ViewerCount href="/checkout" label="one={count} customer|other={count} customers">…</ViewerCount>
 */
export function ViewerCount(props: ViewerCountProps): ReactElement;

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      /** The custom element, which needs no import. */
      "viewer-count": DetailedHTMLProps<HTMLAttributes<ViewerCountElement>, ViewerCountElement> & {
        href?: string;
        label?: string;
      };
    }
  }
}
