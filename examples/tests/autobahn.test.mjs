// The Autobahn suite: it tests what the WebSocket standard demands of frames, text, closes and large messages. It tests an echo
// party, through the sockets that every connection uses. Its cases of compression are left out, because the server offers none.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Server } from "./support/programs.mjs";

/** Where `just _autobahn` puts the program that runs the suite. */
const KOSOKU = fileURLToPath(new URL("../../target/kosoku", import.meta.url));
/** The cases of RFC 6455. */
const CASES = 301;
/** The suite sends messages of 16 MiB, and many at once. The server's defaults do not allow that. */
const LIMITS = [
  ["--max-message-bytes", "16777216"],
  ["--max-send-queue-bytes", "67108864"],
  ["--message-burst", "1000000"],
].flat();
/** How a case may end. `NON-STRICT` is right but late, and `INFORMATIONAL` is neither right nor wrong. */
const RIGHT = ["OK", "NON-STRICT", "INFORMATIONAL"];

/** Runs the suite against an address. Returns how each case ended. */
async function autobahn(address, folder) {
  assert.ok(existsSync(KOSOKU), "the Autobahn suite is not installed; run: just _autobahn");
  const args = ["--exclude", "12.*", "--exclude", "13.*", "--parallelism", "4", "--outdir", folder, address];
  const script = "from kosoku._cli import main; main()";
  const suite = spawn("python3", ["-c", script, ...args], { env: { ...process.env, PYTHONPATH: KOSOKU } });
  let said = "";
  for (const output of [suite.stdout, suite.stderr]) output.on("data", (data) => (said += data));
  await once(suite, "close");
  const report = join(folder, "index.json");
  assert.ok(existsSync(report), `the suite did not run:\n${said}`);
  return Object.values(JSON.parse(await readFile(report)))[0];
}

test("the Autobahn suite finds nothing wrong", { timeout: 600_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "connection-counter-"));
  const server = await Server.start(join(folder, "data"), LIMITS, "connection-counter-conformance");
  try {
    const cases = await autobahn(`${server.url.replace("http", "ws")}/parties/echo/autobahn`, join(folder, "report"));
    const wrong = Object.entries(cases).filter(
      ([, { behavior, behaviorClose }]) => !RIGHT.includes(behavior) || !RIGHT.includes(behaviorClose),
    );
    assert.deepEqual(wrong, []);
    assert.equal(Object.keys(cases).length, CASES);
  } finally {
    assert.equal(await server.stop(), 0, server.log);
    await rm(folder, { recursive: true, force: true });
  }
});
