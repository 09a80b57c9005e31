/** Our one voice on the host's console. */

const kinds = new Set();

/** Writes a warning, the first of its kind. What follows it is a consequence, or noise. */
export function warn(kind, ...words) {
  if (kinds.has(kind)) return;
  kinds.add(kind);
  try {
    console.warn("connection-counter:", ...words);
  } catch {
    // Some pages have no console, or one that throws.
  }
}

/** Warns of an exception that nobody expected. */
export const fail = (error) => warn("error", error);

/** The function, with its exceptions kept from the page: each becomes our one warning, and the answer what it is `otherwise`. */
export const safely =
  (work, otherwise) =>
  (...values) => {
    try {
      return work(...values);
    } catch (error) {
      fail(error);
      return otherwise;
    }
  };

/** Works outside of the zone in which Angular watches for what its page does: ours is no reason to look at the page again. */
export const outside = (work) => {
  const root = globalThis.Zone?.root;
  return typeof root?.run === "function" ? root.run(work) : work();
};
