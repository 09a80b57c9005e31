// Waits for a condition, with a deadline. No test just sleeps and hopes.

/** Long enough for a busy two-core machine, short enough to fail while one still watches. */
export const DEADLINE_MS = 15_000;

/** How often a condition is looked at. */
const POLL_MS = 25;

/**
 * Waits until `check` answers something truthy and returns it.
 * @param {string} what what is awaited, for the message
 * @param {() => any} check may be async; what it throws counts as "not yet" and ends up in the message
 */
export async function until(what, check, deadlineMs = DEADLINE_MS) {
  const end = performance.now() + deadlineMs;
  for (;;) {
    let last;
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      throw new Error(
        `not within ${deadlineMs} ms: ${what} (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
