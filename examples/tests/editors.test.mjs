// Editors save text as it is in the page. So editable text must not contain anything of ours.

import assert from "node:assert/strict";

import { startFakeServer, update } from "./support/fake_server.mjs";
import { html, servePages } from "./support/pages.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

/** A page with this body. All its links lead to pages with 7 viewers. */
async function openPage(stage, body) {
  const { url } = await startFakeServer(stage, {
    connected: (socket, asked) =>
      socket.on("message", () => socket.send(update(Object.fromEntries([...asked].map((id) => [id, 7]))))),
  });
  const site = await servePages(stage, () => html(`<script async src="${url}/live.js"></script>`, body));
  return stage.openTab(`${site}/`);
}

/** The HTML that an editor would save of an element. */
const saved = (tab, selector) => tab.page.$eval(selector, (element) => element.innerHTML);

const PLAIN = '<p><a class="plain" href="/x">x</a></p>';

for (const attribute of ["contenteditable", 'contenteditable="true"', 'contenteditable="plaintext-only"', 'contenteditable="TRUE"']) {
  story(`text in ${attribute} is saved as it was`, {}, async (stage) => {
    const text = '<p>One <a href="/x">x</a> <span contenteditable="false"><a href="/y">island</a></span></p>';
    const tab = await openPage(stage, `${PLAIN}<div id="text" ${attribute}>${text}</div>`);
    await tab.expectViewers(".plain", 7);
    assert.equal(await saved(tab, "#text"), text);
    // A link that is typed or pasted, and a link that changes.
    await tab.page.evaluate(() => {
      const [typed, changed] = [document.createElement("a"), document.querySelector("#text a")];
      typed.href = "/z";
      changed.href = "/w";
      document.querySelector("#text p").append(typed);
      document.querySelector(".plain").parentNode.insertAdjacentHTML("afterend", '<a class="marker" href="/x">x</a>');
    });
    await tab.expectViewers(".marker", 7);
    assert.doesNotMatch(await saved(tab, "#text"), /viewers/);
  });
}

story("link that is itself edited is left alone", {}, async (stage) => {
  const tab = await openPage(stage, `${PLAIN}<div id="text"><a contenteditable href="/x">x</a></div>`);
  await tab.expectViewers(".plain", 7);
  assert.equal(await saved(tab, "#text"), '<a contenteditable="" href="/x">x</a>');
});

story("numbers leave text that comes to be edited, and return", {}, async (stage) => {
  const tab = await openPage(stage, `${PLAIN}<div id="text"><a href="/x">x</a></div>`);
  await tab.expectViewers("a", 7);
  await tab.page.$eval("#text", (element) => (element.contentEditable = "true"));
  await until("the text is as it was", async () => (await saved(tab, "#text")) === '<a href="/x">x</a>');
  await tab.expectViewers(".plain", 7);
  await tab.page.$eval("#text", (element) => (element.contentEditable = "inherit"));
  await tab.expectViewers("a", 7);
});

story("numbers leave a page that comes to be edited as a whole, and return", {}, async (stage) => {
  const tab = await openPage(stage, PLAIN);
  await tab.expectViewers("a", 7);
  await tab.page.evaluate(() => (document.designMode = "on"));
  await until("the page is as it was", async () => (await saved(tab, "body")).startsWith(PLAIN));
  // Content that is pasted now gets no number either.
  await tab.page.evaluate(() => document.querySelector("p").insertAdjacentHTML("beforeend", '<a href="/pasted">x</a>'));
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.doesNotMatch(await saved(tab, "body"), /viewers/);
  await tab.page.evaluate(() => (document.designMode = "off"));
  await tab.expectViewers("a", 7);
});

story("page that is edited from the start shows no numbers", {}, async (stage) => {
  const tab = await openPage(stage, `<script>document.designMode = "on"</script>${PLAIN}`);
  await until("the widget runs", () => tab.page.evaluate(() => window[Symbol.for("connection-counter")]?.handle?.ready.then(() => true)));
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.doesNotMatch(await saved(tab, "body"), /data-viewers/);
});
