// A web site for a test, with pages that are not examples.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";

import { listen } from "./listening.mjs";

const CONTENT_TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/** Serves an origin of its own until the story ends: `answer` turns a path into content and its type, or nothing. */
async function serve(stage, answer) {
  const site = createServer(async (request, response) => {
    const { content, type, location } = (await answer(new URL(request.url, "http://site").pathname)) ?? {};
    const status = location ? 302 : content === undefined ? 404 : 200;
    response.writeHead(status, { "content-type": type ?? "text/plain", ...(location && { location }) });
    response.end(content);
  });
  return listen(stage, site);
}

/**
 * Serves pages from an origin of their own until the story ends.
 * @param {import("./story.mjs").Stage} stage
 * @param {(path: string) => string | undefined | Promise<string | undefined>} page the page of a path
 */
export const servePages = (stage, page) =>
  serve(stage, async (path) => ({ content: await page(path), type: CONTENT_TYPES[".html"] }));

/** Serves the same page at all paths but one, which redirects to another. */
export const serveRedirect = (stage, from, to, content) =>
  serve(stage, async (path) => (path === from ? { content: "", location: to } : { content, type: CONTENT_TYPES[".html"] }));

/** Serves the files of a folder from an origin of their own until the story ends. */
export const serveFolder = (stage, folder) =>
  serve(stage, async (path) => ({
    content: await readFile(join(folder, path)).catch(() => undefined),
    type: CONTENT_TYPES[extname(path)],
  }));

/**
 * Serves a web site that lies in a folder, with more in the head of each page. Addresses may leave out `.html` and `index.html`.
 */
export const serveSite = (stage, folder, head) =>
  serve(stage, async (path) => {
    for (const file of [path, `${path}.html`, `${path}/index.html`]) {
      const content = await readFile(join(folder, file)).catch(() => undefined);
      const type = CONTENT_TYPES[extname(file)];
      if (content) return { type, content: file.endsWith(".html") ? String(content).replace("</head>", () => `${head}</head>`) : content };
    }
  });

/** A page with the given head and body, and no favicon to ask for. */
export function html(head, body) {
  const fixed = '<meta charset="utf-8"><title>Test</title><link rel="icon" href="data:,">';
  return `<!doctype html><html lang="en"><head>${fixed}${head}</head><body>${body}</body></html>`;
}
