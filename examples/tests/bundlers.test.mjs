// Builds both entries of the npm package with each bundler, from the packed package, and opens them until counts appear. The
// heavier bundlers have separate tests in their folders.

import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { expectBothEntries } from "./support/bundled.mjs";
import { createProject, run, startProgram, tool } from "./support/package.mjs";
import { serveFolder } from "./support/pages.mjs";
import { story } from "./support/story.mjs";

const BUNDLERS = fileURLToPath(new URL("../bundlers", import.meta.url));

/** The arguments with which each bundler writes into `dist`. */
const BUILDS = {
  vite: ["vite", "build"],
  webpack: ["webpack"],
  rollup: ["rollup", "--config", "--dir", "dist"],
  esbuild: [
    ...["esbuild", "default.js", "slim.js", "--bundle", "--format=esm", "--outdir=dist"],
    ...["--loader:.wasm=file", "--public-path=/"],
  ],
};

/** A project with the pages, and what the bundler needs. */
async function createProjectFor(bundler) {
  const project = await createProject(["@rollup/plugin-node-resolve", "@web/rollup-plugin-import-meta-assets"]);
  await writeFile(join(project.folder, "package.json"), '{ "private": true, "type": "module" }');
  for (const part of ["app", bundler]) await cp(join(BUNDLERS, part), project.folder, { recursive: true });
  return project;
}

for (const [bundler, [program, ...args]] of Object.entries(BUILDS)) {
  story(`package works when bundled by ${bundler}`, {}, async (stage) => {
    const { folder, remove } = await createProjectFor(bundler);
    stage.onClose(remove);
    await run(tool(program), args, { cwd: folder });
    // Some bundlers do not copy pages, so they are copied here.
    const dist = join(folder, "dist");
    for (const page of ["default.html", "slim.html"]) await cp(join(folder, page), join(dist, page), { force: false });
    await expectBothEntries(stage, await serveFolder(stage, dist), ".html");
  });
}

story("package works while one develops with vite", {}, async (stage) => {
  const { folder, remove } = await createProjectFor("vite");
  stage.onClose(remove);
  const url = await startProgram(stage, tool("vite"), ["--host", "127.0.0.1", "--port", "0"], { cwd: folder });
  await expectBothEntries(stage, url, ".html");
});
