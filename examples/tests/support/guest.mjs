// Measures what the widget does to the look of a page: the page with numbers shown, against itself after `stop()`.

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { compile } from "tailwindcss";

import { startFakeServer, update } from "./fake_server.mjs";
import { html, servePages } from "./pages.mjs";
import { until } from "./until.mjs";

const GUESTS = new URL("../../guest/", import.meta.url);
const require = createRequire(import.meta.url);

/** The page is asked which element is at each point of a grid. This is the distance of its points, in pixels. */
const GRID_PX = 5;
/** A box that moves less has not moved: layout counts in 64ths of a pixel. */
const SLACK_PX = 0.02;
/** How much red, green and blue together must differ for a pixel to count as changed, of 765. */
const SLACK_COLOUR = 40;
/** For how long nothing changes when all numbers are there. */
const QUIET_MS = 500;
/** How many viewers each page has, unless a story says otherwise. */
const VIEWERS = 3;

/** The style sheets that guests may ask for, as their makers ship them. */
const SHEETS = {
  "bootstrap.css": () => readFileSync(require.resolve("bootstrap/dist/css/bootstrap.min.css"), "utf8"),
  "tailwind.css": async (page) => {
    const loadStylesheet = async (id, base) => {
      const path = require.resolve(id === "tailwindcss" ? "tailwindcss/index.css" : id);
      return { path, base, content: await readFile(path, "utf8") };
    };
    const { build } = await compile('@import "tailwindcss";', { loadStylesheet });
    return build(page.match(/[^\s"<>]+/g));
  },
};

/** The text of a guest's page, with the sheets it asks for and a tag for the widget. */
async function readGuest(name, server) {
  let page = await readFile(new URL(`${name}.html`, GUESTS), "utf8");
  for (const [sheet, read] of Object.entries(SHEETS)) {
    const link = `<link rel="stylesheet" href="${sheet}">`;
    if (page.includes(link)) page = page.replace(link, `<style>${await read(page)}</style>`);
  }
  return page.replace("</head>", () => `<script async src="${server}/live.js"></script></head>`);
}

/** A server that tells the same number of viewers of every page that it is asked for. */
export const startCounting = (stage, viewers = VIEWERS) =>
  startFakeServer(stage, {
    connected(socket, asked) {
      const counts = () => update(Object.fromEntries([...asked].map((id) => [id, viewers])));
      socket.on("message", () => asked.size > 0 && socket.send(counts()));
    },
  });

/**
 * Opens a page that has the widget and waits until the numbers are there.
 * @param {import("./story.mjs").Stage} stage
 * @param {string} address
 * @param {{width?: number, media?: object[], screens?: number, quietMs?: number}} options `screens` to scroll down. On a large page,
 *   the widget may take a longer rest than usual between two places
 */
export async function openCounted(stage, address, { width = 800, media = [], screens = 0, quietMs } = {}) {
  const tab = await stage.newTab();
  await tab.page.setViewport({ width, height: 700 });
  const session = await tab.page.createCDPSession();
  await session.send("Emulation.setEmulatedMedia", { features: media });
  await tab.open(address);
  await tab.page.evaluate((screens) => window.scrollTo({ top: screens * innerHeight, behavior: "instant" }), screens);
  await until(`${address} has its numbers`, () =>
    tab.page.evaluate(() => {
      const expected = [...document.querySelectorAll("[data-shown]")];
      return document.querySelector("[data-viewers]") && expected.every((link) => link.matches("[data-viewers]"));
    }),
  );
  await settle(tab, quietMs);
  return tab;
}

/** Opens a page of `examples/guest` and waits until the numbers are there. */
export async function openGuest(stage, name, options) {
  const server = await startCounting(stage);
  const site = await servePages(stage, () => readGuest(name, server.url));
  return openCounted(stage, `${site}/`, options);
}

/** Opens a page with this body and waits until its numbers are there. `options` are attributes of the tag. */
export async function openBody(stage, body, options = "") {
  const server = await startCounting(stage);
  const site = await servePages(stage, () => html(`<script async src="${server.url}/live.js" ${options}></script>`, body));
  return openCounted(stage, `${site}/`);
}

/** Points at the first link with room for words, and returns them. `area` is a part of the viewport to stay in. */
export async function findWords(tab, { x, y, width, height } = { x: 0, y: 0, width: Infinity, height: Infinity }) {
  for (const link of await tab.page.$$("a[data-viewers-place~=words]")) {
    const box = await link.boundingBox();
    const isWithin = box && box.x >= x && box.y >= y && box.x + box.width <= x + width && box.y + box.height <= y + height;
    if (isWithin) return saidAt(link);
  }
  return undefined;
}

/** What the number of a link says on the screen. */
export const saidOn = (link) =>
  link.evaluate((link) => getComputedStyle(link, "::after").content.split('" / ')[0].replace(/^"|"$/g, ""));

/** The same when the pointer is over it. */
export async function saidAt(link) {
  await link.hover();
  return saidOn(link);
}

/** The places of all numbers of a page, in its order, whether or not they have room for words. */
export const placesOf = (tab) =>
  tab.page.$$eval("a", (links) => links.map((link) => (link.dataset.viewersPlace ?? "").replace(" words", "")));

/** Waits until nothing of ours has changed for a while: places are looked for some frames after a number is written. */
export const settle = (tab, quietMs = QUIET_MS) =>
  tab.page.evaluate(async (quietMs) => {
    let before;
    let since;
    do {
      await new Promise(requestAnimationFrame);
      const now = [...document.querySelectorAll("[data-viewers]")].map((link) => link.dataset.viewersPlace).join();
      if (now !== before) since = performance.now();
      before = now;
    } while (performance.now() - since < quietMs);
  }, quietMs);

/** Takes stock of where everything is; runs in the page. */
function takeStock(gridPx) {
  const stock = { boxes: [], lines: [], scrolls: [], hits: [] };
  const elements = [...document.querySelectorAll("*")];
  const nameOf = (element) => {
    const name = element.id ? `#${element.id}` : element.className ? `.${element.className}` : "";
    return `${element.localName}${name}`;
  };
  const numbers = ({ x, y, width, height }) => [x, y, width, height];
  const names = new Map(elements.map((element, idx) => [element, `${idx} ${nameOf(element)}`]));
  for (const [element, name] of names) {
    stock.boxes.push([name, numbers(element.getBoundingClientRect())]);
    stock.scrolls.push([name, [element.scrollWidth, element.scrollHeight]]);
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (texts.nextNode()) {
    range.selectNodeContents(texts.currentNode);
    const rects = [...range.getClientRects()].flatMap(numbers);
    stock.lines.push([texts.currentNode.data.trim().slice(0, 30), rects]);
  }
  for (let y = 1; y < innerHeight; y += gridPx) {
    for (let x = 1; x < innerWidth; x += gridPx) {
      stock.hits.push([`at ${x},${y}`, [names.get(document.elementFromPoint(x, y)) ?? ""]]);
    }
  }
  return stock;
}

/** In words, what differs between two lists of what `takeStock` made. */
const differences = (shown, plain) =>
  shown.flatMap(([name, values], idx) => {
    const others = plain[idx]?.[1] ?? [];
    const isSame = (value, at) =>
      typeof value === "number" ? Math.abs(value - others[at]) <= SLACK_PX : value === others[at];
    const same = values.length === others.length && values.every(isSame);
    return same ? [] : [`${name}: ${values} instead of ${others}`];
  });

/** Rules that hide all text, or all pseudo-elements. The pixels that change when a rule applies belong to what it hides. */
const HIDING = {
  text: `*, ::before, ::after { color: transparent !important; -webkit-text-fill-color: transparent !important;
    text-shadow: none !important; text-decoration-color: transparent !important; }`,
  pseudo: "::before, ::after { visibility: hidden !important; }",
};

/** A picture of the page, with something hidden. */
async function picture(tab, hiding) {
  const style = hiding && (await tab.page.addStyleTag({ content: `* { transition: none !important } ${HIDING[hiding]}` }));
  const taken = await tab.page.screenshot({ encoding: "base64" });
  await style?.evaluate((element) => element.remove());
  return taken;
}

/** Counts changed pixels in pictures: all, those on text, and those of the page's own pseudo-elements. */
async function comparePictures(stage, pictures) {
  const desk = await stage.newTab();
  const counted = await desk.page.evaluate(
    async (pictures, slack) => {
      const pixels = async (base64) => {
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        canvas.drawImage(bitmap, 0, 0);
        return canvas.getImageData(0, 0, bitmap.width, bitmap.height).data;
      };
      const [shown, plain, text, pseudo] = await Promise.all(pictures.map(pixels));
      const differs = (one, other, at) =>
        Math.abs(one[at] - other[at]) + Math.abs(one[at + 1] - other[at + 1]) + Math.abs(one[at + 2] - other[at + 2]) > slack;
      const counted = { all: 0, onText: 0, ofPseudo: 0 };
      for (let at = 0; at < plain.length; at += 4) {
        if (!differs(shown, plain, at)) continue;
        counted.all += 1;
        if (differs(text, plain, at)) counted.onText += 1;
        if (differs(pseudo, plain, at)) counted.ofPseudo += 1;
      }
      return counted;
    },
    pictures,
    SLACK_COLOUR,
  );
  await desk.close();
  return counted;
}

/** What numbers should change of a page. */
export const UNCHANGED = { moved: [], movedLines: [], scrolls: [], hits: [], pixelsOnText: 0, pixelsOfPseudo: 0 };

/**
 * What numbers do to a page that shows them, against the same page after `stop()`. Everything but `drawn` and `missing`
 * should be as in `UNCHANGED`.
 */
export async function measure(stage, tab) {
  const shown = await tab.page.evaluate(takeStock, GRID_PX);
  const shownPicture = await picture(tab);
  const missing = await tab.page.evaluate(() => {
    const isDrawn = (link, which) => {
      const { content, position } = getComputedStyle(link, which);
      return position === "absolute" && /\d/.test(content);
    };
    return [...document.querySelectorAll("[data-shown]")]
      .filter((link) => !["::before", "::after"].some((which) => isDrawn(link, which)))
      .map((link) => link.outerHTML.slice(0, 120));
  });
  await tab.page.evaluate(() => window[Symbol.for("connection-counter")].handle.stop());
  await settle(tab);
  const plain = await tab.page.evaluate(takeStock, GRID_PX);
  const pictures = [shownPicture, await picture(tab), await picture(tab, "text"), await picture(tab, "pseudo")];
  const { all, onText, ofPseudo } = await comparePictures(stage, pictures);
  return {
    drawn: all,
    missing,
    moved: differences(shown.boxes, plain.boxes),
    movedLines: differences(shown.lines, plain.lines),
    scrolls: differences(shown.scrolls, plain.scrolls),
    hits: differences(shown.hits, plain.hits),
    pixelsOnText: onText,
    pixelsOfPseudo: ofPseudo,
  };
}
