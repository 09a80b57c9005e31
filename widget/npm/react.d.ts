/** Types of `connection-counter/react`. It shows counts; `start` of `connection-counter`, or a script tag, brings them. */

import type { ComponentPropsWithoutRef, DetailedHTMLProps, HTMLAttributes, ReactElement, ReactNode } from "react";

import type { ViewerCountElement } from "./index.js";

/**
 * The viewers of the page at `url`, or of this page without one, live: a whole number from 0, or `undefined` as long as
 * nobody knows, as on a server. The widget may be started before or after; without one it stays `undefined`.
 *
 * @example
 * function Readers({ article }) {
 *   const viewers = useViewers(`/articles/${article}`);
 *   return <p>{viewers === undefined ? "…" : `${viewers} are reading this`}</p>;
 * }
 */
export function useViewers(url?: string | URL): number | undefined;

/** What {@link ViewerCount} takes; everything else goes to its `span`. */
export interface ViewerCountProps extends ComponentPropsWithoutRef<"span"> {
  /** Address of the page that is counted. Default: this page. */
  href?: string | URL;
  /** What to show for the number, as the option `label` of the widget. Default: `"{count}"`. */
  label?: string;
  /** What to show as long as nobody knows. Default: nothing. */
  children?: ReactNode;
}

/**
 * A `span` with the viewers of the page at `href`, or of this page without one, live.
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
