// Installs the npm package from the server.

import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { run } from "./support/package.mjs";
import { story } from "./support/story.mjs";

story("package is installed from the server", {}, async (stage) => {
  const project = await mkdtemp(join(tmpdir(), "connection-counter-install-"));
  stage.onClose(() => rm(project, { recursive: true, force: true }));
  await writeFile(join(project, "package.json"), '{ "private": true, "type": "module" }');
  const answer = await fetch(`${stage.server.url}/connection-counter.tgz`);
  assert.equal(answer.headers.get("content-type"), "application/gzip");
  await run("npm", ["install", "--no-audit", "--no-fund", `${stage.server.url}/connection-counter.tgz`], { cwd: project });
  const app = `import { start } from "connection-counter"; const handle = start({ server: "https://x" }); await handle.ready; console.log(handle.total);`;
  assert.equal((await run(process.execPath, ["--input-type=module", "--eval", app], { cwd: project })).trim(), "0");
});
