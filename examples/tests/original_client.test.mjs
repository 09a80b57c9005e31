// A browser client like that of the original example: without the widget, with `partysocket` alone, ids such as `a`, and fixed
// links.

import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { DEADLINE_MS } from "./support/until.mjs";

/** Which page leads where. */
const LINKS = { a: ["b", "c", "d"], b: ["a", "b", "c"], c: ["a", "b", "d"], d: ["a"] };

/** Reads its room from the address and its links from the page, and shows the counts as `data-count`. */
const CLIENT = `
  import PartySocket from "partysocket";

  const { host } = document.currentScript.dataset;
  const socket = new PartySocket({ host, party: "page", room: location.pathname.split("/").pop() });
  const links = [...document.links].map(({ id }) => id);
  socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe", links }));
  socket.onmessage = ({ data }) => {
    const { type, connections } = JSON.parse(data);
    if (type !== "update") return;
    for (const id in connections) document.getElementById(id)?.setAttribute("data-count", connections[id]);
  };
`;

story("client of the original example shows counts", {}, async (stage) => {
  const stdin = { contents: CLIENT, resolveDir: fileURLToPath(new URL(".", import.meta.url)) };
  const { outputFiles } = await build({ stdin, bundle: true, write: false, format: "iife", logLevel: "error" });
  const client = outputFiles[0].text.replaceAll("</script", "<\\/script");
  const { host } = new URL(stage.server.url);

  const site = await servePages(stage, (path) => {
    const links = LINKS[path.split("/").pop()].map((page) => `<a id="${page}" href="/pages/${page}">${page}</a>`);
    return html("", `${links.join(" ")}<script data-host="${host}">${client}</script>`);
  });
  const open = (page) => stage.openTab(`${site}/pages/${page}`);
  const expectCount = (tab, page, count) =>
    tab.page.waitForSelector(`#${page}[data-count="${count}"]`, { timeout: DEADLINE_MS });

  const a = await open("a");
  await expectCount(a, "b", 0);
  const b = await open("b");
  await expectCount(a, "b", 1);
  await expectCount(b, "a", 1);
  await expectCount(b, "b", 1);

  const d = await open("d");
  await expectCount(a, "d", 1);
  await d.close();
  await expectCount(a, "d", 0);
});
