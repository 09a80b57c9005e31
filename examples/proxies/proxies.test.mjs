// Counts behind real proxies, which run the snippets of the manual's pages.

import assert from "node:assert/strict";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

import { html, servePages } from "../tests/support/pages.mjs";
import { story } from "../tests/support/story.mjs";
import { until } from "../tests/support/until.mjs";
import { PROXIES, snippetsOf, startReal } from "./programs.mjs";

/** Pages whose addresses proxies are known to decode, refuse or rewrite when they stand in a path. */
const PATHS = ["/docs/intro", "/a%2Fb", "/caf%C3%A9", "/search?q=a%26b&page=2", "/100%25", "/a%3Fb%23c"];

const PLACES = [
  { where: "on a host of its own", folder: "" },
  { where: "below a path", folder: "live/" },
];

/** Every page counts one reader, and a page that links to all of them shows it, with everything behind the proxy. */
async function expectCounts(stage, proxy, folder) {
  const links = PATHS.map((path) => `<li><a href="${path.replaceAll("&", "&amp;")}">${path}</a></li>`).join("");
  const tag = `<script async src="${proxy.url}${folder}live.js"></script>`;
  const site = await servePages(stage, () => html(tag, `<ul>${links}</ul>`));
  await stage.startBrowser(["--ignore-certificate-errors"]);
  for (const path of PATHS) await stage.openTab(site + path);
  const contents = await stage.openTab(`${site}/contents`);
  for (const path of PATHS) await contents.expectViewers(`a[href="${path}"]`, 1);

  const { host } = new URL(site);
  const counted = await stage.server.viewers(host);
  assert.equal(Object.keys(counted).length, PATHS.length + 1, `each page is one: ${Object.keys(counted)}`);
  assert.ok(
    Object.values(counted).every((viewers) => viewers === 1),
    `each has one reader: ${JSON.stringify(counted)}`,
  );
}

for (const name of Object.keys(PROXIES)) {
  for (const [idx, { where, folder }] of PLACES.entries()) {
    story(`${name}: the manual's snippet counts ${where}`, {}, async (stage) => {
      const snippets = await snippetsOf(name);
      assert.equal(snippets.length, PLACES.length, `the page of ${name} has a snippet for each place`);
      const proxy = await startReal(stage, name, snippets[idx], stage.server.url);
      await expectCounts(stage, proxy, folder);
    });
  }
}

/** A story with a snippet of the manual that somebody has changed. */
function changed(claim, name, place, change, tell) {
  story(`${name}: ${claim}`, {}, async (stage) => {
    const snippet = (await snippetsOf(name))[place];
    const other = change(snippet);
    assert.notEqual(other, snippet, "the change finds what it changes");
    const proxy = await startReal(stage, name, other, stage.server.url);
    await tell(stage, proxy);
  });
}

const slashAtEnd = (snippet) => snippet.replace("proxy_pass http://127.0.0.1:1999;", "proxy_pass http://127.0.0.1:1999/;");
changed("a slash at the end of proxy_pass does no harm", "nginx", 0, slashAtEnd, (stage, proxy) =>
  expectCounts(stage, proxy, ""),
);
changed("a path may be cut off with a slash at the end of proxy_pass", "nginx", 1, slashAtEnd, (stage, proxy) =>
  expectCounts(stage, proxy, "live/"),
);

const rewritten = (rule) => (snippet) => snippet.replace("location / {", `location / {\n        rewrite ${rule} break;`);
changed("a handshake counts without its path", "nginx", 0, rewritten("^/live$ /"), (stage, proxy) =>
  expectCounts(stage, proxy, ""),
);
changed("a handshake without its query is in the log", "nginx", 0, rewritten("^/live$ /live?"), (stage, proxy) =>
  expectLogged(stage, proxy, /WARN.*came to \/live, where no party is/),
);

changed(
  "a plain health check finds the server up",
  "haproxy",
  0,
  (snippet) => snippet.replace("option httpchk GET /healthz", "option httpchk"),
  (stage, proxy) => expectCounts(stage, proxy, ""),
);

changed(
  "a decoded query is in the log",
  "haproxy",
  0,
  (snippet) => snippet.replace("option forwardfor", "option forwardfor\n    http-request set-uri %[url,url_dec]"),
  (stage, proxy) => expectLogged(stage, proxy, /WARN.*arrived decoded/, "search?q=1&page=2"),
);

/** Ten requests at a time, further apart than most servers keep connections, for longer than this one keeps its own. */
async function expectNoReset(stage, proxy) {
  const end = Date.now() + 75_000;
  let asked = 0;
  const ask = async () => {
    while (Date.now() < end) {
      const { statusCode } = await get(`${proxy.url}healthz`);
      asked += 1;
      assert.equal(statusCode, 200, `request ${asked}: ${proxy.log}`);
      await sleep(4_900 + Math.random() * 200);
    }
  };
  await Promise.all(Array.from({ length: 10 }, ask));
  assert.ok(asked > 100, `${asked} requests`);
  assert.doesNotMatch(proxy.log, /upstream/, "nginx has nothing to say of its upstream");
}

changed(
  "a pool of kept connections meets no reset",
  "nginx",
  0,
  (snippet) =>
    "upstream pool { server 127.0.0.1:1999; keepalive 16; keepalive_timeout 60s; }\n" +
    snippet
      .replace("proxy_pass http://127.0.0.1:1999;", "proxy_pass http://pool; proxy_next_upstream off;")
      .replace('proxy_set_header Connection "upgrade";', 'proxy_set_header Connection "";')
      .replace("proxy_set_header Upgrade $http_upgrade;", ""),
  expectNoReset,
);

/** Asks without keeping the connection to the proxy; its certificate is of the test's own making. */
function get(url) {
  return new Promise((resolve, reject) => {
    const request = https.get(url, { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume().once("end", () => resolve(response));
    });
    request.once("error", reject);
  });
}

/** A reader's page behind a proxy that spoils the handshake: the log says what is wrong. */
async function expectLogged(stage, proxy, line, page = "page") {
  const site = await servePages(stage, () => html(`<script async src="${proxy.url}live.js"></script>`, ""));
  await stage.startBrowser(["--ignore-certificate-errors"]);
  const tab = await stage.newTab();
  tab.allow(/WebSocket connection .* failed|connection-counter:/);
  await tab.open(`${site}/${page}`);
  await until("the log says what is wrong", () => line.test(stage.server.log));
}

const expectLostHeader = (stage, proxy) => expectLogged(stage, proxy, /WARN.*Upgrade/);

const without = (lines) => (snippet) => snippet.replace(lines, "");
for (const [name, what, lines] of [
  ["nginx", "the Upgrade header", /^.*proxy_set_header (Upgrade|Connection).*\n/gm],
  ["nginx", "proxy_http_version", /^.*proxy_http_version.*\n/gm],
  ["apache", "upgrade=websocket", " upgrade=websocket"],
]) {
  changed(`a handshake that got lost without ${what} is in the log`, name, 0, without(lines), expectLostHeader);
}
