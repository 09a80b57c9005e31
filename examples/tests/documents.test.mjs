// Checks the documents: links lead somewhere, flags and options exist with the documented defaults, and commands run.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { startNats } from "./support/nats.mjs";
import { run } from "./support/package.mjs";
import { Server, programPath } from "./support/programs.mjs";

const WORKSPACE = fileURLToPath(new URL("../..", import.meta.url));
const read = (path) => readFileSync(join(WORKSPACE, path), "utf8");

const DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "server/runtime/COMING_FROM_PARTYKIT.md",
  "widget/npm/README.md",
  "examples/README.md",
  "examples/load/README.md",
  ...markdownIn("server/docs"),
];

function markdownIn(folder) {
  return execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", folder], { cwd: WORKSPACE })
    .toString()
    .split("\n")
    .filter((path) => path.endsWith(".md"));
}

/** The document without its fenced blocks, in which hashes and brackets have another meaning. */
const prose = (text) => text.replaceAll(/^```[^]*?^```/gm, "");
/** The lines of the blocks in a language. */
const blockLines = (text, language) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\``, "gm"))].flatMap(([, block]) =>
    block.trimEnd().split("\n"),
  );
/** The ids of a document's headings, as GitHub makes them. */
const anchors = (text) =>
  [...prose(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
/** The cells of a document's table rows whose first cell is code. */
const rows = (text) =>
  text
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => line.slice(2, -2).split(/ (?<!\\)\| /));
const code = (cell) => cell.match(/^`([^`]*)`/)?.[1];

test("README is short", () => {
  const text = read("README.md");
  assert.ok(text.split("\n").length - 1 <= 120, "at most 120 lines");
  assert.ok(text.split(/\s+/).length <= 900, "at most 900 words");
});

test("links of documents lead somewhere", () => {
  for (const document of DOCUMENTS) {
    const text = read(document);
    const targets = [...prose(text).replaceAll(/`[^`]*`/g, "").matchAll(/\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"/g)].map(
      ([, link, source]) => link ?? source,
    );
    for (const target of targets.filter((target) => !/^[a-z]+:/.test(target))) {
      const [path, anchor] = target.split("#");
      const file = join(dirname(realpathSync(join(WORKSPACE, document))), path);
      assert.ok(path === "" || existsSync(file), `${document} links to ${target}`);
      if (anchor === undefined) continue;
      const headings = anchors(path ? readFileSync(file, "utf8") : text);
      assert.ok(headings.includes(anchor), `${document} links to ${target}, which is no heading`);
    }
  }
});

/** The help of a program. */
const help = (name, ...args) => execFileSync(programPath(name), [...args, "--help"]).toString();
const flagsIn = (text) => [...text.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)].map(([flag]) => flag);

test("flags in documents exist", () => {
  const ours = ["connection-counter", "connection-counter-examples", "connection-counter-load"].map((name) => help(name));
  const load = ["run", "all"].map((command) => help("connection-counter-load", command));
  const known = new Set([...ours, ...load].flatMap(flagsIn));
  // Flags of cargo, npx, node and esbuild, and our custom properties.
  const others = /^--(release|nocapture|package|path|example|bin|open|yes|test|loader|public-path|ignore-scripts|viewers-[a-z]+)$/;
  for (const document of DOCUMENTS) {
    for (const flag of flagsIn(read(document))) {
      assert.ok(known.has(flag) || others.test(flag), `${document} names ${flag}, which no program of ours takes`);
    }
    for (const [variable] of read(document).matchAll(/CONNECTION_COUNTER_[A-Z_]+/g)) {
      assert.ok(ours[0].includes(`${variable}=`) || ours[0].includes(`${variable}]`), `${document} names ${variable}`);
    }
  }
});

test("every flag is documented, with its default", () => {
  const [common, limits] = help("connection-counter").split(/^Limits:$/m);
  const counter = limits.slice(limits.indexOf("\nViewer counts:"));
  const documented = new Map(rows(read("server/docs/run.md")).map(([flag, standard]) => [code(flag), standard]));
  for (const entry of `${common}${counter}`.split(/\n(?= {2,6}(?:-\w, )?--)/).slice(1)) {
    const [flag] = flagsIn(entry);
    if (["--help", "--version"].includes(flag)) continue;
    assert.ok(documented.has(flag), `run.md lacks ${flag}`);
    const standard = entry.match(/\[default: (.*)\]/)?.[1];
    const named = documented.get(flag);
    const expected = { true: "yes", false: "no" }[standard] ?? standard;
    if (expected) assert.equal(code(named) ?? named, expected, `the default of ${flag}`);
    else assert.equal(code(named), undefined, `${flag} has no default`);
  }
});

const camel = (name) => name.replaceAll(/-([a-z])/g, (_, letter) => letter.toUpperCase());

