// What counts look like, to eyes and to screen readers.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const EXAMPLES = fileURLToPath(new URL("..", import.meta.url));
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** How much of a page may move because of us: a tenth of what browsers' makers call good. */
const LAYOUT_SHIFT_LIMIT = 0.01;

const folders = readdirSync(EXAMPLES).filter((name) => existsSync(`${EXAMPLES}/${name}/index.html`));

for (const folder of folders) {
  story(`example ${folder} stands still and is accessible`, {}, async (stage) => {
    const linked = await stage.openTab(`/${folder}/`);
    const tab = await stage.newTab();
    await tab.page.setBypassCSP(true);
    await tab.page.evaluateOnNewDocument(() => {
      window.layoutShift = 0;
      new PerformanceObserver((list) => {
        for (const { value } of list.getEntries()) window.layoutShift += value;
      }).observe({ type: "layout-shift", buffered: true });
    });
    await tab.open(`${stage.host.url}/${folder}/`);
    const hrefs = await tab.page.evaluate(() =>
      [...document.links]
        .filter((link) => link.origin === location.origin && !link.hash && !link.closest("[data-viewers-ignore]"))
        .slice(0, 5)
        .map((link) => link.href),
    );
    assert.ok(hrefs.length > 0, "the example has links");
    for (const href of hrefs) await stage.openTab(href);
    await tab.page.waitForFunction(
      (href) => [...document.links].find((link) => link.href === href).hasAttribute("data-viewers"),
      { timeout: 15_000 },
      hrefs.at(-1),
    );
    // Two frames, so that what the numbers moved has been seen to move.
    await tab.page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const shift = await tab.page.evaluate(() => window.layoutShift);
    assert.ok(shift <= LAYOUT_SHIFT_LIMIT, `layout shift of ${shift}`);

    await tab.page.evaluate(AXE);
    const found = await tab.page.evaluate(async () => (await window.axe.run()).violations);
    const words = found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
    assert.deepEqual(words, []);
    assert.equal(await tab.page.$("[aria-live], [role=status], [role=alert], [role=log]"), null, "nothing talks in between");
    await linked.close();
  });
}

/** A page with one link, which shows one viewer, and whatever else is in its head. */
async function pageWithCount(stage, head = "", options = "") {
  const tag = `<script async src="${stage.server.url}/live.js" ${options}></script>`;
  const site = await servePages(stage, () => html(tag + head, '<p>Go to <a href="/x">the orchard</a> now.</p>'));
  const tab = await stage.openTab(`${site}/`);
  await stage.openTab(`${site}/x`);
  await tab.expectViewers("a", 1);
  // A place for the number is looked for in the next frame.
  for (let frame = 0; frame < 4; frame += 1) await tab.page.evaluate(() => new Promise(requestAnimationFrame));
  return tab;
}

/** What a computed style of a link's number is. */
const styleOf = (tab, property) =>
  tab.page.$eval("a", (link, property) => getComputedStyle(link, "::after").getPropertyValue(property), property);

/** The name a screen reader has for the page's link. */
async function nameOfLink(tab) {
  const { children } = await tab.page.accessibility.snapshot();
  return children.find(({ role }) => role === "link").name;
}

story("link to the reader's own page counts the reader, or only others", {}, async (stage) => {
  const open = async (options) => {
    const tag = `<script async src="${stage.server.url}/live.js" ${options}></script>`;
    const site = await servePages(stage, () => html(tag, '<a id="own" href="/">here</a> <a id="other" href="/x">there</a>'));
    const tab = await stage.openTab(`${site}/`);
    await stage.openTab(`${site}/x`);
    await tab.expectViewers("#other", 1);
    return [tab, site];
  };
  const [counted] = await open("");
  await counted.expectViewers("#own", 1);
  const [alone, site] = await open('data-self="omit"');
  await alone.expectViewers("#own", 0);
  await stage.openTab(`${site}/`);
  await alone.expectViewers("#own", 1);
});

story("screen readers hear what the number means", {}, async (stage) => {
  const tab = await pageWithCount(stage);
  assert.equal(await nameOfLink(tab), "the orchard (1 viewing now)");
});

story("screen readers hear the page's own words", {}, async (stage) => {
  const tab = await pageWithCount(stage, "", 'data-text="– {count} schauen zu"');
  assert.match(await nameOfLink(tab), /^the orchard ?– 1 schauen zu$/);
  const labelled = await pageWithCount(stage, "", 'data-label="one={count} reader|other={count} readers"');
  assert.equal(await nameOfLink(labelled), "the orchard (1 reader)");
});

story("paper shows no number, and nothing is animated", {}, async (stage) => {
  const tab = await pageWithCount(stage);
  assert.equal(await styleOf(tab, "transition-duration"), "0s");
  assert.equal(await styleOf(tab, "animation-name"), "none");
  const session = await tab.page.createCDPSession();
  await session.send("Emulation.setEmulatedMedia", { media: "print" });
  assert.equal(await styleOf(tab, "content"), "none");
});

story("forced colours show the number in the colour of links", {}, async (stage) => {
  const tab = await pageWithCount(stage, "<style>:root { --viewers-color: #fefefe }</style>");
  assert.equal(await styleOf(tab, "color"), "rgb(254, 254, 254)");
  const session = await tab.page.createCDPSession();
  await session.send("Emulation.setEmulatedMedia", { features: [{ name: "forced-colors", value: "active" }] });
  assert.equal(await styleOf(tab, "color"), await tab.page.$eval("a", (link) => getComputedStyle(link).color));
});

