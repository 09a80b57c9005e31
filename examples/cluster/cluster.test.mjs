// Several machines as readers see them: nodes that count together through a real NATS server, behind nginx as the manual's
// page on more than one machine sets it up.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { snippetsOf, startReal } from "../proxies/programs.mjs";
import { startNats } from "../tests/support/nats.mjs";
import { freePort } from "../tests/support/ports.mjs";
import { html, servePages } from "../tests/support/pages.mjs";
import { Server } from "../tests/support/programs.mjs";
import { story } from "../tests/support/story.mjs";
import { until } from "../tests/support/until.mjs";

/** Readers of the page that is looked at. */
const READERS = 6;
const LINK = 'a[href="/a"]';

/** Starts a node of the cluster until the story ends. */
async function startNode(stage, nats) {
  const data = await mkdtemp(join(tmpdir(), "connection-counter-"));
  stage.onClose(() => rm(data, { recursive: true, force: true }));
  const args = ["--cluster", nats, "--cluster-secret", "only for this story", "--trusted-proxy", "127.0.0.1"];
  const node = await Server.start(data, args);
  stage.onClose(() => node.stop());
  return node;
}

/** Viewers of a page on one node alone. */
async function viewersHere(node, page) {
  const answer = await fetch(`${node.url}/parties/counter/${page.split("/")[0]}?here&page=${encodeURIComponent(page)}`);
  return answer.status === 404 ? 0 : (await answer.json()).viewers;
}

story("readers of a node that is killed come back through the balancer, and count once", {}, async (stage) => {
  const natsPort = await freePort();
  stage.onClose(await startNats(["-a", "127.0.0.1", "-p", `${natsPort}`]));
  const nats = `nats://127.0.0.1:${natsPort}`;
  const nodes = [await startNode(stage, nats), await startNode(stage, nats)];
  const [snippet, ...more] = await snippetsOf("nginx", "cluster");
  assert.deepEqual(more, [], "the page has one snippet");
  const fitted = nodes.reduce((text, node, idx) => {
    const address = `10.0.0.1${idx + 1}:1999`;
    assert.ok(text.includes(`server ${address};`), `the snippet names ${address}`);
    return text.replaceAll(address, new URL(node.url).host);
  }, snippet);
  const balancer = await startReal(stage, "nginx", fitted, nodes[0].url);

  const tag = `<script async src="${balancer.url}live.js"></script>`;
  const site = await servePages(stage, () => html(tag, '<a href="/a">a</a>'));
  const { host } = new URL(site);
  await stage.startBrowser(["--ignore-certificate-errors"]);
  const contents = await stage.openTab(`${site}/contents`);
  for (let reader = 1; reader <= READERS; reader += 1) {
    await stage.openTab(`${site}/a`);
    await contents.expectViewers(LINK, reader);
  }
  const before = await Promise.all(nodes.map((node) => viewersHere(node, `${host}/a`)));
  assert.equal(before[0] + before[1], READERS);
  const [killed, left] = before[0] > before[1] ? nodes : nodes.toReversed();

  for (const tab of stage.tabs) tab.allow(/WebSocket connection .* failed/);
  await contents.record(LINK);
  await killed.kill();
  await until("all readers are on the node that is left", async () => (await viewersHere(left, `${host}/a`)) === READERS);
  await until("they count once", async () => (await left.viewers(host))[`${host}/a`] === READERS);
  await contents.expectViewers(LINK, READERS);
  // Until the killed node is missed, those who were on it may count twice, as the page says. No one is ever missing.
  const shown = (await contents.recorded()).filter((viewers) => viewers !== null).map(Number);
  assert.ok(shown.every((viewers) => viewers <= 2 * READERS), `what a reader saw: ${shown}`);
});
