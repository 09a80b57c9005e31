"use client";
/** For React: viewer counts of whichever widget runs on the page. Documented in react.d.ts. */

import { createElement, useCallback, useMemo, useSyncExternalStore } from "react";

import { labels } from "./labels.js";
import { count, subscribe } from "./page.js";

/** What a server knows, and so what the browser must show first when it takes over the server's page. */
const nothingYet = () => undefined;

export function useViewers(url) {
  // A `URL` that is made anew by every rendering is the same address still.
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
