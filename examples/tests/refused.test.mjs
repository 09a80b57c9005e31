// A server that the host page's site may not use.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** The proxy counts handshakes, because the server's log has only one line a minute for them. */
const REFUSING = { serverArgs: ["--site", "example.org"], proxied: true };

story("refused site gets one warning and stays away", REFUSING, async (stage) => {
  const tab = await stage.newTab();
  tab.allow(/^console: connection-counter: refused by /);
  await tab.open(new URL("/plain/", stage.host.url).href);
  await until("the widget says so", () => tab.expected.length === 1);

  // This is longer than the first three attempts of a widget that tries again.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(stage.proxy.knocks(), 1, "the widget stays away");
  assert.equal(tab.expected.length, 1, "one warning is enough");
});

story("sandboxed frame is told once why it is refused", REFUSING, async (stage) => {
  const site = await servePages(stage, (path) =>
    path === "/frame"
      ? html(`<script async src="${stage.proxy.url}/live.js"></script>`, "")
      : html("", '<iframe sandbox="allow-scripts" src="/frame"></iframe>'),
  );
  const tab = await stage.newTab();
  tab.allow(/^console: connection-counter: refused by .*sandboxed.*allow-same-origin/);
  await tab.open(`${site}/`);
  await until("the widget says so", () => tab.expected.length === 1);

  // This is longer than the first three attempts of a widget that tries again.
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  assert.equal(tab.expected.length, 1, "one warning is enough");
  assert.equal(stage.proxy.knocks(), 1, "the widget stays away");
});

/** Opens a page in a tab that gets `content` for it, whatever its address is. Answers with what debugging tells. */
async function openAt(tab, address, content) {
  const told = [];
  tab.page.on("console", (message) => message.type() === "info" && told.push(message.text()));
  await tab.page.setRequestInterception(true);
  tab.page.on("request", (request) => {
    if (request.url() === address) request.respond({ status: 200, contentType: "text/html; charset=utf-8", body: content });
    else request.continue();
  });
  await tab.page.goto(address);
  return (part) => until(`it is told: ${part}`, () => told.at(-1)?.includes(part) || assert.fail(told.at(-1)));
}

story("server without TLS is named on a page with TLS", {}, async (stage) => {
  const script = await bundle(`import { start } from "connection-counter"; start({ server: "http://live.example:8080", debug: true });`);
  const tab = await stage.newTab();
  tab.allow(/Mixed Content|cannot connect to ws:\/\/live\.example:8080|a page with https: cannot use a server with http:/);
  const expectTold = await openAt(tab, "https://shop.example/", html("", `<a href="/x">x</a><script>${script}</script>`));
  const warned = await until("the remedy is told", () => tab.expected.find((text) => text.includes("a page with https:")));
  assert.ok(warned.includes('write server: "https://live.example:8080" (data-server="https://live.example:8080")'), warned);
  await expectTold("this page: not known, because a page with https: cannot use a server with http:");
  await expectTold("connection: none, because a page with https: cannot use a server with http:");
});

story("policy that refuses the server is told what to add", {}, async (stage) => {
  const { url } = stage.server;
  const policy = `<meta http-equiv="content-security-policy" content="connect-src ${url}">`;
  const site = await servePages(stage, () => html(`${policy}<script async src="${url}/live.js" data-debug></script>`, ""));
  const tab = await stage.newTab();
  tab.allow(/connect-src/i);
  const told = [];
  tab.page.on("console", (message) => message.type() === "info" && told.push(message.text()));
  await tab.open(`${site}/`);
  const remedy = `refused by the page's content security policy: add ${url.replace("http", "ws")} to its connect-src`;
  await until("it is told", () => told.at(-1)?.includes(remedy) || assert.fail(told.at(-1)));
});

story("address that is too long is named", {}, async (stage) => {
  const site = await servePages(stage, () => html(`<script async src="${stage.server.url}/live.js" data-debug></script>`, ""));
  const tab = await stage.newTab();
  const told = [];
  tab.page.on("console", (message) => message.type() === "info" && told.push(message.text()));
  await tab.open(`${site}/${"x".repeat(512)}`);
  const reason = "because its address is longer than 512 bytes";
  await until("it is told", () => told.at(-1)?.includes(`this page: not known, ${reason}`) && told.at(-1).includes(`connection: none, ${reason}`));
});
