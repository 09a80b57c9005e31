// Pages with the strictest content security policies. The widget works on them, and violates no policy.

import assert from "node:assert/strict";

import { bundle } from "./support/bundle.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const LINK = '<a href="/other">other</a>';

/** A tab that records every violation of its page's policy. */
async function watchedTab(stage) {
  const tab = await stage.newTab();
  await tab.page.evaluateOnNewDocument(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) =>
      window.violations.push(`${effectiveDirective}: ${blockedURI}`),
    );
  });
  return tab;
}

/** The widget's files that a tab has loaded. */
const loaded = (tab) =>
  tab.page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .map(({ name }) => name.split("/").pop())
      .filter((name) => name.startsWith("live")),
  );

for (const example of ["strict-csp", "no-wasm"]) {
  story(`example ${example} violates nothing`, {}, async (stage) => {
    const tab = await watchedTab(stage);
    await tab.open(`${stage.host.url}/${example}/`);
    await stage.openTab("/plain/");
    await tab.expectViewers('a[href="/plain/"]', 1);
    assert.deepEqual(await tab.page.evaluate(() => window.violations), []);
    const usesWasm = (await loaded(tab)).some((name) => name.endsWith(".wasm"));
    assert.equal(usesWasm, example === "strict-csp");
  });
}

story("page that refuses wasm gets JavaScript", {}, async (stage) => {
  const policy = (server) => `script-src ${server}; connect-src ${server} ${server.replace("http", "ws")}`;
  const site = await servePages(stage, () =>
    html(
      `<meta http-equiv="content-security-policy" content="${policy(stage.server.url)}">
      <script async src="${stage.server.url}/live.js"></script>`,
      LINK,
    ),
  );
  const tab = await watchedTab(stage);
  // This allows only the browser's own message. One of ours would fail the test.
  tab.allow(/^console: (?!connection-counter).*(wasm|WebAssembly)/i);
  await tab.open(`${site}/one`);
  const other = await stage.newTab();
  other.allow(/^console: (?!connection-counter).*(wasm|WebAssembly)/i);
  await other.open(`${site}/other`);
  await tab.expectViewers("a", 1);
  await other.close();
  await tab.expectViewers("a", 0);
});

story("bundle without wasm runs where a policy refuses wasm", {}, async (stage) => {
  const script = await bundle(
    `import { start } from "connection-counter/no-wasm";
     start({ server: "${stage.server.url}" });`,
  );
  const policy = (server) => `script-src 'unsafe-inline'; connect-src ${server.replace("http", "ws")}`;
  const site = await servePages(stage, () =>
    html(
      `<meta http-equiv="content-security-policy" content="${policy(stage.server.url)}">`,
      `${LINK}<script>${script}</script>`,
    ),
  );
  const tab = await watchedTab(stage);
  await tab.open(`${site}/one`);
  const other = await stage.openTab(`${site}/other`);
  await tab.expectViewers("a", 1);
  await other.close();
  await tab.expectViewers("a", 0);
  assert.deepEqual(await tab.page.evaluate(() => window.violations), []);
});

story("pinned tag that the server prints stands alone", {}, async (stage) => {
  const tag = await until("the server prints it", () => stage.server.log.match(/^or pinned: (<script .*<\/script>)$/m)?.[1]);
  const pages = {
    "/forged": tag.replace(/sha384-.{4}/, "sha384-AAAA"),
    "/one": tag.replace("<script", '<script data-label="{count}!"'),
  };
  const site = await servePages(stage, (path) => html(pages[path] ?? tag, LINK));

  const tab = await stage.openTab(`${site}/one`);
  await stage.openTab(`${site}/other`);
  await tab.expectViewers("a", 1);
  assert.equal(await tab.page.$eval("a", (link) => link.getAttribute("data-viewers-label")), "1!", "its options are read");
  assert.ok(!(await loaded(tab)).includes("live.js"));

  const forged = await stage.newTab();
  forged.allow(/integrity/);
  await forged.open(`${site}/forged`);
  assert.equal(forged.expected.length, 1, "a file that was tampered with is refused");
});
