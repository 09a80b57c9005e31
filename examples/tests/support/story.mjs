// A story is a test with its own server, examples host and browser profile. It fails on anything in the console or the server's
// log that a reader would have to worry about.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { Tab, launch, launchUndriven } from "./browser.mjs";
import { Server, startHost } from "./programs.mjs";
import { startProxy } from "./proxy.mjs";

/** A story that hangs is stopped; each wait inside has a much shorter deadline of its own. */
const STORY_TIMEOUT_MS = 120_000;

/** One browser per test file and set of flags; every story gets a profile of its own in it. */
const browsers = new Map();
after(async () => {
  // One that could not be launched has failed its stories already.
  for (const browser of await Promise.allSettled(browsers.values())) await browser.value?.close();
});

function browserWith(flags, without) {
  const key = [...flags, "without", ...without].join(" ");
  if (!browsers.has(key)) browsers.set(key, launch(flags, without));
  return browsers.get(key);
}

/** What a story works with. */
class Stage {
  /** The counter server, or whichever other program the story asked for. */
  server;
  /** The examples host. */
  host;
  /** What stands between tabs and server, if the story asked for it. */
  proxy;
  /** Every tab opened, closed ones too. */
  tabs = [];
  #closers = [];
  #context;

  async open({ program = "connection-counter", serverArgs = [], hostArgs = [], env = {}, proxied = false }) {
    const data = await mkdtemp(join(tmpdir(), "connection-counter-"));
    this.onClose(() => rm(data, { recursive: true, force: true }));

    this.server = await Server.start(data, serverArgs, program, env);
    this.onClose(async () =>
      assert.equal(await this.server.stop(), 0, `the server's exit code; its log:\n${this.server.log}`),
    );

    if (proxied) {
      this.proxy = await startProxy(this.server.url);
      this.onClose(() => this.proxy.close());
    }
    this.host = await startHost(this.proxy?.url ?? this.server.url, hostArgs);
    this.onClose(() => this.host.stop());
  }

  /** Has something undone when the story ends, last come, first gone. */
  onClose(close) {
    this.#closers.unshift(close);
  }

  /** A browser profile for this story alone. */
  async startBrowser(flags = [], without = []) {
    this.#context = await (await browserWith(flags, without)).createBrowserContext();
    this.onClose(() => this.#context.close());
  }

  /** A browser of its own that shows one page and is neither driven nor watched. */
  async startUndrivenBrowser(url) {
    const profile = await mkdtemp(join(tmpdir(), "connection-counter-"));
    const browser = launchUndriven(url, profile);
    this.onClose(async () => {
      const ended = once(browser, "exit");
      browser.kill("SIGKILL");
      await ended;
      // Its helpers may still be writing.
      await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    });
  }

  /** An empty tab. All tabs of a story are in sight, unless it is a `background` tab. */
  async newTab({ background = false } = {}) {
    if (!this.#context) await this.startBrowser();
    const tab = new Tab(await this.#context.newPage());
    if (!background) await tab.stayInSight();
    this.tabs.push(tab);
    return tab;
  }

  /** Opens a page of the examples host by its path, or any page by its address. */
  async openTab(address) {
    const tab = await this.newTab();
    await tab.open(new URL(address, this.host.url).href);
    return tab;
  }

  /** The site that the pages of the examples host belong to. */
  get site() {
    return new URL(this.host.url).host;
  }

  expectNoProblems() {
    assert.deepEqual(
      this.tabs.flatMap((tab) => tab.problems),
      [],
      "no tab reports an error",
    );
    assert.doesNotMatch(this.server.log, /panicked/, "no room panics");
  }

  /** Undoes everything; returns what failed on the way. */
  async close() {
    const failures = [];
    for (const close of this.#closers) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    return failures;
  }
}

/**
 * A test with everything real.
 * @param {string} name the claim
 * @param {{program?: string, serverArgs?: string[], hostArgs?: string[], env?: object, proxied?: boolean}} options another
 *   server than the counter; flags for it and for the examples host, and variables; a proxy between tabs and server
 * @param {(stage: Stage) => Promise<void>} tell
 */
export function story(name, options, tell) {
  test(name, { timeout: STORY_TIMEOUT_MS }, async (t) => {
    const stage = new Stage();
    const failures = [];
    await stage
      .open(options)
      .then(() => tell(stage))
      .then(() => stage.expectNoProblems())
      .catch((error) => failures.push(error));
    failures.push(...(await stage.close()));
    if (failures.length === 0) return;

    t.diagnostic(`the server's log:\n${stage.server?.log}`);
    t.diagnostic(`problems in tabs:\n${stage.tabs.flatMap((tab) => tab.problems).join("\n")}`);
    throw failures[0];
  });
}
