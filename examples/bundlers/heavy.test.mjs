// The bundlers that are too heavy for every test run. `just test-bundlers` installs them and runs this.

import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { before } from "node:test";
import { fileURLToPath } from "node:url";

import { expectBothEntries } from "../tests/support/bundled.mjs";
import { createProject, install, run, startProgram } from "../tests/support/package.mjs";
import { serveFolder } from "../tests/support/pages.mjs";
import { story } from "../tests/support/story.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

story("package works when bundled by parcel", {}, async (stage) => {
  const { folder, remove } = await createProject();
  stage.onClose(remove);
  await cp(here("app"), folder, { recursive: true });
  await cp(here("parcel/package.json"), join(folder, "package.json"));
  await run(here("parcel/node_modules/.bin/parcel"), ["build", "default.html", "slim.html"], { cwd: folder });
  await expectBothEntries(stage, await serveFolder(stage, join(folder, "dist")), ".html");
});

const next = here("next/node_modules/.bin/next");
const inNext = { cwd: here("next"), env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1" } };
before(() => install(here("next")));

/** Opens both pages, and what React says of taking over the server's pages is on the console. */
async function expectNext(stage, command, flags) {
  const url = await startProgram(stage, next, [command, "--hostname", "127.0.0.1", "--port", "0", ...flags], inNext);
  const rendered = await (await fetch(`${url}/default`)).text();
  assert.match(rendered, /<span>nobody knows<\/span>/, "the server renders components without a count");

  const tabs = await expectBothEntries(stage, url, "");
  for (const tab of tabs) await tab.page.waitForFunction(() => document.querySelectorAll("span")[0].textContent === "1");
}

for (const bundler of ["turbopack", "webpack"]) {
  story(`package works when bundled by next with ${bundler}`, {}, async (stage) => {
    await rm(join(inNext.cwd, ".next"), { recursive: true, force: true });
    await run(next, ["build", `--${bundler}`], inNext);
    await expectNext(stage, "start", []);
  });

  // React checks only in development that both have rendered the same.
  story(`package works while one develops with next and ${bundler}`, {}, (stage) =>
    expectNext(stage, "dev", [`--${bundler}`]),
  );
}
