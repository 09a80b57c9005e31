// Takes the pictures of the widget on six real sites: without numbers, with each of three designs, with words under the pointer, and
// with the chosen design as some readers see it. The sites have to be built: npx --yes rust-just test-sites. Run it with: npm run screenshots-of-sites

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Tab, launch } from "../tests/support/browser.mjs";
import { startFakeServer, update } from "../tests/support/fake_server.mjs";
import { findWords, openCounted } from "../tests/support/guest.mjs";
import { serveSite } from "../tests/support/pages.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const BUILT = fileURLToPath(new URL("../../target/sites/built/", import.meta.url));

/** Pictures live in the repository for ever, so each has to stay small. */
const MAX_BYTES = 200_000;
/** What is shown of each site, in pixels. */
const [WIDTH, HEIGHT] = [400, 260];
/** How wide the sites are when they are looked at, and where their part begins. */
const SITES = {
  python: { path: "/index.html", width: 1000, x: 250, y: 120 },
  furo: { path: "/index.html", width: 1300, x: 0, y: 60 },
  material: { path: "/embed.html", width: 1300, x: 0, y: 0 },
  vitepress: { path: "/home", width: 1000, x: 0, y: 0 },
  docusaurus: { path: "/embed", width: 1300, x: 0, y: 0 },
  bootstrap: { path: "/index.html", width: 1300, x: 0, y: 60 },
};
/** The pictures: designs by rules that a page could have for itself, and what a reader's device is like. */
const PICTURES = {
  before: { style: "a[data-viewers]::after { content: none }" },
  digits: { style: "a[data-viewers][data-viewers-place]::after { background: none; text-indent: 0 }" },
  dot: {},
  words: { isPointed: true },
  pill: {
    style: `a[data-viewers][data-viewers-place]::after
      { background: #1a7f45; color: #fff; border-radius: 1em; padding-inline: 0.5em; text-indent: 0; line-height: 1.4 }`,
  },
  phone: { width: WIDTH },
  dark: { media: [{ name: "prefers-color-scheme", value: "dark" }] },
  forced: { media: [{ name: "forced-colors", value: "active" }, { name: "prefers-color-scheme", value: "dark" }] },
};

const closers = [];
const browser = await launch();
const stage = {
  onClose: (close) => closers.unshift(close),
  newTab: async () => new Tab(await browser.newPage()),
};
// A third of all pages has nobody; which, their names decide.
const viewersOf = (id) => (id.length % 3 === 0 ? 0 : (id.length * 7) % 24);
const server = await startFakeServer(stage, {
  connected(socket, asked) {
    const counts = () => update(Object.fromEntries([...asked].map((id) => [id, viewersOf(id)])));
    socket.on("message", () => asked.size > 0 && socket.send(counts()));
  },
});

async function takePart(name, { style = "", media, isPointed, ...device }) {
  // What is on a phone is all in view.
  const { path, width, x, y } = { ...SITES[name], ...(device.width && { x: 0, y: 0 }), ...device };
  const head = `<style>${style}</style><script async src="${server.url}/live.js"></script>`;
  const site = await serveSite(stage, `${BUILT}${name}`, head);
  const tab = await openCounted(stage, `${site}${path}`, { width, media });
  const clip = { x, y, width: WIDTH, height: HEIGHT };
  if (isPointed) await findWords(tab, clip);
  const picture = await tab.page.screenshot({ encoding: "base64", clip });
  await tab.close();
  return picture;
}

try {
  for (const [picture, how] of Object.entries(PICTURES)) {
    const parts = [];
    for (const name of Object.keys(SITES)) parts.push(await takePart(name, how));
    const { page } = await stage.newTab();
    await page.setViewport({ width: 3 * (WIDTH + 10) + 10, height: 2 * (HEIGHT + 10) + 10 });
    const images = parts.map((part) => `<img alt="" width="${WIDTH}" src="data:image/png;base64,${part}">`).join("");
    await page.setContent(`<body style="margin: 10px; display: flex; flex-wrap: wrap; gap: 10px; background: #888">${images}`);
    const path = join(FOLDER, `sites-${picture}.png`);
    await page.screenshot({ path, optimizeForSpeed: false });
    const { size } = await stat(path);
    if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes, more than ${MAX_BYTES}`);
    console.log(`${path}: ${size} bytes`);
  }
} finally {
  await browser.close();
  for (const close of closers) await close();
}
