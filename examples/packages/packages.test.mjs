// Every package of the server, built, installed and tried: the crate, the static binary, the Debian package, the image.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { until } from "../tests/support/until.mjs";

const WORKSPACE = fileURLToPath(new URL("../..", import.meta.url));
const PACKAGES = join(WORKSPACE, "target/packages");
const folder = mkdtempSync(join(tmpdir(), "connection-counter-packages-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program; a failure shows what it said. */
const run = (program, args, options = {}) =>
  execFileSync(program, args, { cwd: WORKSPACE, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options });

/** What a started server must answer: the widget, the manual, counts; and it stops when asked to. */
async function expectServes(child, url) {
  try {
    await until(`${url} serves`, async () => (await fetch(`${url}/readyz`)).ok);
    const script = await (await fetch(`${url}/live.js`)).text();
    assert.match(script, /live-[0-9a-f]{8}\.js/, "the widget is inside");
    const pinned = script.match(/live-[0-9a-f]{8}\.js/)[0];
    assert.equal((await fetch(`${url}/${pinned}`)).status, 200);
    assert.equal((await fetch(`${url}/connection-counter.tgz`)).status, 200, "the npm package is inside");
    assert.match(await (await fetch(`${url}/docs/`)).text(), /<h1 id="the-manual">/);
    assert.equal((await fetch(`${url}/parties/counter/example.org`)).status, 200);
    return await (await fetch(`${url}/readyz`)).text();
  } finally {
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
}

/** Starts a binary on a free port; answers with its process and address. */
async function start(program, args = []) {
  const data = mkdtempSync(join(folder, "data-"));
  const child = spawn(program, ["--listen", "127.0.0.1:0", "--data", data, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.on("data", (part) => (printed += part));
  const url = await until("it listens", () => printed.match(/^listening on (http:\S+)$/m)?.[1]);
  return { child, url };
}

before(() => {
  run("server/deploy/build-static.sh", [], { stdio: "inherit" });
  run("server/deploy/build-deb.sh", [], { stdio: "inherit" });
  run("server/deploy/build-image.sh", [], { stdio: "inherit" });
});

test("static binary needs nothing of the system", async () => {
  const program = join(PACKAGES, "connection-counter");
  assert.match(run("file", [program]), /static(ally|-pie) linked/);
  const { child, url } = await start(program);
  await expectServes(child, url);
});

// It compiles everything once more, from the packed crates alone.
test("packed crate installs without Node and serves the widget", async () => {
  const crates = ["connection-counter-protocol", "connection-counter-runtime", "connection-counter"];
  run("cargo", ["package", "--allow-dirty", "--no-verify", ...crates.flatMap((name) => ["-p", name])]);
  const sources = join(folder, "crates");
  run("mkdir", ["-p", sources]);
  for (const file of readdirSync(join(WORKSPACE, "target/package")).filter((file) => file.endsWith(".crate"))) {
    run("tar", ["-xzf", join(WORKSPACE, "target/package", file), "-C", sources]);
  }
  // Until they are published, what the crate depends on comes from the other two files.
  const path = (name) => join(sources, readdirSync(sources).find((entry) => new RegExp(`^${name}-[0-9]`).test(entry)));
  const patches = crates.slice(0, 2).map((name) => `${name} = { path = "${path(name)}" }`);
  const config = join(folder, "patched.toml");
  writeFileSync(config, `[patch.crates-io]\n${patches.join("\n")}\n`);
  const bin = join(folder, "installed");
  const { HOME, CARGO_HOME, RUSTUP_HOME } = process.env;
  // A machine that has Rust, make and a C compiler, and no Node.
  const tools = join(folder, "tools");
  mkdirSync(tools);
  for (const place of [dirname(run("which", ["cargo"]).trim()), "/usr/bin"]) {
    for (const tool of readdirSync(place).filter((name) => !/^(node|nodejs|npm|npx|corepack)$/.test(name))) {
      if (!existsSync(join(tools, tool))) symlinkSync(join(place, tool), join(tools, tool));
    }
  }
  const env = { PATH: tools, HOME, ...(CARGO_HOME && { CARGO_HOME }), ...(RUSTUP_HOME && { RUSTUP_HOME }) };
  env.CARGO_TARGET_DIR = join(WORKSPACE, "target/packed");
  assert.throws(() => run("sh", ["-c", "node --version"], { env }), "there is no Node");
  run("cargo", ["install", "--config", config, "--path", path("connection-counter"), "--root", bin], { env });
  const { child, url } = await start(join(bin, "bin/connection-counter"));
  await expectServes(child, url);
});

const deb = () => join(PACKAGES, readdirSync(PACKAGES).find((file) => file.endsWith(".deb")));

test("Debian package is well made", () => {
  run("lintian", ["--fail-on", "error", deb()]);
  const names = run("dpkg-deb", ["--contents", deb()]);
  for (const name of [
    "./usr/bin/connection-counter",
    "./lib/systemd/system/connection-counter.service",
    "./lib/systemd/system/connection-counter.socket",
    "./usr/lib/sysusers.d/connection-counter.conf",
    "./etc/default/connection-counter",
    "./usr/share/man/man8/connection-counter.8.gz",
    "./usr/share/bash-completion/completions/connection-counter",
    "./usr/share/zsh/vendor-completions/_connection-counter",
    "./usr/share/fish/vendor_completions.d/connection-counter.fish",
  ]) {
    assert.ok(names.includes(` ${name}\n`), `${name} is missing in\n${names}`);
  }
});

test("unit gives the server few rights", () => {
  const unit = "server/deploy/connection-counter.service";
  const report = run("systemd-analyze", ["security", "--offline=true", unit]);
  const exposure = Number(report.match(/Overall exposure level[^:]*: ([\d.]+)/)[1]);
  assert.ok(exposure <= 1.5, `exposure ${exposure} of 10`);
});

const SETTINGS = "/etc/default/connection-counter";

/** A line of the installed unit, such as ExecStart. */
const unit = (name) =>
  readFileSync("/lib/systemd/system/connection-counter.service", "utf8").match(new RegExp(`^${name}=(.*)$`, "m"))[1];

/** Starts what the unit starts, on a free port. */
function startAsUnit() {
  const [program, ...args] = unit("ExecStart").split(" ");
  assert.ok(args.includes(SETTINGS), "the unit names the file of settings");
  return start(program, args);
}

test("Debian package installs, runs, reads its settings again and is removed", async () => {
  run("dpkg", ["--install", deb()]);
  try {
    assert.match(run("getent", ["passwd", "connection-counter"]), /connection-counter/);
    // The unit's own words, now that its program is where it says.
    run("systemd-analyze", ["verify", "/lib/systemd/system/connection-counter.service"]);
    assert.match(run("man", ["--pager=cat", "8", "connection-counter"]), /--trusted-proxy/);
    const { child, url } = await startAsUnit();
    const statusOf = async (site) => (await fetch(`${url}/parties/counter/${site}`)).status;
    assert.equal(await statusOf("example.net"), 200, "no site is named, so every site is served");
    appendFileSync(SETTINGS, "CONNECTION_COUNTER_SITE=example.org\n");
    run("sh", ["-c", unit("ExecReload")], { env: { ...process.env, MAINPID: String(child.pid) } });
    await until("the settings were read again", async () => (await statusOf("example.net")) === 403);
    await expectServes(child, url);
  } finally {
    run("dpkg", ["--purge", "connection-counter"]);
  }
  assert.ok(!existsSync("/usr/bin/connection-counter") && !existsSync(SETTINGS));
});

test("image runs as user nobody and reports that it is healthy", async () => {
  const store = ["--root", join(folder, "store"), "--runroot", join(folder, "run"), "--storage-driver", "vfs"];
  const buildah = (...args) => run("buildah", [...store, ...args]);
  const name = buildah("from", `oci-archive:${join(PACKAGES, "connection-counter.oci.tar")}`).trim();
  const { config } = JSON.parse(buildah("inspect", name)).OCIv1;
  assert.deepEqual([config.User, config.Entrypoint], ["65532:65532", ["/usr/bin/connection-counter"]]);
  // This machine may have no cgroups, so it is a chroot. The port is the machine's own; others map it.
  const inside = (...args) => ["run", "--isolation", "chroot", name, "--", ...config.Entrypoint, ...args];
  const port = 20_000 + (process.pid % 10_000);
  const listen = ["--listen", `127.0.0.1:${port}`];
  const child = spawn("buildah", [...store, ...inside(...listen, "--site", "example.org")], { stdio: "inherit" });
  await until("the container is healthy", () => buildah(...inside("health", ...listen)));
  await expectServes(child, `http://127.0.0.1:${port}`);
});
