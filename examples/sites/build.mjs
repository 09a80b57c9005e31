// Builds six real sites into target/sites: the manual with four themes for documentation, a dashboard with the cards of
// Bootstrap, and the Python documentation as Debian ships it. Run it with: npx --yes rust-just test-sites

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const MANUAL = fileURLToPath(new URL("../../server/docs/", import.meta.url));
const TARGET = fileURLToPath(new URL("../../target/sites/", import.meta.url));
/** What `pip install --target` has installed. */
const PYTHON = join(TARGET, "python");

const run = (folder, program, ...args) =>
  execFileSync(program, args, {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, PYTHONPATH: PYTHON, CI: "1", ASTRO_TELEMETRY_DISABLED: "1", NO_UPDATE_NOTIFIER: "1" },
  });
const runNode = (folder, file, ...args) => run(folder, process.execPath, join(HERE, "node_modules", file), ...args);

/** Pages of the manual by the names of their files, each without its heading, and the heading. */
const pages = readdirSync(MANUAL)
  .filter((file) => file.endsWith(".md"))
  .map((file) => {
    const [, title, body] = /^# (.*)\n([^]*)$/.exec(readFileSync(join(MANUAL, file), "utf8"));
    return { name: basename(file, ".md").replace("README", "index"), title, body: body.replaceAll("README.md", "index.md") };
  });

/** Writes the pages of the manual into a folder, with what comes before each. */
function writePages(folder, before = ({ title }) => `# ${title}\n`) {
  mkdirSync(folder, { recursive: true });
  for (const page of pages) writeFileSync(join(folder, `${page.name}.md`), before(page) + page.body);
}

