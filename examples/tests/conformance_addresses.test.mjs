// Which address leads to which room: addresses, ids, methods, prefixes. The numbers are those of the list in
// COMING_FROM_PARTYKIT.md.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";

import WebSocket from "ws";

import { point } from "./support/partysockets.mjs";

/** Sends a GET of exactly this path, in a spelling that no client would use. Returns the status and the text. */
async function get(host, path) {
  const [hostname, port] = host.split(":");
  const [answer] = await once(request({ hostname, port, path }).end(), "response");
  return { status: answer.statusCode, text: (await answer.setEncoding("utf8").toArray()).join("") };
}

point("1: both addresses lead to one room", async (client) => {
  // Releases before 1.0.2 asked for this address.
  const old = client.connect({ basePath: "party/lobby" });
  const { party, room, connections } = await old.next();
  assert.deepEqual({ party, room, connections }, { party: "main", room: "lobby", connections: 1 });

  const unnamed = client.connect();
  assert.equal((await unnamed.next()).connections, 2);
  const named = client.connect({ party: "main" });
  assert.equal((await named.next()).connections, 3);
  const other = client.connect({ party: "second-party_2" });
  assert.equal((await other.next()).connections, 1);
});

point("2: sub-path and query stay in the uri", async (client) => {
  const line = client.connect({ path: "deep/er path/ü", query: { x: "1", gone: null, y: "a b" }, id: "ada" });
  const uri = "/parties/main/lobby/deep/er%20path/%C3%BC";
  assert.equal((await line.next()).uri, `${uri}?_pk=ada&x=1&y=a+b`);

  const answer = await (await client.fetch({ path: "deep/er path/ü", query: { x: "1" } })).json();
  assert.equal(answer.uri, `${uri}?x=1`);
  assert.equal(answer.room, "lobby");
});

point("2: room is decoded once", async (client) => {
  for (const [asked, room, uri] of [
    ["a b", "a b", "/parties/main/a%20b"],
    ["ü", "ü", "/parties/main/%C3%BC"],
    ["a%2Fb", "a/b", "/parties/main/a%2Fb"],
    ["100%25", "100%", "/parties/main/100%25"],
    ["%2525", "%25", "/parties/main/%2525"],
  ]) {
    const greeting = await client.connect({ room: asked, id: "ada" }).next();
    assert.deepEqual([greeting.room, greeting.uri], [room, `${uri}?_pk=ada`]);
    assert.equal((await (await client.fetch({ room: asked })).json()).room, room);
  }
  assert.equal((await client.fetch({ room: "%FF" })).status, 400);
});

point("3: _pk is the connection's id", async (client) => {
  const random = client.connect();
  assert.equal((await random.next()).id, random.socket.id);
  random.socket.reconnect();
  assert.equal((await random.next()).id, random.socket.id, "it is the same after a reconnect");

  for (const id of ["ada", "ü&=?/#%", "a b+c"]) {
    const line = client.connect({ id });
    assert.equal((await line.next()).id, id);
    assert.equal(line.socket.id, id);
  }
});

point("3: id is made up where _pk is missing", async (client, stage) => {
  const ids = new Set();
  for (const query of ["", "?", "?x=1", "?_pk=", "?_pkx=1"]) {
    const socket = new WebSocket(`ws://${client.host}/parties/main/lobby${query}`);
    stage.onClose(() => socket.close());
    const [greeting] = await once(socket, "message");
    const { id } = JSON.parse(greeting);
    assert.match(id, /^[0-9a-f-]{36}$/, query);
    ids.add(id);
  }
  assert.equal(ids.size, 5);
});

point("3: of two _pk the first counts", async (client) => {
  const line = client.connect({ id: "ada", basePath: "parties/main/lobby", query: { _pk: "mallory" } });
  // The query cannot overwrite the id, because the client puts its own first.
  assert.equal((await line.next()).id, "ada");
});

point("12: room answers every method", async (client) => {
  for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "PURGE"]) {
    const body = method === "GET" ? undefined : `body of ${method}`;
    const answer = await client.fetch({ path: "sub" }, { method, body });
    assert.equal(answer.status, 200, method);
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
    const said = await answer.json();
    assert.deepEqual([said.method, said.body, said.party], [method, body ?? "", "main"]);
  }
  const head = await client.fetch({}, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  assert.ok(Number(head.headers.get("content-length")) > 0);

  const options = await client.fetch({}, { method: "OPTIONS" });
  assert.equal(options.status, 204);
  assert.equal(options.headers.get("access-control-allow-methods"), "*");
});

