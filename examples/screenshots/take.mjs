// Takes the pictures for the documentation: two tabs that count each other, the gallery of themes, a page of the Rust
// documentation, and the dashboard. Real tabs are behind their numbers. Run it with: npm run screenshots

import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Tab, launch } from "../tests/support/browser.mjs";
import { settle } from "../tests/support/guest.mjs";
import { Server, startHost } from "../tests/support/programs.mjs";
import { animate } from "./animation.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** Pictures live in the repository for ever, so each has to stay small. */
const MAX_BYTES = 200_000;

/** The size of a tab in the picture of two. */
const TAB = { width: 460, height: 470 };
/** How long each step of that picture stays. */
const FRAME_MS = 1_600;

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
  await tab.page.bringToFront();
  await settle(tab);
  await keep(name, await tab.page.screenshot({ optimizeForSpeed: false }));
}

async function keep(name, picture) {
  const path = join(FOLDER, name);
  await writeFile(path, picture);
  const { size } = await stat(path);
  if (size > MAX_BYTES) throw new Error(`${name} has ${size} bytes, more than ${MAX_BYTES}`);
  console.log(`${path}: ${size} bytes`);
}

/** What is in one of the two tabs: an address and a picture. */
const tabIn = ({ name, picture }) =>
  `<figure><figcaption>${name}</figcaption>${picture ? `<img src="data:image/png;base64,${picture}">` : ""}</figure>`;

/** Two tabs side by side, as one picture. */
async function sideBySide(scheme, left, right) {
  const [paper, bar, ink] = scheme === "dark" ? ["#1a1c1b", "#33383a", "#e8ece9"] : ["#fdfdfc", "#dfe4e1", "#1a1c1b"];
  const page = await browser.newPage();
  await page.setViewport({ width: 2 * TAB.width + 60, height: TAB.height + 80 });
  await page.setContent(`<style>
    body { margin: 0; padding: 20px; display: flex; gap: 20px; background: ${bar}; font: 15px/40px system-ui, sans-serif; }
    figure { margin: 0; width: ${TAB.width}px; height: ${TAB.height + 40}px; border-radius: 10px; overflow: hidden; background: ${paper}; }
    figcaption { padding: 0 16px; height: 40px; background: color-mix(in srgb, ${paper}, ${bar}); color: ${ink}; }
    img { display: block; }
  </style>${tabIn(left)}${tabIn(right)}`);
  const picture = await page.screenshot({ optimizeForSpeed: false });
  await page.close();
  return Buffer.from(picture);
}

/** A tab shows the numbers; another one opens the pages one after another. */
async function takeTwoTabs(scheme) {
  const shot = async (tab) => {
    await tab.page.bringToFront();
    await settle(tab);
    return tab.page.screenshot({ encoding: "base64", optimizeForSpeed: false });
  };
  const start = await open(`${server.url}/`, scheme, TAB);
  const frames = [];
  let other;
  for (const letter of ["", "a", "b"]) {
    const url = `${server.url}/pages/${letter}`;
    if (other) await other.open(url);
    else if (letter) other = await open(url, scheme, TAB);
    for (const page of ["a", "b", "c", "d"]) await start.expectViewers(`.page[href="/pages/${page}"]`, page === letter ? 1 : 0);
    const right = letter ? { name: `example.org/${letter}`, picture: await shot(other) } : { name: "New tab" };
    frames.push(await sideBySide(scheme, { name: "example.org", picture: await shot(start) }, right));
  }
  await keep(`two-tabs-${scheme}.png`, animate(frames, FRAME_MS));
  for (const tab of [start, other]) await tab.page.close();
}

try {
  for (const scheme of ["light", "dark"]) await takeTwoTabs(scheme);

  for (const [letter, readers] of Object.entries(DEMO_READERS)) {
    for (let i = 0; i < readers; i++) await open(`${server.url}/pages/${letter}`);
  }

  const readers = Object.entries(DOCS_READERS).flatMap(([path, count]) => Array(count).fill(path));
  for (const path of readers) await open(`${host.url}/rust-docs/${path}`);
  const std = await open(`${host.url}/rust-docs/std/`);
  // On a page with so many links, those far away show nothing.
  for (const [path, count] of Object.entries(DOCS_READERS))
    await std.expectViewers(`a[href$="${path.replace("std/", "")}"][data-viewers]`, count);
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
