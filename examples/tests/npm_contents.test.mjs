// The contents of the npm package, what common tools say about it, and what it does without a page.

import assert from "node:assert/strict";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { parse } from "acorn-6";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

import { createProject, run, tool } from "./support/package.mjs";

const TYPES = fileURLToPath(new URL("types", import.meta.url));

let project;
before(async () => (project = await createProject(["react", "react-dom", "vue", "@types/react"])));
after(() => project?.remove());

/** Runs a module of an app in Node, without a DOM, and returns the JSON that it printed. */
const runApp = async (app) =>
  JSON.parse(await run(process.execPath, ["--input-type=module", "--eval", app], { cwd: project.folder }));

test("package holds nothing surplus", () => {
  assert.deepEqual(project.files.toSorted(), [
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "extras.js",
    "index.d.ts",
    "index.js",
    "no-wasm.d.ts",
    "no-wasm.js",
    "package.json",
    "react.d.ts",
    "react.js",
    "slim.d.ts",
    "slim.js",
    "vue.d.ts",
    "vue.js",
    "widget.wasm",
  ]);
});

test("webpack 4 can read all but the entry with a module beside it", async () => {
  // This is webpack 4's parser with its options. It does not know `import.meta`.
  const files = project.files.filter((file) => file.endsWith(".js") && file !== "slim.js");
  assert.equal(files.length, 5);
  for (const file of files) {
    const text = await readFile(join(project.installed, file), "utf8");
    assert.ok(parse(text, { ecmaVersion: 11, sourceType: "module" }).body.length > 0, file);
  }
  const { main } = JSON.parse(await readFile(join(project.installed, "package.json"), "utf8"));
  assert.ok(files.includes(main.replace("./", "")), "it knows no exports, only main");
});

test("publint finds nothing to improve", async () => {
  const { messages, pkg } = await publint({ pkgDir: project.installed, strict: true });
  assert.deepEqual(
    messages.map((message) => formatMessage(message, pkg, { color: false })),
    [],
  );
});

test("types are found by every module resolution", async () => {
  // All files are ES modules, which CommonJS can import, and wasm has no types.
  const args = ["--profile", "esm-only", "--exclude-entrypoints", "./widget.wasm", "--format", "ascii"];
  await run(tool("attw"), [project.tarball, ...args]);
});

test("types fit what apps do", async () => {
  await cp(TYPES, project.folder, { recursive: true });
  await run(tool("tsc"), ["--project", project.folder]);
});

/** The code of a fenced block in a README. Of a Vue component it is the script, with the macros that Vue knows. */
function snippet(language, code) {
  if (language !== "vue") return code;
  const [, script] = code.match(/<script setup lang="ts">\n([^]*?)<\/script>/);
  return `declare function defineProps<T>(): T;\n${script}`;
}

test("code of the README compiles in a strict project", async () => {
  const readme = await readFile(join(project.installed, "README.md"), "utf8");
  const folder = join(project.folder, "readme");
  await mkdir(folder);
  const blocks = [...readme.matchAll(/^```(\w+)\n([^]*?)^```/gm)].map(([, language, code]) => [language, snippet(language, code)]);
  const ours = blocks.filter(([, code]) => !code.includes("--loader:.wasm"));
  assert.deepEqual(ours.map(([language]) => language), ["js", "ts", "tsx", "tsx", "vue", "ts"]);
  for (const [idx, [language, code]] of ours.entries()) {
    await writeFile(join(folder, `${idx}.${language === "tsx" ? "tsx" : "ts"}`), `${code}\nexport {};\n`);
  }
  const config = JSON.parse(await readFile(join(TYPES, "tsconfig.json"), "utf8"));
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  await run(tool("tsc"), ["--project", folder]);
});

for (const entry of ["connection-counter", "connection-counter/slim", "connection-counter/no-wasm"]) {
  test(`${entry} does nothing on a server`, async () => {
    const found = await runApp(
      `const before = Reflect.ownKeys(globalThis).length;
       const { count, start, subscribe } = await import("${entry}");
       const heard = [];
       const leave = subscribe("/one", (viewers) => heard.push(viewers));
       const handle = start({ server: "https://live.example.com" });
       await handle.ready;
       handle.subscribe(undefined, (viewers) => heard.push(viewers))();
       const known = [count(), handle.count("/one")].filter((viewers) => viewers !== undefined);
       handle.stop();
       leave();
       console.log(JSON.stringify({ heard, known, total: handle.total, left: Reflect.ownKeys(globalThis).length - before }));`,
    );
    assert.deepEqual(found, { heard: [], known: [], total: 0, left: 0 });
  });
}

test("React components render on a server", async () => {
  const rendered = await runApp(
    `import { createElement } from "react";
     import { renderToString } from "react-dom/server";
     import { ViewerCount, useViewers } from "connection-counter/react";
     const Page = () => createElement("p", null, String(useViewers("/one")), createElement(ViewerCount, { title: "now" }, "?"));
     console.log(JSON.stringify(renderToString(createElement(Page))));`,
  );
  assert.equal(rendered, '<p>undefined<span title="now">?</span></p>');
});

test("Vue components render on a server", async () => {
  const rendered = await runApp(
    `import { createSSRApp, h } from "vue";
     import { renderToString } from "vue/server-renderer";
     import { ViewerCount, useViewers } from "connection-counter/vue";
     const setup = () => {
       const viewers = useViewers(() => "/one");
       return () => h("p", [String(viewers.value), h(ViewerCount, { title: "now" }, () => "?")]);
     };
     console.log(JSON.stringify(await renderToString(createSSRApp({ setup }))));`,
  );
  // Vue marks the beginning and the end of the slot.
  assert.equal(rendered, '<p>undefined<span title="now">?</span></p>');
});
