"use client";
/** For React: the viewer counts of the page's widget. Documented in react.d.ts. */

import { createElement, useCallback, useMemo, useSyncExternalStore } from "react";

import { labels } from "./labels.js";
import { count, subscribe } from "./page.js";

/** The value on a server. The browser must render the same value first when it hydrates the server's page. */
const nothingYet = () => undefined;

export function useViewers(url) {
  // A rendering may create a new `URL` each time, so compare addresses as texts.
  const address = url?.toString();
  const listen = useCallback((changed) => subscribe(address, changed), [address]);
  return useSyncExternalStore(listen, () => count(address), nothingYet);
}

export function ViewerCount({ href, label = "{count}", children, ...rest }) {
  const viewers = useViewers(href);
  const isKnown = viewers !== undefined;
  const textOf = useMemo(() => isKnown && labels(label, document.documentElement.lang), [isKnown, label]);
  return createElement("span", rest, isKnown ? textOf(viewers) : children);
}
