// WebKit, as its GTK port: its own small browser, driven over WebDriver on a display that nobody sees.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";

import { Builder, Capabilities } from "selenium-webdriver";

import { installed } from "../../tests/support/installed.mjs";
import { freePort } from "../../tests/support/ports.mjs";
import { DEADLINE_MS, until } from "../../tests/support/until.mjs";

export const name = "WebKit";

/** Whatever still runs when this process ends, however it ends. */
const running = [];
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** The one driver for all stories. It has one session at a time, and each session is a browser with an empty profile. */
let driver;

function start(program, args, options) {
  const path = installed([program]);
  assert.ok(path, `These tests need ${program} and found none. On Debian: apt-get install webkit2gtk-driver xvfb.`);
  const child = spawn(path, args, options);
  running.push(child);
  return child;
}

/** Starts a display and the driver on it; answers with the driver's address. */
async function startDriver() {
  const screen = ["-displayfd", "3", "-nolisten", "tcp", "-screen", "0", "1280x1024x24"];
  const display = start("Xvfb", screen, { stdio: ["ignore", "ignore", "ignore", "pipe"] });
  let shown = "";
  display.stdio[3].on("data", (data) => (shown += data));
  const number = await until("Xvfb names its display", () => shown.match(/^(\d+)\n/)?.[1]);

  const port = await freePort();
  // WebKit's sandbox cannot start in containers; the pages here are all our own.
  const env = { ...process.env, DISPLAY: `:${number}`, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1" };
  start("WebKitWebDriver", ["--host=127.0.0.1", `--port=${port}`], { env, stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  await until("WebKitWebDriver answers", async () => (await fetch(`${url}/status`)).ok);
  return url;
}

/** Has the page remember what goes wrong from now on. */
function watch() {
  const problems = (window.problems = []);
  addEventListener("error", ({ message }) => problems.push(`uncaught: ${message}`));
  addEventListener("unhandledrejection", ({ reason }) => problems.push(`rejected: ${reason}`));
  for (const level of ["warn", "error"]) {
    const write = console[level];
    console[level] = (...words) => {
      problems.push(`console: ${words.join(" ")}`);
      write.apply(console, words);
    };
  }
}

/** One window. Its driver does not tell of the console, so what goes wrong before a page is loaded stays unknown. */
class WebKitTab {
  /** What went wrong in this tab, in words. */
  problems = [];
  #allowed = [];
  #isClosed = false;
  #session;
  #handle;

  constructor(session, handle) {
    this.#session = session;
    this.#handle = handle;
  }

  /** Runs a function in the page; it and its arguments travel as text. */
  async evaluate(work, ...args) {
    await this.#session.switchTo().window(this.#handle);
    return this.#session.executeScript(work, ...args);
  }

  /** From now on a problem that matches is expected and no reason to fail. */
  allow(pattern) {
    this.#allowed.push(pattern);
  }

  /** Opens an address and waits until the browser has loaded the page. */
  async open(url) {
    await this.gatherProblems();
    await this.#session.switchTo().window(this.#handle);
    await this.#session.get(url);
    await this.evaluate(watch);
  }

  /** Waits until all links that match show `viewers`; 0 means that they show nothing. There must be at least one. */
  async expectViewers(selector, viewers) {
    const expected = viewers === 0 ? null : String(viewers);
    await until(`WebKit: ${selector} shows ${expected}`, async () => {
      const shown = await this.evaluate(
        (selector) => [...document.querySelectorAll(selector)].map((link) => link.getAttribute("data-viewers")),
        selector,
      );
      if (shown.length > 0 && shown.every((count) => count === expected)) return true;
      throw new Error(`shows ${JSON.stringify(shown)}`);
    });
  }

  /** Adds to `problems` what the page has remembered. */
  async gatherProblems() {
    if (this.#isClosed) return;
    const found = await this.evaluate(() => window.problems?.splice(0) ?? []);
    this.problems.push(...found.filter((text) => !this.#allowed.some((pattern) => pattern.test(text))));
  }

  async close() {
    await this.gatherProblems();
    await this.#session.close();
    this.#isClosed = true;
  }
}

/** Opens a browser for one story; answers with the function that makes tabs in it. */
export async function open(stage) {
  driver ??= startDriver();
  const session = await new Builder()
    .disableEnvironmentOverrides()
    .usingServer(await driver)
    .withCapabilities(new Capabilities({ browserName: "MiniBrowser" }))
    .build();
  stage.onClose(() => session.quit());
  await session.manage().setTimeouts({ pageLoad: DEADLINE_MS, script: DEADLINE_MS });
  return async () => {
    // A window each: of several tabs in one window only one is in sight.
    await session.switchTo().newWindow("window");
    return new WebKitTab(session, await session.getWindowHandle());
  };
}

/** Ends the driver, then its display. */
export async function close() {
  for (const child of running.splice(0).reverse()) {
    const ended = once(child, "exit");
    child.kill();
    await ended;
  }
}
