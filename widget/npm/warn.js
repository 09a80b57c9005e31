/** Our one voice on the host's console. */

let hasWarned = false;

/** Writes our one warning. What follows it is a consequence, or noise. */
export function warn(...words) {
  if (hasWarned) return;
  hasWarned = true;
  try {
    console.warn("connection-counter:", ...words);
  } catch {
    // Some pages have no console, or one that throws.
  }
}

/** The function, with its exceptions kept from the page: each becomes our one warning. */
export const safely =
  (work) =>
  (...values) => {
    try {
      return work(...values);
    } catch (error) {
      warn(error);
    }
  };
