// The metrics, the alert rules and the board, tested with a real Prometheus.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { freePort } from "../tests/support/ports.mjs";
import { until } from "../tests/support/until.mjs";

const deploy = new URL("../../server/deploy/", import.meta.url);
const SERVER = new URL("../../target/debug/connection-counter", import.meta.url).pathname;
/** What a client makes up for its handshake. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** As often as a test wants to see something new. */
const SCRAPE_INTERVAL = "1s";

/** A program that ends with the test; `said` is all it has written. */
function run(t, program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const running = { said: "" };
  for (const output of [child.stdout, child.stderr]) output.on("data", (data) => (running.said += data));
  const ended = new Promise((resolve) => child.once("exit", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return running;
}

async function folderFor(t) {
  const folder = await mkdtemp(join(tmpdir(), "connection-counter-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A server with metrics, and one viewer. */
async function startServer(t, folder) {
  const server = run(t, SERVER, ["--listen=127.0.0.1:0", "--admin=127.0.0.1:0", `--data=${folder}/data`]);
  await until("the server says where its metrics are", () => {
    if (!/metrics are at/.test(server.said)) throw new Error(server.said);
    return true;
  });
  const [, url] = server.said.match(/listening on (http:\S+)/);
  const [, admin] = server.said.match(/metrics are at http:\/\/(\S+)\/metrics/);
  const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": KEY };
  const handshake = request(`${url}/live?page=example.org%2Fa`, { headers }).end();
  const [, viewer] = await once(handshake, "upgrade");
  t.after(() => viewer.destroy());
  return { url, admin };
}

/** A Prometheus with the rules of the manual that collects from this address. Answers queries. */
async function startPrometheus(t, folder, admin) {
  for (const file of ["prometheus.yml", "alerts.yml"]) {
    await cp(new URL(`prometheus/${file}`, deploy), join(folder, file));
  }
  const config = join(folder, "prometheus.yml");
  const text = await readFile(config, "utf8");
  const fitted = text.replaceAll("127.0.0.1:2000", admin).replaceAll("15s", SCRAPE_INTERVAL);
  assert.notEqual(fitted, text);
  await writeFile(config, fitted);
  const address = `127.0.0.1:${await freePort()}`;
  const args = [`--config.file=${config}`, `--storage.tsdb.path=${folder}/tsdb`, `--web.listen-address=${address}`];
  const prometheus = run(t, "prometheus", args);
  const ask = async (path) => (await (await fetch(`http://${address}/api/v1/${path}`)).json()).data;
  await until("Prometheus answers", () => ask("status/buildinfo").catch(() => Promise.reject(new Error(prometheus.said))));
  return { ask, query: async (expression) => (await ask(`query?query=${encodeURIComponent(expression)}`)).result };
}

test("Debian's promtool finds nothing wrong with configuration, rules and metrics", async (t) => {
  const check = promisify(execFile);
  await check("promtool", ["check", "config", new URL("prometheus/prometheus.yml", deploy).pathname]);
  await check("promtool", ["check", "rules", new URL("prometheus/alerts.yml", deploy).pathname]);
  const { admin } = await startServer(t, await folderFor(t));
  const metrics = await (await fetch(`http://${admin}/metrics`, { headers: { accept: "text/plain" } })).text();
  const promtool = check("promtool", ["check", "metrics"]);
  promtool.child.stdin.end(metrics);
  const { stdout, stderr } = await promtool;
  assert.equal(stdout + stderr, "", "it has no advice");
});

test("a real Prometheus collects them, and finds what the rules and the board ask for", async (t) => {
  const folder = await folderFor(t);
  const { url, admin } = await startServer(t, folder);
  const { ask, query } = await startPrometheus(t, folder, admin);
  await until("it has collected", async () => (await query('up{job="connection-counter"}'))[0]?.value[1] === "1");
  assert.equal((await query("connectioncounter_websockets"))[0].value[1], "1");
  const { activeTargets } = await ask("targets");
  assert.deepEqual(activeTargets.map(({ health, lastError }) => [health, lastError]), [["up", ""]]);

  // One request of each class that can be had for the asking.
  for (const path of ["healthz", "nothing"]) await fetch(`${url}/${path}`);
  const names = new Set((await ask("label/__name__/values")).filter((name) => /^(connectioncounter|process)_/.test(name)));
  const { panels } = JSON.parse(await readFile(new URL("grafana/connection-counter.json", deploy), "utf8"));
  const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const { groups } = await ask("rules");
  asked.push(...groups.flatMap(({ rules }) => rules.map((rule) => rule.query)));
  // Nobody has been refused here.
  names.add("connectioncounter_refusals_total");
  for (const expression of asked) {
    for (const [name] of expression.matchAll(/\b(connectioncounter|process)_\w+/g)) {
      assert.ok(names.has(name), `${name} of ${expression} is collected: ${[...names]}`);
    }
    assert.ok(Array.isArray(await query(expression)), `${expression} can be asked`);
  }
  assert.deepEqual(groups.flatMap(({ rules }) => rules.map(({ health }) => health)).filter((health) => health === "err"), []);
});

test("an alert fires when the server is gone", async (t) => {
  const folder = await folderFor(t);
  const { query } = await startPrometheus(t, folder, `127.0.0.1:${await freePort()}`);
  const pending = 'ALERTS{alertname="ConnectionCounterDown"}';
  await until("the alert is on its way", async () => (await query(pending)).length === 1);
});