/** A new folder for the source of a site, inside the one with the programs, which look for their packages from there. */
function sourceOf(name) {
  const folder = join(HERE, "node_modules", ".sources", name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}
const write = (folder, file, content) => {
  mkdirSync(join(folder, file, ".."), { recursive: true });
  writeFileSync(join(folder, file), content);
};

const builders = {
  python(target) {
    const packages = join(TARGET, "debian");
    const [file] = readdirSync(packages).filter((name) => /^python3\.\d+-doc_.*\.deb$/.test(name));
    run(packages, "dpkg-deb", "-x", file, "content");
    const [folder] = readdirSync(join(packages, "content/usr/share/doc")).filter((name) => /^python3\.\d+$/.test(name));
    cpSync(join(packages, "content/usr/share/doc", folder, "html"), target, { recursive: true });
    // They need libraries that are packages of their own.
    for (const name of readdirSync(target, { recursive: true }).filter((name) => name.endsWith(".html"))) {
      const page = readFileSync(join(target, name), "utf8");
      writeFileSync(join(target, name), page.replace(/<script[^>]* src="[^"]*_static[^>]*><\/script>/g, ""));
    }
  },

  furo(target) {
    const folder = sourceOf("furo");
    writePages(folder);
    write(folder, "conf.py", 'project = "connection-counter"\nextensions = ["myst_parser"]\nhtml_theme = "furo"\nsuppress_warnings = ["myst", "toc"]\n');
    const names = pages.map(({ name }) => name).filter((name) => name !== "index");
    write(folder, "index.md", `# The manual\n\n${pages.find(({ name }) => name === "index").body}\n\`\`\`{toctree}\n${names.join("\n")}\n\`\`\`\n`);
    run(folder, "python3", "-m", "sphinx", "-q", "-b", "html", ".", target);
  },

  material(target) {
    const folder = sourceOf("material");
    writePages(join(folder, "docs"));
    const features = "[navigation.tabs, navigation.sections, navigation.footer, toc.follow]";
    write(folder, "mkdocs.yml", `site_name: connection-counter\nuse_directory_urls: false\ntheme:\n  name: material\n  font: false\n  features: ${features}\n`);
    run(folder, "python3", "-m", "mkdocs", "build", "--quiet", "--site-dir", target);
  },

  vitepress(target) {
    const folder = sourceOf("vitepress");
    writePages(folder);
    const items = pages.map(({ name, title }) => ({ text: title, link: `/${name}` }));
    const nav = items.slice(0, 3);
    const config = {
      title: "connection-counter",
      ignoreDeadLinks: true,
      outDir: target,
      themeConfig: { nav, sidebar: [{ text: "Manual", items }], socialLinks: [{ icon: "github", link: "/source" }] },
    };
    write(folder, "package.json", '{ "type": "module" }');
    write(folder, ".vitepress/config.mjs", `export default ${JSON.stringify(config)};\n`);
    const actions = [{ theme: "brand", text: "Get started", link: "/first-site" }, { theme: "alt", text: "Embed it", link: "/embed" }];
    const features = items.slice(1, 4).map(({ text, link }) => ({ title: text, details: "More about it.", link, linkText: "Read on" }));
    const home = { layout: "home", hero: { name: "connection-counter", text: "Live viewers", actions }, features };
    write(folder, "home.md", `---\n${JSON.stringify(home)}\n---\n`);
    runNode(folder, "vitepress/bin/vitepress.js", "build", ".");
  },

  docusaurus(target) {
    const folder = sourceOf("docusaurus");
    writePages(join(folder, "docs"));
    const config = {
      title: "connection-counter",
      url: "https://live.example.org",
      baseUrl: "/",
      onBrokenLinks: "ignore",
      onBrokenAnchors: "ignore",
      markdown: { format: "md", hooks: { onBrokenMarkdownLinks: "ignore", onBrokenMarkdownImages: "ignore" } },
      presets: [["classic", { blog: false, docs: { routeBasePath: "/" }, theme: {} }]],
      themeConfig: {
        navbar: { title: "connection-counter", items: [{ to: "/embed", label: "Embed", position: "left" }, { href: "https://example.org", label: "Elsewhere", position: "right" }] },
        footer: { style: "dark", links: [{ title: "Manual", items: [{ label: "Run it", to: "/run" }] }] },
      },
    };
    write(folder, "package.json", "{}");
    write(folder, "docusaurus.config.js", `module.exports = ${JSON.stringify(config)};\n`);
    write(folder, "docs/parties/_category_.json", '{ "label": "Parties", "link": { "type": "generated-index", "slug": "/parties-of-ones-own" } }');
    write(folder, "docs/parties/chat.md", "# A chat\n\nSee [how parties are written](../parties.md).\n");
    runNode(folder, "@docusaurus/core/bin/docusaurus.mjs", "build", "--out-dir", target);
  },

  // Its pages take scripts from elsewhere, and its cards lead nowhere.
  bootstrap(target) {
    const modules = join(HERE, "node_modules");
    cpSync(join(modules, "startbootstrap-sb-admin/dist"), target, { recursive: true });
    cpSync(join(modules, "bootstrap/dist/js/bootstrap.bundle.min.js"), join(target, "js/bootstrap.js"));
    cpSync(join(modules, "@fortawesome/fontawesome-free/js/all.min.js"), join(target, "js/icons.js"));
    const cards = ["tables", "charts", "login", "register"];
    for (const file of readdirSync(target).filter((name) => name.endsWith(".html"))) {
      const page = readFileSync(join(target, file), "utf8")
        .replace(/https:\/\/cdn[^"]*bootstrap\.bundle\.min\.js/, "js/bootstrap.js")
        .replace(/https:\/\/use\.fontawesome[^"]*/, "js/icons.js")
        .replace(/<(script|link)[^>]*"(https:|assets\/demo|js\/datatables)[^>]*>(<\/script>)?/g, "")
        .replace(/href="#">View Details/g, () => `href="${cards.shift() ?? "index"}.html">View Details`);
      writeFileSync(join(target, file), page);
    }
  },
};

const asked = process.argv.slice(2);
for (const [name, build] of Object.entries(builders)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const target = join(TARGET, "built", name);
  rmSync(target, { recursive: true, force: true });
  console.log(`building ${name}`);
  build(target);
}