story("page's rules win over ours, and its decorations stay", {}, async (stage) => {
  const decorated = await pageWithCount(stage, '<style>a::after { content: "→"; color: red }</style>');
  assert.equal(await styleOf(decorated, "content"), '"→"');
  assert.equal(await styleOf(decorated, "position"), "static");
  const themed = await pageWithCount(stage, "<style>a[data-viewers]::after { padding-left: 7px } :root { --viewers-weight: 800 }</style>");
  assert.equal(await styleOf(themed, "padding-left"), "7px");
  assert.equal(await styleOf(themed, "font-weight"), "800");
});

story("numbers are not underlined with their links", {}, async (stage) => {
  const tab = await pageWithCount(stage, "<style>::before, ::after { text-decoration: inherit }</style>");
  assert.equal(await styleOf(tab, "text-decoration-line"), "none");
});

story("numbers have the contrast of their links, on light and on dark pages", {}, async (stage) => {
  for (const scheme of ["light", "dark"]) {
    const tab = await pageWithCount(stage, `<style>body { color-scheme: ${scheme}; background: Canvas; color: CanvasText }</style>`);
    await tab.page.evaluate(AXE);
    const { violations, passes } = await tab.page.evaluate(() => window.axe.run({ runOnly: ["color-contrast"] }));
    assert.deepEqual(violations, [], scheme);
    assert.equal(passes.length, 1, "contrast was measured");
    const ofLink = await tab.page.$eval("a", (link) => getComputedStyle(link).color);
    assert.equal(await styleOf(tab, "color"), ofLink);
    assert.match(await styleOf(tab, "background-color"), /rgba\(0, 0, 0, 0\)/);
  }
});

story("number that grows is placed again, unless its place has room for it", {}, async (stage) => {
  const sockets = new Set();
  const server = await startFakeServer(stage, { connected: (socket) => sockets.add(socket) });
  const badge = '<b style="display: inline-block; margin-inline-start: 32px; background: #ccc">badge</b>';
  const link = `<p style="margin: 4em; font: 16px/1.2 sans-serif"><a href="/other">another page</a>${badge}</p>`;
  const site = await servePages(stage, () => html(`<script async src="${server.url}/live.js"></script>`, link));
  const tab = await stage.newTab();
  await tab.open(`${site}/`);
  const id = `${new URL(site).host}/other`;
  await tab.page.evaluate(() => {
    window.placed = [];
    const note = ([{ target }]) => target.dataset.viewersPlace && placed.push(target.dataset.viewersPlace);
    new MutationObserver(note).observe(document.querySelector("a"), { attributeFilter: ["data-viewers-place"] });
  });
  const places = async (count) => {
    for (const socket of sockets) socket.send(update({ [id]: count }));
    await tab.expectViewers("a", count);
    // Places are found in the frame after the number is written.
    await tab.page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => setTimeout(done, 100)), 100)));
    return tab.page.evaluate(() => placed);
  };
  await until("the widget is connected", () => sockets.size > 0);
  assert.deepEqual(await places(9), ["beside"]);
  assert.deepEqual(await places(10), ["beside"], "it stays where it is");
  assert.deepEqual(await places(100), ["beside", "above small"], "the badge is in the way");
});

story("numbers are placed again when a font has come", {}, async (stage) => {
  const { url } = await startFakeServer(stage, {
    connected: (socket, asked) => socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, 7]))))),
  });
  const css = ".gap { display: inline-block; width: 200px }";
  const body = '<p><a href="/x">link</a><span class="gap"></span>words that follow</p>';
  const site = await servePages(stage, () => html(`<style>${css}</style><script async src="${url}/live.js"></script>`, body));
  const tab = await stage.openTab(`${site}/`);
  await tab.page.waitForSelector("a[data-viewers-place~=beside]");
  // Nobody tells the widget of a new rule. The browser says that a font has come.
  await tab.page.evaluate(() => {
    document.styleSheets[0].insertRule(".gap.gap { width: 0 }");
    document.fonts.dispatchEvent(new Event("loadingdone"));
  });
  await tab.page.waitForSelector("a:not([data-viewers-place~=beside])");
});

story("links of every colour show their numbers", {}, async (stage) => {
  const { url } = await startFakeServer(stage, {
    connected: (socket, asked) => socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, 7]))))),
  });
  const seen = ["#000", "#c00", "#080", "#036", "rgb(0 0 0 / 50%)", "oklch(0 0 0)", "inherit"];
  const link = (color, idx) => `<p style="color:#000"><a href="/${idx}" style="color:${color}">link</a></p>`;
  const hidden = '<p><a href="/hidden" style="color:transparent">link</a></p>';
  const site = await servePages(stage, () => html(`<script async src="${url}/live.js"></script>`, seen.map(link).join("") + hidden));
  const tab = await stage.openTab(`${site}/`);
  await tab.page.waitForFunction((count) => document.querySelectorAll("a[data-viewers-place]").length === count, {}, seen.length);
  assert.equal(await tab.page.$("a[href='/hidden'][data-viewers-place]"), null, "nobody sees what is transparent");
});
