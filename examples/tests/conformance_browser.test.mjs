// Where a browser differs from Node: what a page may read of another origin, what it learns of a failed handshake, and React.
// The numbers are those of the list in COMING_FROM_PARTYKIT.md.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

import { bundle } from "./support/bundle.mjs";
import { html, servePages } from "./support/pages.mjs";
import { point } from "./support/partysockets.mjs";
import { story } from "./support/story.mjs";
import { DEADLINE_MS, until } from "./support/until.mjs";

/** A project's own pages, served beside its parties. */
const ASSETS = mkdtempSync(join(tmpdir(), "connection-counter-assets-"));
writeFileSync(join(ASSETS, "index.html"), html("", "<h1>One page for all</h1>"));
after(() => rmSync(ASSETS, { recursive: true }));

/** Opens a page of another origin than the server's, with this script and an empty `main`. */
async function openPage(client, stage, script) {
  // An import of "partysocket" gets the release that the test is about.
  const alias = client.package === "partysocket" ? {} : { partysocket: client.package };
  const code = await bundle(script, alias);
  const page = html("", `<main data-host="${client.host}"></main><script>${code}</script>`);
  return stage.openTab(await servePages(stage, () => page));
}

/** Runs a script in a page that has the client. */
async function openClient(client, stage) {
  const tab = await openPage(client, stage, 'import PartySocket from "partysocket"; window.PartySocket = PartySocket;');
  return {
    tab,
    /** Runs `script` in the page, with the host as its only argument, and returns its result within the deadline. */
    run(script) {
      const late = new Promise((_, reject) => {
        setTimeout(reject, DEADLINE_MS, new Error(`the page's script took more than ${DEADLINE_MS} ms`)).unref();
      });
      return Promise.race([tab.page.evaluate(script, client.host), late]);
    },
  };
}

point("14: browser fetches with a bare question mark", async (client, stage) => {
  const page = await openClient(client, stage);
  const said = await page.run(async (host) => {
    const room = { host, room: "a b" };
    const read = async (options, init) => (await PartySocket.fetch({ ...room, ...options }, init)).json();
    return [await read(), await read({ query: { x: "1" } }), await read({ path: "sub", party: "second-party_2" })];
  });
  assert.deepEqual(
    said.map(({ uri }) => uri),
    ["/parties/main/a%20b?", "/parties/main/a%20b?x=1", "/parties/second-party_2/a%20b/sub?"],
  );
});

point("12: browser asks before it sends what is unusual", async (client, stage) => {
  const page = await openClient(client, stage);
  const said = await page.run(async (host) => {
    const init = { method: "PUT", headers: { "x-unusual": "yes" }, body: "new" };
    return (await PartySocket.fetch({ host, room: "lobby" }, init)).json();
  });
  assert.deepEqual([said.method, said.body], ["PUT", "new"]);
});

point("9, 19, 21: browser talks text and bytes", async (client, stage) => {
  const page = await openClient(client, stage);
  const heard = await page.run(async (host) => {
    const protocols = ["chat.v2", "chat.v1"];
    const socket = new PartySocket({ host, room: "lobby", id: "ada", protocols });
    socket.send("first");
    socket.send(Uint8Array.of(0, 1, 255));
    socket.send(new Blob(["bytes of a blob"]));
    const heard = [];
    await new Promise((resolve) => {
      socket.addEventListener("message", async ({ data }) => {
        heard.push(data);
        if (heard.length === 4) resolve();
      });
    });
    const [greeting, text, bytes, blob] = heard;
    const { protocol } = socket;
    socket.close();
    return [JSON.parse(greeting).id, protocol, text, [...(await bytes.bytes())], await blob.text()];
  });
  assert.deepEqual(heard, ["ada", "chat.v2", "first", [0, 1, 255], "bytes of a blob"]);
});

point("10: browser learns why on_connect failed", async (client, stage) => {
  const page = await openClient(client, stage);
  const [events, code, reason] = await page.run(async (host) => {
    const query = { in: "connect" };
    const socket = new PartySocket({ host, party: "failing", room: "lobby", query, maxRetries: 0 });
    const events = [];
    for (const type of ["open", "message", "error"]) socket.addEventListener(type, () => events.push(type));
    const close = await new Promise((resolve) => socket.addEventListener("close", resolve));
    return [events, close.code, close.reason];
  });
  assert.deepEqual([events, code], [["open", "message"], 1011]);
  assert.match(reason, /^on_connect failed: é+$/);
});

point("11: browser comes back after a refusal", async (client, stage) => {
  const page = await openClient(client, stage);
  // The browser tells a page nothing of a refusal. It only writes to its console.
  page.tab.allow(/WebSocket connection to .* failed: HTTP Authentication failed/);
  const [greeting, codes] = await page.run(async (host) => {
    const tokens = [{}, { token: "ada" }];
    const query = async () => tokens.shift();
    const socket = new PartySocket({ host, party: "guarded", room: "lobby", query, minReconnectionDelay: 50 });
    const codes = [];
    socket.addEventListener("close", ({ code }) => codes.push(code));
    const { data } = await new Promise((resolve) => socket.addEventListener("message", resolve));
    socket.close();
    return [JSON.parse(data), codes];
  });
  assert.deepEqual(greeting, { user: "ada" });
  assert.ok(codes.length >= 1, "the refusal was a close event");
  assert.equal(page.tab.expected.length, 1);
});

