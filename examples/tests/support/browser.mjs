// A real Chromium and its tabs. A tab records every console error, page error and CSP violation. Any of these fails the test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";

import puppeteer from "puppeteer-core";

import { canRun, installed } from "./installed.mjs";
import { DEADLINE_MS } from "./until.mjs";

/** The status for a page that the browser has in its cache. */
const NOT_MODIFIED = 304;

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

const FLAGS = [
  // The widget does not count a browser that a program controls. The tests' browsers stand for readers, so they hide that they
  // have no window, and that a program controls them.
  "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  "--disable-blink-features=AutomationControlled",
  // Containers run as root, where Chromium's own sandbox cannot start.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The browser to use: CHROME, or the first Chromium on the PATH. */
function browserPath() {
  const named = process.env.CHROME;
  const found = named ? canRun(named) && named : installed(NAMES);
  if (found) return found;
  throw new Error(
    "The browser tests need Chromium and found none. On Debian: apt-get install chromium. Elsewhere install Chrome or " +
      "Chromium, and name it in CHROME=/path/to/chrome if it is not on the PATH.",
  );
}

/** Starts a browser with an empty profile. `without` are flags that puppeteer would add. */
export function launch(flags = [], without = []) {
  return puppeteer.launch({ executablePath: browserPath(), args: [...FLAGS, ...flags], ignoreDefaultArgs: without });
}

/** Starts a browser that shows a page, and that no program controls. Its profile is in a folder, which should be empty. */
export function launchUndriven(url, profile) {
  const args = [...FLAGS, "--headless", `--user-data-dir=${profile}`, url];
  return spawn(browserPath(), args, { stdio: "ignore" });
}

/** One tab. */
export class Tab {
  /** What went wrong in this tab, in words. */
  problems = [];
  /** The problems that `allow` expected. */
  expected = [];
  #allowed = [];

  /** Wraps a fresh puppeteer page. */
  constructor(page) {
    /** The puppeteer page, for whatever a story needs beyond the methods here. */
    this.page = page;
    page.on("console", (message) => {
      const text = `${message.text()} (${message.location()?.url ?? ""})`;
      const isOurs = message.type() === "warn" && text.startsWith("connection-counter:");
      if (message.type() === "error" || isOurs) this.#problem(`console: ${text}`);
    });
    page.on("pageerror", (error) => this.#problem(`uncaught: ${error.message}`));
    page.on("error", (error) => this.#problem(`crashed: ${error.message}`));
  }

  #problem(text) {
    const isExpected = this.#allowed.some((pattern) => pattern.test(text));
    (isExpected ? this.expected : this.problems).push(`${this.page.url()}: ${text}`);
  }

  /** From now on a problem that matches is expected and no reason to fail. */
  allow(pattern) {
    this.#allowed.push(pattern);
  }

  /** Makes the page believe that its tab is in front, as in windows side by side. */
  async stayInSight() {
    const session = await this.page.createCDPSession();
    await session.send("Emulation.setFocusEmulationEnabled", { enabled: true });
  }

  /** Opens an address and waits until the browser has loaded the page. */
  async open(url) {
    const answer = await this.page.goto(url, { waitUntil: "load", timeout: DEADLINE_MS });
    const isOpen = answer.ok() || answer.status() === NOT_MODIFIED;
    assert.ok(isOpen, `${url}: ${answer.status()} ${isOpen ? "" : await answer.text()}`);
  }

  /** The counts that the links matching `selector` show now: null where there is none. */
  shown(selector) {
    return this.page.$$eval(selector, (links) => links.map((link) => link.getAttribute("data-viewers")));
  }

  /** Waits until all links that match show `viewers`; 0 means that they show nothing. There must be at least one. */
  async expectViewers(selector, viewers) {
    const expected = viewers === 0 ? null : String(viewers);
    try {
      await this.page.waitForFunction(
        (selector, expected) => {
          const links = [...document.querySelectorAll(selector)];
          return links.length > 0 && links.every((link) => link.getAttribute("data-viewers") === expected);
        },
        { timeout: DEADLINE_MS, polling: 25 },
        selector,
        expected,
      );
    } catch (error) {
      const shown = await this.shown(selector).catch(() => error.message);
      assert.fail(
        `${this.page.url()}: ${selector} should show ${expected} within ${DEADLINE_MS} ms, shows ${JSON.stringify(shown)}`,
      );
    }
  }

  /** The pages that this tab subscribes to from now on. The set changes with each message that the tab sends. */
  async watchSubscriptions() {
    const asked = new Set();
    const session = await this.page.createCDPSession();
    session.on("Network.webSocketCreated", () => asked.clear());
    session.on("Network.webSocketFrameSent", ({ response }) => {
      if (!response.payloadData.startsWith("{")) return;
      const { type, links } = JSON.parse(response.payloadData);
      for (const link of links) type === "subscribe" ? asked.add(link) : asked.delete(link);
    });
    await session.send("Network.enable");
    return asked;
  }

  /** Starts to remember every count that the link shows, whenever it changes; `null` for none. */
  async record(selector) {
    await this.page.$eval(selector, (link) => {
      window.recordedViewers = [link.getAttribute("data-viewers")];
      new MutationObserver((changes) => {
        for (const _ of changes) window.recordedViewers.push(link.getAttribute("data-viewers"));
      }).observe(link, { attributeFilter: ["data-viewers"] });
    });
  }

  /** What `record` has seen since. */
  recorded() {
    return this.page.evaluate(() => window.recordedViewers);
  }

  close() {
    return this.page.close();
  }
}
