/** The widget's warnings in the console of the host page, at most one of each kind. */

const kinds = new Set();

/** Writes a warning if it is the first of its kind. Later ones would only repeat it. */
export function warn(kind, ...words) {
  if (kinds.has(kind)) return;
  kinds.add(kind);
  try {
    console.warn("connection-counter:", ...words);
  } catch {
    // Some pages have no console, or one that throws.
  }
}

/** Warns of an unexpected exception. */
export const fail = (error) => warn("error", error);

/** Wraps a function so that its exceptions never reach the page. An exception becomes a warning. */
export const safely =
  (work) =>
  (...values) => {
    try {
      return work(...values);
    } catch (error) {
      fail(error);
    }
  };

/** Runs work outside of Angular's zone, so that it does not make Angular check the page for changes. */
export const outside = (work) => {
  const root = globalThis.Zone?.root;
  return typeof root?.run === "function" ? root.run(work) : work();
};
