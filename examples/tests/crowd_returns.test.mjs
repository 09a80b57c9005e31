// A server restarts with many widgets connected. They come back spread out over time, and none is lost or counted twice.

import assert from "node:assert/strict";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** Frames stand for tabs. Each runs its own widget, with its own timers and random numbers. */
const FRAMES_PER_TAB = 50;
/**
 * Each is a process of its own. One alone has addresses for 124 WebAssembly memories, in Chromium 156, and for each further
 * one collects its garbage several times, in vain: 200 widgets would have it do little else.
 */
const TABS = 4;
const WIDGETS = TABS * FRAMES_PER_TAB;
/** The pages of the widgets. Each has the same number of widgets. */
const PAGES = 10;
/** This many widgets take a while to load. */
const ALL_LOADED_WITHIN_MS = 60_000;

/** The first attempt is at a random moment within this time. */
const FIRST_DELAY_MS = 500;
/**
 * How far the share of widgets that have tried may ever be from the share of the time that has passed. A right widget is off
 * by more than 0.2 less than once in four million runs (2·exp(-2·200·0.2²), by Dvoretzky, Kiefer, Wolfowitz and Massart).
 */
const MOST_OFF = 0.2;

/**
 * Tells the tab how long each frame waited before it connected again, and how often it succeeded. A busy machine calls timers
 * late, 200 of them by hundreds of milliseconds. That says nothing of the widget, so what the timer was late is taken off.
 */
const recorder = `<script>
  let late = 0;
  const { setTimeout: wait } = window;
  window.setTimeout = (call, delay, ...values) => {
    const due = performance.now() + delay;
    return wait(() => {
      late = performance.now() - due;
      try {
        call(...values);
      } finally {
        late = 0;
      }
    }, delay);
  };
  window.WebSocket = class extends window.WebSocket {
    constructor(...values) {
      super(...values);
      if (window.lostAt) top.firstDelays[name] ??= performance.now() - late - window.lostAt;
      this.addEventListener("open", () => top.opened.push(name));
      this.addEventListener("close", () => (window.lostAt = performance.now()));
    }
  };
</script>`;
const startRecording = () => {
  window.firstDelays = {};
  window.opened = [];
};

/** How far `delays` are from an even distribution over `FIRST_DELAY_MS`: 0 is even, and all at once is nearly 1. */
function howFarOff(delays) {
  const passed = delays.map((delay) => delay / FIRST_DELAY_MS).sort((a, b) => a - b);
  return Math.max(...passed.map((share, idx) => Math.max(share - idx / WIDGETS, (idx + 1) / WIDGETS - share)));
}

story("crowd comes back spread out, everyone once", {}, async (stage) => {
  const tag = `<script async src="${stage.server.url}/live.js"></script>`;
  const frames = Array.from({ length: FRAMES_PER_TAB }, (_, idx) => `<iframe name="${idx}" src="/page/${idx % PAGES}"></iframe>`);
  const site = await servePages(stage, (path) =>
    path === "/crowd"
      ? html(`<script>(${startRecording})()</script>`, frames.join(""))
      : html(recorder + tag, '<a href="/page/1">1</a>'),
  );
  const { host } = new URL(site);
  const counts = Object.fromEntries(Array.from({ length: PAGES }, (_, page) => [`${host}/page/${page}`, WIDGETS / PAGES]));
  const everyoneIsCountedOnce = async () => {
    assert.deepEqual(await stage.server.viewers(host), counts);
    return true;
  };

  const tabs = [];
  for (let idx = 0; idx < TABS; idx++) {
    const tab = await stage.newTab();
    // The browser itself reports each failed connection. No page can prevent that.
    tab.allow(/WebSocket connection to .* failed/);
    await tab.open(`${site}/crowd`);
    tabs.push(tab);
  }
  const inAll = async (work) => (await Promise.all(tabs.map(({ page }) => page.evaluate(work)))).flat();
  await until("everyone is counted", everyoneIsCountedOnce, ALL_LOADED_WITHIN_MS);
  await inAll(startRecording);

  await stage.server.stop();
  const delays = await until("all have tried once", async () => {
    const made = await inAll(() => Object.values(window.firstDelays));
    return made.length === WIDGETS && made;
  });
  await stage.server.startAgain();
  await until("everyone is counted again", everyoneIsCountedOnce);

  const off = howFarOff(delays);
  console.log(`# the first delays of ${WIDGETS} widgets are off an even spread by ${off.toFixed(2)}; ${MOST_OFF} is too much`);
  assert.ok(off <= MOST_OFF, `spread unevenly: ${delays.map(Math.round).sort((a, b) => a - b)}`);
  assert.equal((await inAll(() => window.opened)).length, WIDGETS, "everyone came back once");
});
