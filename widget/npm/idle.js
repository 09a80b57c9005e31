/** Waits until the page has done its own work. */

/** Longest wait for an idle moment, for pages that are never idle. */
const LONGEST_WAIT_MS = 2000;
/** Longest wait for the page to load, so that a picture that never arrives does not keep numbers away. */
const LONGEST_LOAD_MS = 5000;
/** The wait in browsers that do not say when a page is idle (Safari before 27). The page gets its own work done in that time. */
const SHORT_WAIT_MS = 200;

/** Resolves in the first idle moment after the page has loaded, or after the longest wait for that. */
export const pageIsIdle = () =>
  new Promise((resolve) => {
    const wait = () =>
      globalThis.requestIdleCallback
        ? requestIdleCallback(resolve, { timeout: LONGEST_WAIT_MS })
        : setTimeout(resolve, SHORT_WAIT_MS);
    if (document.readyState === "complete") wait();
    else {
      addEventListener("load", wait, { __proto__: null, once: true });
      setTimeout(wait, LONGEST_LOAD_MS);
    }
  });