test("options in documents are those there are", () => {
  const types = read("widget/npm/index.d.ts");
  const body = types.slice(types.indexOf("export interface Options"), types.indexOf("export interface Handle"));
  const options = [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, name]) => name);
  assert.ok(options.length > 10, `${options}`);
  const table = (path) => {
    const text = read(path);
    return rows(text.slice(text.indexOf("## Options"), text.indexOf("\n## ", text.indexOf("## Options") + 1)));
  };
  const names = (path) => table(path).map(([name]) => camel(code(name)));
  assert.deepEqual(names("widget/npm/README.md").sort(), [...options].sort());
  // A tag cannot have functions. The choice of the engine is only for the tag.
  const onTag = options.filter((name) => name !== "pageOf").concat("engine");

  // The last one is Cloudflare's.
  const attributes = new Set(["viewers", "viewersIgnore", "viewersInside", "viewersLabel", ...onTag, "cfasync"]);
  for (const document of DOCUMENTS) {
    for (const [, name] of read(document).matchAll(/\bdata-([a-z]+(?:-[a-z]+)*)/g)) {
      assert.ok(attributes.has(camel(name)), `${document} names data-${name}`);
    }
  }
});

/** All commands in the documents, with the document of each. */
const commands = () =>
  DOCUMENTS.flatMap((document) => {
    const text = read(document);
    const inline = [...prose(text).matchAll(/`((?:npx|npm|cargo|node) [^`]+)`/g)].map(([, command]) => command);
    const indented = prose(text)
      .split("\n")
      .filter((line) => /^ {4}(npx|npm|cargo|node|target)\b/.test(line));
    return [...blockLines(text, "sh"), ...inline, ...indented].map((line) => ({
      document,
      command: line.trim().replace(/\s+#.*$/, ""),
    }));
  });

/** Runs a command that starts the server, with its flags, but on a free port and with a temporary folder. */
async function runServer(args, folder) {
  const given = args.filter((arg, idx) => ![arg, args[idx - 1]].some((part) => ["--listen", "--data"].includes(part)));
  // `openssl rand -hex 32` makes such a secret.
  const fill = (arg) => arg.replace("127.0.0.1:2000", "127.0.0.1:0").replace('"$SECRET"', "5e".repeat(32));
  const server = await Server.start(join(folder, "data"), given.map(fill));
  try {
    // Without a flag, `health` asks the server on this machine.
    const env = { CONNECTION_COUNTER_LISTEN: new URL(server.url).host };
    await run(programPath("connection-counter"), ["health"], { env: { ...process.env, ...env } });
    for (const { command } of commands().filter(({ command }) => command.startsWith("curl "))) {
      await run("curl", ["--fail", "--silent", command.slice(5).replaceAll("'", "").replace("http://127.0.0.1:1999", server.url)]);
    }
  } finally {
    assert.equal(await server.stop(), 0);
  }
}

/** Checks or runs a command. Returns `false` if it does not know the command. */
async function check(command, folder) {
  const [program, ...args] = command.split(" ");
  if (["connection-counter", "target/release/connection-counter"].includes(program)) {
    // `health` is asked of each server that runs.
    if (args[0] === "check") await run(programPath("connection-counter"), args);
    else if (args[0] !== "health" && args[0] !== "--help") await runServer(args, folder);
  } else if (program === "target/release/connection-counter-load") {
    assert.ok(help("connection-counter-load", args[0]).includes("Usage"));
  } else if (program === "npx") {
    // The tests are such a recipe themselves. The justfile shows what the others do.
    assert.deepEqual(args.slice(0, 2), ["--yes", "rust-just"]);
    await run("npx", ["--yes", "rust-just", "--dry-run", ...args.slice(2)], { cwd: WORKSPACE });
  } else if (program === "cargo") {
    const metadata = JSON.parse(await run("cargo", ["metadata", "--no-deps", "--format-version=1"], { cwd: WORKSPACE }));
    const targets = metadata.packages.flatMap(({ name, targets }) => [name, ...targets.map(({ name }) => name)]);
    for (const [, flag, name] of command.matchAll(/(-p|--package|--bin|--example) (\S+)/g)) {
      assert.ok(targets.includes(name), `${flag} ${name}`);
    }
    assert.ok(["build", "run", "doc", "test", "install"].includes(args[0]));
  } else if (program === "nats-server") {
    // With the documented flags, but on a free port.
    const stop = await startNats([...args, "-p", "-1"]);
    await stop();
  } else if (command.startsWith("npm run ")) {
    assert.ok(JSON.parse(read("examples/package.json")).scripts[args[1]], `examples has no script ${args[1]}`);
  } else if (command.startsWith("node --test ")) {
    assert.ok(existsSync(join(WORKSPACE, "examples", args[1])), `examples has no ${args[1]}`);
  } else if (command.startsWith("npm ci")) {
    assert.ok(existsSync(join(WORKSPACE, "examples/package-lock.json")));
  } else {
    // Other tests run these two: the package is installed from the server, and the server above is asked.
    return /^npm install https:\/\/live\.example\.(org|com)\/connection-counter\.tgz$|^npm pack$|^curl /.test(command);
  }
  return true;
}

test("commands in documents run", async () => {
  const folder = await mkdtemp(join(tmpdir(), "connection-counter-documents-"));
  try {
    for (const { document, command } of commands()) {
      assert.ok(await check(command, folder), `${document} says "${command}", which no test runs`);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