point("12: nothing answers where a party does not", async (client) => {
  const answer = await client.fetch({ party: "crowd" });
  assert.equal(answer.status, 404);
  assert.equal(answer.headers.get("access-control-allow-origin"), null, "CORS is the party's decision");
});

point("13: unknown party is not found", async (client) => {
  for (const party of ["nowhere", "Main", "MAIN", "main%20"]) {
    const answer = await client.fetch({ party });
    assert.equal(answer.status, 404, party);
    assert.match(await answer.text(), /^party ".*" not found/);
    assert.match(await client.connect({ party, maxRetries: 0 }).failed(), /404/);
  }
  assert.match(await client.connect({ basePath: "parties/main", maxRetries: 0 }).failed(), /404/);
  for (const path of ["/parties/main/", "/parties/main", "/parties/", "/party/", "/elsewhere"]) {
    assert.equal((await get(client.host, path)).status, 404, path);
  }
});

point("14: fetch works with and without a query", async (client) => {
  const uri = async (options) => (await (await client.fetch(options)).json()).uri;
  assert.match(await uri({}), /^\/parties\/main\/lobby\??$/);
  assert.equal(await uri({ query: { a: "1", b: "x y", none: null } }), "/parties/main/lobby?a=1&b=x+y");
  assert.equal(await uri({ query: async () => ({ fresh: "1" }) }), "/parties/main/lobby?fresh=1");
  assert.match(await uri({ party: "second-party_2", room: "x", path: "y" }), /^\/parties\/second-party_2\/x\/y\??$/);

  // Node omits the bare question mark, and browsers send it.
  for (const path of ["/parties/main/lobby", "/parties/main/lobby?", "/party/lobby?", "/parties/main/lobby/?"]) {
    const answer = await get(client.host, path);
    assert.deepEqual([answer.status, JSON.parse(answer.text).uri], [200, path]);
  }
});

point("19: one offered subprotocol is chosen", async (client) => {
  for (const [protocols, chosen] of [
    [["chat.v2", "chat.v1"], "chat.v2"],
    ["solo", "solo"],
    [async () => ["late"], "late"],
    [undefined, ""],
  ]) {
    const line = client.connect({ protocols });
    await line.next();
    assert.equal(line.socket.protocol, chosen);
  }
});

point("22: base path stands for the whole address", async (client) => {
  for (const basePath of ["parties/second-party_2/attic", "parties/second-party_2/attic/box"]) {
    const line = client.connect({ basePath, id: "ada" });
    const greeting = await line.next();
    assert.deepEqual([greeting.party, greeting.room], ["second-party_2", "attic"]);
    assert.equal(greeting.uri, `/${basePath}?_pk=ada`);
    assert.equal((await (await client.fetch({ basePath })).json()).room, "attic");
  }
});

point("22: updated properties lead to another room", async (client) => {
  for (const id of [undefined, "ada"]) {
    const line = client.connect({ id });
    const first = await line.next();
    line.socket.updateProperties({ party: "second-party_2", room: "attic", path: "box", query: { x: "1" } });
    line.socket.reconnect();
    const second = await line.next();
    assert.deepEqual([second.party, second.room, second.id], ["second-party_2", "attic", line.socket.id]);
    assert.equal(second.uri, `/parties/second-party_2/attic/box?_pk=${second.id}&x=1`);
    assert.equal(second.id === first.id, id !== undefined, "the client draws a new id unless it was given one");
  }
});

point(
  "22: prefix may have slashes",
  async (client) => {
    const prefix = "v1/parties";
    const greeting = await client.connect({ prefix, path: "sub", id: "ada" }).next();
    assert.deepEqual([greeting.room, greeting.uri], ["lobby", "/v1/parties/main/lobby/sub?_pk=ada"]);
    assert.equal((await (await client.fetch({ prefix, party: "second-party_2" })).json()).party, "second-party_2");
    assert.equal((await client.fetch({ basePath: "v1/parties/main/lobby" })).status, 200);

    assert.equal((await client.fetch()).status, 404, "the usual prefix leads nowhere then");
    assert.match(await client.connect({ maxRetries: 0 }).failed(), /404/);
  },
  { serverArgs: ["--prefix", "v1/parties"] },
);
