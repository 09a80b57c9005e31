// Takes the pictures for the documentation: the demo's start page, the gallery of themes in both colour schemes, a page of the
// Rust documentation, and the dashboard. Real tabs are behind their numbers. Run it with: npm run screenshots

import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Tab, launch } from "../tests/support/browser.mjs";
import { Server, startHost } from "../tests/support/programs.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** Pictures live in the repository for ever, so each has to stay small. */
const MAX_BYTES = 200_000;

/** Readers of each page in the pictures. */
const DEMO_READERS = { a: 3, b: 1, c: 5 };
const DOCS_READERS = {
  "std/vec/struct.Vec.html": 3,
  "std/option/enum.Option.html": 4,
  "std/io/index.html": 2,
  "std/thread/index.html": 1,
  "std/env/index.html": 1,
  "std/prelude/index.html": 2,
  "core/index.html": 1,
};

const data = await mkdtemp(join(tmpdir(), "connection-counter-"));
const server = await Server.start(data, ["--admin", "127.0.0.1:0", "--max-connections", "1000"]);
const host = await startHost(server.url);
const browser = await launch();

async function open(url, scheme = "light", viewport = { width: 1200, height: 800 }) {
  const tab = new Tab(await browser.newPage());
  await tab.page.setViewport(viewport);
  await tab.page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  await tab.stayInSight();
  await tab.open(url);
  return tab;
}

async function take(tab, name) {
  const path = join(FOLDER, name);
  await tab.page.bringToFront();
  await tab.page.screenshot({ path, optimizeForSpeed: false });
  const { size } = await stat(path);
  if (size > MAX_BYTES) throw new Error(`${name} has ${size} bytes, more than ${MAX_BYTES}`);
  console.log(`${path}: ${size} bytes`);
}

try {
  for (const [letter, readers] of Object.entries(DEMO_READERS)) {
    for (let i = 0; i < readers; i++) await open(`${server.url}/pages/${letter}`);
  }
  for (const scheme of ["light", "dark"]) {
    const start = await open(`${server.url}/`, scheme, { width: 1120, height: 900 });
    for (const [letter, readers] of Object.entries(DEMO_READERS))
      await start.expectViewers(`.page[href="/pages/${letter}"]`, readers);
    await take(start, `demo-${scheme}.png`);
  }

  const readers = Object.entries(DOCS_READERS).flatMap(([path, count]) => Array(count).fill(path));
  for (const path of readers) await open(`${host.url}/rust-docs/${path}`);
  const std = await open(`${host.url}/rust-docs/std/`);
  for (const [path, count] of Object.entries(DOCS_READERS))
    await std.expectViewers(`a[href$="${path.replace("std/", "")}"]`, count);
  await std.expectViewers('a[href="../std/index.html"]', 1);
  await take(std, "rust-docs.png");

  for (const path of ["", "", "apples.html"]) await open(`${host.url}/plain/${path}`);
  for (const scheme of ["light", "dark"]) {
    const themes = await open(`${host.url}/themes/`, scheme, { width: 560, height: 720 });
    await themes.expectViewers('a[href="/plain/"]', 2);
    await take(themes, `themes-${scheme}.png`);
  }

  const address = server.log.match(/dashboard is at (http:\S+?),/)[1];
  const dashboard = await open(address, "light", { width: 1120, height: 900 });
  await dashboard.page.waitForFunction(() => document.getElementById("state").textContent === "Live");
  await take(dashboard, "dashboard.png");
} finally {
  await browser.close();
  await host.stop();
  await server.stop();
  await rm(data, { recursive: true, force: true });
}
