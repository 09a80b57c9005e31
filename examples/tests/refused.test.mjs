// A server that the host page's site may not use.

import assert from "node:assert/strict";

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
