/** Waits until the page has done its own work. */

/** A page that is never idle must not wait for ever. */
const LONGEST_WAIT_MS = 2000;
/** A picture that never comes must not keep numbers away: after this long, what is still loading is not worth waiting for. */
const LONGEST_LOAD_MS = 5000;
/** Where nobody tells us when the page is idle (Safari before 27): a moment in which it gets its own work done. */
const SHORT_WAIT_MS = 200;

/** Resolves in the first idle moment after the page has loaded, or should have. */
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
