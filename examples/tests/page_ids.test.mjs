// However a link is written, the widget asks for the id under which the server counts the page.

import assert from "node:assert/strict";

import WebSocket from "ws";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { DEADLINE_MS, until } from "./support/until.mjs";

/** The site, spelled as people do and as browsers do, on the default port. A flag tells Chromium where that really is. */
const HOST = "bücher.example";
const HOST_ASCII = "xn--bcher-kva.example";

/**
 * How a link to a page may be written, and how somebody else may call the same page; `=` if that is what a browser's
 * address bar would show. Each row is a page of its own: its folder is put in place of `ROW`.
 */
const SPELLINGS = [
  ["/ROW/plain", "="],
  [`http://${HOST}/ROW/unicode-host`, "="],
  [`http://BÜCHER.Example/ROW/capital-host`, `${HOST}/ROW/capital-host`],
  [`http://${HOST_ASCII}:80/ROW/default-port`, `${HOST_ASCII}:80/ROW/default-port`],
  [`//${HOST}/ROW/no-scheme`, `${HOST_ASCII}:443/ROW/no-scheme`],
  [`https://${HOST}/ROW/other-scheme`, "="],
  [`http://me:secret@${HOST}/ROW/user`, "="],
  ["/ROW/slash/", `${HOST_ASCII}/ROW/slash`],
  ["/ROW/index/index.html", `${HOST_ASCII}/ROW/index/`],
  ["/ROW/a/./b/../c", `${HOST_ASCII}/ROW/a/c`],
  ["/ROW/a/%2e/b/%2E%2e/c", `${HOST_ASCII}/ROW/a/b/../c`],
  ["/ROW//double///slash", `${HOST_ASCII}/ROW/double/slash`],
  ["/ROW\\backslash\\es", `${HOST_ASCII}/ROW/backslash/es`],
  ["/ROW/%7euser", `${HOST_ASCII}/ROW/~user`],
  ["/ROW/caf%c3%a9", `${HOST_ASCII}/ROW/café`],
  ["/ROW/café", `${HOST_ASCII}/ROW/caf%C3%A9`],
  ["/ROW/a b", `${HOST_ASCII}/ROW/a%20b`],
  ["/ROW/a%2fb", `${HOST_ASCII}/ROW/a%2Fb`],
  ["/ROW/100%", `${HOST_ASCII}/ROW/100%25`],
  ["/ROW/a'(b)*!", "="],
  ["/ROW/fragment#part", `${HOST_ASCII}/ROW/fragment`],
  ["/ROW/empty-query?", `${HOST_ASCII}/ROW/empty-query`],
  ["/ROW/order?b=2&a=1", `${HOST_ASCII}/ROW/order?a=1&b=2`],
  ["/ROW/repeated?tag=b&x=1&tag=a", `${HOST_ASCII}/ROW/repeated?x=1&tag=b&tag=a`],
  ["/ROW/tracking?utm_source=mail&id=7&gclid=x&FBCLID=y", `${HOST_ASCII}/ROW/tracking?id=7&mc_cid=z`],
  ["/ROW/only-tracking?utm_campaign=x", `${HOST_ASCII}/ROW/only-tracking`],
  ["/ROW/query?q=a+b%26c", `${HOST_ASCII}/ROW/query?q=a%20b%26c`],
  ["/ROW/query?q=%E6%97%A5", `${HOST_ASCII}/ROW/query?q=日`],
  ["/ROW/quotes?q='\"<>", "="],
  ["  /ROW/blanks\n", "="],
].map(([href, called], idx) => [href.replace("ROW", `r${idx}`), called.replace("ROW", `r${idx}`)]);

/** Links that lead to no page of the site. */
const NO_PAGES = [
  "mailto:a@b.example",
  "tel:+123",
  "javascript:void(0)",
  "data:text/html,x",
  "blob:http://x/1",
  "https://elsewhere.example/",
  "http://[",
  "#part",
];

/** The id that a browser's URL parser makes of a link, with host, path and query as they are. */
function asInAddressBar(href) {
  const { host, pathname, search } = new URL(href, `http://${HOST}/`);
  return `${host}${pathname}${search}`;
}

story("widget and server spell each page alike", {}, async (stage) => {
  const anchors = [...SPELLINGS.map(([href]) => href), ...NO_PAGES];
  const escaped = (href) => href.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  const body = anchors.map((href) => `<a href="${escaped(href)}">x</a>`).join("\n");
  const tag = `<script async src="${stage.server.url}/live.js"></script>`;
  const site = await servePages(stage, () => html(tag, body));
  await stage.startBrowser([`--host-resolver-rules=MAP ${HOST_ASCII}:80 ${new URL(site).host}`]);

  const tab = await stage.newTab();
  const subscribed = new Set();
  const session = await tab.page.createCDPSession();
  session.on("Network.webSocketFrameSent", ({ response }) => {
    for (const id of JSON.parse(response.payloadData).links ?? []) subscribed.add(id);
  });
  await session.send("Network.enable");
  await tab.open(`http://${HOST}/`);

  for (const [href, called] of SPELLINGS) {
    const room = encodeURIComponent(called === "=" ? asInAddressBar(href) : called);
    const viewer = new WebSocket(`${stage.server.url.replace("http", "ws")}/parties/page/${room}`);
    stage.onClose(() => viewer.terminate());
    await until(`a viewer of ${called} connects`, () => viewer.readyState === WebSocket.OPEN);
  }

  await tab.page
    .waitForFunction(
      (rows) => document.querySelectorAll("a[data-viewers='1']").length === rows,
      { timeout: DEADLINE_MS },
      SPELLINGS.length,
    )
    .catch(() => {}); // What is missing is said below, row by row.
  const shown = await tab.shown("a");
  const plain = anchors.filter((_, idx) => shown[idx] !== (idx < SPELLINGS.length ? "1" : null));
  const counted = Object.keys(await stage.server.viewers(HOST_ASCII)).filter((id) => id !== `${HOST_ASCII}/`);
  assert.deepEqual(
    [...subscribed].sort(),
    counted.sort(),
    `ids of the widget and ids of the server; wrong links: ${JSON.stringify(plain)}`,
  );
  assert.deepEqual(plain, [], "every spelling shows its viewer, and nothing else shows one");
});
