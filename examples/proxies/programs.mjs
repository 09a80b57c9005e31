// The proxies as Debian packages them, each run as a process of its own in a temporary folder, with TLS.

import { execFile, spawn } from "node:child_process";
import https from "node:https";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { until } from "../tests/support/until.mjs";
import { freePort } from "../tests/support/ports.mjs";

const MODULES = "/usr/lib/apache2/modules";
/** Debian has no Traefik: the recipe of these tests takes it from PyPI. */
const TRAEFIK = new URL("../../target/traefik/bin/traefik", import.meta.url).pathname;
/** What a proxy needs before the snippets of its page make sense, and how it is started in the foreground. */
export const PROXIES = {
  nginx: {
    config: (folder, snippet) =>
      `daemon off; pid ${folder}/pid; error_log stderr warn; worker_processes 1; user root;
       events { worker_connections 256; }
       http { access_log off; client_body_temp_path ${folder}; proxy_temp_path ${folder};
         fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
         ${snippet} }`,
    command: (config) => ["nginx", "-c", config],
  },
  apache: {
    config: (folder, snippet, port) =>
      `ServerRoot ${folder}
       PidFile ${folder}/pid
       ErrorLog ${folder}/error.log
       DefaultRuntimeDir ${folder}
       ServerName 127.0.0.1
       Listen 127.0.0.1:${port}
       ${["mpm_event", "authz_core", "socache_shmcb", "ssl", "proxy", "proxy_http"]
         .map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`)
         .join("\n")}
       ${snippet}`,
    command: (config) => ["apache2", "-X", "-f", config],
  },
  haproxy: {
    config: (_folder, snippet) => `global\n  log stderr format raw local0 notice\n${snippet}`,
    command: (config) => ["haproxy", "-db", "-f", config],
  },
  caddy: {
    config: (_folder, snippet) => `{\n admin off\n auto_https disable_redirects\n skip_install_trust\n}\n${snippet}`,
    command: (config) => ["caddy", "run", "--adapter", "caddyfile", "--config", config],
  },
  traefik: {
    language: "yaml",
    config: (_folder, snippet, _port, { key, pem }) =>
      `${snippet}tls:\n  certificates:\n    - { certFile: ${pem}, keyFile: ${key} }\n`,
    command: (config, port) => [
      TRAEFIK,
      `--entryPoints.websecure.address=127.0.0.1:${port}`,
      `--providers.file.filename=${config}`,
      "--log.level=WARN",
      // Some versions were this strict by default.
      ...["Slash", "BackSlash", "Percent", "QuestionMark", "Hash", "Semicolon", "NullCharacter"].map(
        (name) => `--entryPoints.websecure.http.encodedCharacters.allowEncoded${name}=false`,
      ),
      "--global.checkNewVersion=false",
      "--global.sendAnonymousUsage=false",
    ],
    suffix: ".yml",
  },
};

/** The snippets for a proxy, in the order of its page: for a host of its own, and below a path. Other pages may have some, too. */
export async function snippetsOf(name, page = `proxies/${name}`) {
  const text = await readFile(new URL(`../../server/docs/${page}.md`, import.meta.url), "utf8");
  const language = PROXIES[name].language ?? name;
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, snippet]) => snippet);
}

/** Makes a certificate for localhost, alone and together with its key in one file. */
async function makeCertificate(folder) {
  const [key, pem, both] = ["key", "pem", "both.pem"].map((name) => join(folder, name));
  const request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost";
  await promisify(execFile)("openssl", [...request.split(" "), "-keyout", key, "-out", pem]);
  await writeFile(both, (await readFile(pem, "utf8")) + (await readFile(key, "utf8")));
  return { key, pem, both };
}

/** The snippet as it is, but for the port it listens on, the server's address, and where its certificate is. */
function fitted(snippet, port, server, { key, pem, both }) {
  return snippet
    .replaceAll("127.0.0.1:1999", new URL(server).host)
    .replace(/listen 443 ssl;/, `listen 127.0.0.1:${port} ssl;`)
    .replace(/<VirtualHost \*:443>/, `<VirtualHost 127.0.0.1:${port}>`)
    .replace(/bind :443 /, `bind 127.0.0.1:${port} `)
    .replace(/^(live\.)?example\.org \{/m, `https://localhost:${port} {\n    tls ${pem} ${key}`)
    .replace(/Host\(`(live\.)?example\.org`\)/, "Host(`localhost`)")
    .replace("tls: { certResolver: letsencrypt }", "tls: {}")
    .replace(/\/etc\/ssl\/\S+?\.key/g, key)
    .replace(/crt \/etc\/ssl\/\S+?\.pem/g, `crt ${both}`)
    .replace(/\/etc\/ssl\/\S+?\.pem/g, pem);
}

/** Starts a proxy with this snippet in front of `server` until the story ends. Answers with its address. */
export async function startReal(stage, name, snippet, server) {
  const folder = await mkdtemp(join(tmpdir(), "connection-counter-"));
  stage.onClose(() => rm(folder, { recursive: true, force: true }));
  const port = await freePort();
  const { config, command, suffix = "" } = PROXIES[name];
  const path = join(folder, `config${suffix}`);
  const certificate = await makeCertificate(folder);
  await writeFile(path, config(folder, fitted(snippet, port, server, certificate), port, certificate));

  const [program, ...args] = command(path, port);
  const child = spawn(program, args, { env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
  let log = "";
  child.on("error", (error) => (log += error));
  for (const output of [child.stdout, child.stderr]) output.on("data", (data) => (log += data));
  const exited = new Promise((resolve) => child.once("exit", resolve));
  stage.onClose(async () => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
    await exited;
    clearTimeout(timer);
  });
  await until(`${name} serves; its log: ${log}`, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended with code ${child.exitCode}:\n${log}`);
    return serves(port);
  });
  return { url: `https://localhost:${port}/`, get log() { return log; } };
}

/** Whether the proxy on this port hands out the widget, wherever it has it: some listen before they have read what they serve. */
async function serves(port) {
  const statuses = await Promise.all(["live.js", "live/live.js"].map((path) => statusOf(`https://localhost:${port}/${path}`)));
  return statuses.includes(200);
}

function statusOf(url) {
  return new Promise((resolve) => {
    const request = https.get(url, { rejectUnauthorized: false, agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode));
    });
    request.once("error", () => resolve(undefined));
  });
}
