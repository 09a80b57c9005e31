// The npm package as users get it: packed, and unpacked in a project.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";

import { until } from "./until.mjs";

const PACKAGE = fileURLToPath(new URL("../../../widget/dist/npm", import.meta.url));
const OUR_MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));

/** Runs a program. If it fails, the error has everything that the program wrote. */
export async function run(program, args, options = {}) {
  try {
    return (await promisify(execFile)(program, args, options)).stdout;
  } catch (error) {
    throw new Error(`${[program, ...args].join(" ")}: ${error.code}\n${error.stdout}\n${error.stderr}`);
  }
}

/** The path of a program that comes with a package of the examples, such as `vite`. */
export const tool = (name) => join(OUR_MODULES, ".bin", name);

/** Packs the package into `folder`; answers with the file's path, and the paths of all that it holds. */
export async function pack(folder) {
  assert.ok(existsSync(PACKAGE), `the widget's npm package is not built: ${PACKAGE}`);
  const [{ filename, files }] = JSON.parse(
    await run("npm", ["pack", "--json", "--silent", "--pack-destination", folder], { cwd: PACKAGE }),
  );
  return { tarball: join(folder, filename), files: files.map(({ path }) => path) };
}

/** Installs the package in a project as npm would, without asking a registry; answers as `pack` does. */
export async function install(project) {
  const installed = join(project, "node_modules/connection-counter");
  await rm(installed, { recursive: true, force: true });
  await mkdir(installed, { recursive: true });
  const packed = await pack(join(project, "node_modules"));
  await run("tar", ["-xzf", packed.tarball, "-C", installed, "--strip-components=1"]);
  return { ...packed, installed };
}

/** Makes a new project with the package in it, and with these packages of ours beside it. `remove` ends it. */
export async function createProject(beside = []) {
  // Bundlers tell files apart by their real paths.
  const folder = await realpath(await mkdtemp(join(tmpdir(), "connection-counter-project-")));
  const packed = await install(folder);
  for (const name of beside) {
    const link = join(folder, "node_modules", name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(join(OUR_MODULES, name), link, "dir");
  }
  return { folder, ...packed, remove: () => rm(folder, { recursive: true, force: true }) };
}

/** Starts a program until the story ends, and answers with the address that it prints. */
export async function startProgram(stage, program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const output of [child.stdout, child.stderr]) output.on("data", (data) => (said += stripVTControlCharacters(`${data}`)));
  const ended = once(child, "exit");
  stage.onClose(async () => {
    child.kill();
    await ended;
  });
  return until(`${program} listens`, () => {
    if (child.exitCode !== null) throw new Error(`it ended with code ${child.exitCode}:\n${said}`);
    return said.match(/http:\/\/[\w.]+:\d+/)?.[0];
  });
}
