// Firefox, driven over WebDriver BiDi.

import puppeteer from "puppeteer-core";

import { Tab } from "../../tests/support/browser.mjs";
import { canRun, installed } from "../../tests/support/installed.mjs";

export const name = "Firefox";

/** One browser for all stories; each gets a profile of its own in it. */
let browser;

/** The browser to use: FIREFOX, or the first one on the PATH. */
function browserPath() {
  const named = process.env.FIREFOX;
  const found = named ? canRun(named) && named : installed(["firefox-esr", "firefox"]);
  if (found) return found;
  throw new Error(
    "These tests need Firefox and found none. On Debian: apt-get install firefox-esr. Elsewhere install Firefox, and " +
      "name it in FIREFOX=/path/to/firefox if it is not on the PATH.",
  );
}

/** A tab as in Chromium, with what all engines' tabs have. */
class FirefoxTab extends Tab {
  evaluate(work, ...args) {
    return this.page.evaluate(work, ...args);
  }

  /** They arrive by themselves. */
  gatherProblems() {}
}

/** Opens a profile for one story; answers with the function that makes tabs in it. */
export async function open(stage) {
  browser ??= puppeteer.launch({ browser: "firefox", executablePath: browserPath() });
  const profile = await (await browser).createBrowserContext();
  stage.onClose(() => profile.close());
  // A window each: of several tabs in one window only one is in sight.
  return async () => new FirefoxTab(await profile.newPage({ type: "window" }));
}

/** Ends the browser, if it could be started. */
export async function close() {
  await (await browser?.catch(() => undefined))?.close();
}