/** A page that shows the messages of a room, can send some, and can move to another room. */
const REACT = `
  import { StrictMode, useState } from "react";
  import { createRoot } from "react-dom/client";
  import usePartySocket from "partysocket/react";

  const main = document.querySelector("main");

  function Room({ room }) {
    const [heard, setHeard] = useState([]);
    const socket = usePartySocket({
      host: main.dataset.host,
      party: "crowd",
      room,
      onOpen: ({ target }) => target.send('"recall"'),
      onMessage: ({ data }) => setHeard((heard) => [...heard, data]),
    });
    const say = () => socket.send(JSON.stringify({ say: { text: "hello from React", without: [] } }));
    return (
      <section id={room} data-id={socket.id}>
        <button id="say" onClick={say}>Say hello</button>
        <ol>{heard.map((message, nth) => <li key={nth}>{message}</li>)}</ol>
      </section>
    );
  }

  function House() {
    const [room, setRoom] = useState("lobby");
    return (
      <>
        {room && <Room room={room} />}
        <button id="move" onClick={() => setRoom("attic")}>Move</button>
        <button id="leave" onClick={() => setRoom(null)}>Leave</button>
      </>
    );
  }

  createRoot(main).render(<StrictMode><House /></StrictMode>);
`;

point("React hook joins, moves and leaves", async (client, stage) => {
  const observe = async (room) => {
    const line = client.connect({ party: "crowd", room });
    await until(`someone watches the ${room}`, () => line.opens === 1);
    return line;
  };
  const [lobby, attic] = [await observe("lobby"), await observe("attic")];
  const tab = await openPage(client, stage, REACT);
  /** Waits until the section of a room shows a message. `{id}` in its text is that of the section's connection. */
  const shown = (room, text) =>
    tab.page.waitForFunction(
      (room, text) => {
        // React draws a room with the connection that it had before, and then with its own.
        const id = document.getElementById(room)?.dataset.id;
        const items = [...document.querySelectorAll(`#${room} li`)];
        return items.some((item) => item.textContent.includes(text.replace("{id}", id))) && id;
      },
      { timeout: DEADLINE_MS, polling: 25 },
      room,
      text,
    );
  /** Waits until a room has answered the connection that its section shows, and returns its id. */
  const idIn = async (room) => (await shown(room, `/parties/crowd/${room}?_pk={id}`)).jsonValue();

  // In its strict mode React may connect twice, but must keep only the connection that it shows.
  const first = await idIn("lobby");
  await tab.page.click("#say");
  await shown("lobby", "hello from React");
  const said = ({ said }) => said === "hello from React";
  await until("the observer hears it", () => lobby.heard.some(said));
  assert.equal(lobby.heard.filter(said).length, 1);

  await tab.page.click("#move");
  const last = await idIn("attic");
  const left = (line, who) => line.heard.find(({ left }) => left === who);
  await until("it left the lobby", () => left(lobby, first));
  assert.equal(left(lobby, first).stay, 1, "no one but the observer stays");

  await tab.page.click("#leave");
  await until("it left the attic", () => left(attic, last));
  assert.deepEqual([left(attic, last).code, left(attic, last).stay], [1000, 1]);
});

story(
  "pages of one's own stand around the parties",
  { program: "connection-counter-conformance", serverArgs: ["--assets", ASSETS, "--single-page"] },
  async (stage) => {
    const tab = await stage.openTab(stage.server.url);
    assert.equal(await tab.page.$eval("h1", (heading) => heading.textContent), "One page for all");
    await tab.open(`${stage.server.url}/a/page/that/only/the/script/knows`);
    assert.equal(await tab.page.$eval("h1", (heading) => heading.textContent), "One page for all");

    // A request of the page itself is not a navigation, so it is found or not. A party's address stays a party's.
    tab.allow(/status of 404/);
    const answers = await tab.page.evaluate(async () => {
      const paths = ["/missing.js", "/parties/nowhere/lobby", "/parties/main/lobby", "/party/lobby"];
      const answers = await Promise.all(paths.map((path) => fetch(path)));
      return Promise.all(answers.map(async (answer) => [answer.status, (await answer.text()).slice(0, 7)]));
    });
    assert.deepEqual(answers, [
      [404, "nothing"],
      [404, 'party "'],
      [200, '{"body"'],
      [200, '{"body"'],
    ]);
    await tab.open(`${stage.server.url}/parties/main/lobby`);
    assert.match(await tab.page.$eval("body", (body) => body.textContent), /"room":"lobby"/);
    const nowhere = await tab.page.goto(`${stage.server.url}/parties/nowhere/lobby`);
    assert.equal(nowhere.status(), 404, "not even a navigation to a party is answered with the page");
  },
);
