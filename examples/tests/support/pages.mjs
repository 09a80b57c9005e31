// A web site of a test's own, for pages that are no example.

import { once } from "node:events";
import { createServer } from "node:http";

/**
 * Serves pages from an origin of their own until the story ends.
 * @param {import("./story.mjs").Stage} stage
 * @param {(path: string) => string | undefined} page the page of a path
 */
export async function servePages(stage, page) {
  const site = createServer((request, response) => {
    const html = page(new URL(request.url, "http://site").pathname);
    response.writeHead(html === undefined ? 404 : 200, { "content-type": "text/html; charset=utf-8" });
    response.end(html);
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  stage.onClose(async () => {
    const closed = once(site, "close");
    site.close();
    site.closeAllConnections();
    await closed;
  });
  return `http://127.0.0.1:${site.address().port}`;
}

/** A page with the given head and body, and no favicon to ask for. */
export function html(head, body) {
  const fixed = '<meta charset="utf-8"><title>Test</title><link rel="icon" href="data:,">';
  return `<!doctype html><html lang="en"><head>${fixed}${head}</head><body>${body}</body></html>`;
}
