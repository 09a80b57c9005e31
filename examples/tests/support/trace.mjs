// What the main thread of a tab does, from the browser's own trace.

/** The browser's name for one turn of a thread. */
const TURN = "ThreadControllerImpl::RunTask";
/** What runs scripts, and what runs their promises' reactions, of which nothing tells whose they are. */
const SCRIPTS = new Set(["EvaluateScript", "FunctionCall", "v8.evaluateModule"]);
const REACTIONS = "BlinkScheduler_PerformMicrotaskCheckpoint";

/** Milliseconds of a thread's own time: what other programs took meanwhile is not the page's. */
const cost = ({ tdur, dur }) => (tdur ?? dur) / 1_000;
const sum = (costs) => costs.reduce((total, one) => total + one, 0);
const inside = (outer, inner) => inner.ts >= outer.ts && inner.ts + inner.dur <= outer.ts + outer.dur;

/**
 * Records what the tab's main thread does while `work` is done.
 * @param {import("./browser.mjs").Tab} tab
 * @param {() => Promise<void>} work
 */
export async function record(tab, work) {
  const session = await tab.page.createCDPSession();
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const { frame } = (await session.send("Page.getFrameTree")).frameTree;
  await session.send("Tracing.start", { categories: "toplevel,devtools.timeline", transferMode: "ReportEvents" });
  const began = performance.now();
  await work();
  const lastedMs = performance.now() - began;
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  await session.send("Tracing.end");
  await complete;
  await session.detach();

  const main = events.find(({ args }) => [args?.data?.frame, args?.beginData?.frame].includes(frame.id));
  if (!main) throw new Error("the tab did nothing at all");
  const all = events.filter(({ pid, tid, ph }) => pid === main.pid && tid === main.tid && ph === "X");
  const turns = all.filter(({ name }) => name === TURN).map((turn) => {
    const parts = all.filter((event) => event !== turn && inside(turn, event));
    return { ms: cost(turn), parts: parts.map((part) => ({ name: part.name, ms: cost(part) })) };
  });
  return {
    lastedMs,
    /** Milliseconds of everything the main thread did. */
    busyMs: sum(turns.map(({ ms }) => ms)),
    /** What it did in one go each time, with what that consisted of, longest first. */
    turns: turns.toSorted((one, other) => other.ms - one.ms),
    /** Milliseconds that scripts from `server` ran, on a page without any of its own. */
    scriptMs(server) {
      const isOurs = ({ name, args }) => SCRIPTS.has(name) && args.data?.url?.startsWith(server);
      const scripts = all.filter((event) => isOurs(event) || event.name === REACTIONS);
      // What one of them calls is part of it.
      const outer = scripts.filter((script) => !scripts.some((other) => other !== script && inside(other, script)));
      return sum(outer.map(cost));
    },
  };
}
