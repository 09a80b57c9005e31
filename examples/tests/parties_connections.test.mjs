// The example `connections`: one party reports who comes and goes, another keeps the numbers.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { openSocket } from "./support/sockets.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const program = "connection-counter-connections";
const NUMBERS = "/parties/connections/active-connections";

/** Waits until everyone who asks gets these numbers. */
function expectNumbers(stage, expected) {
  return until(`numbers ${JSON.stringify(expected)}`, async () => {
    const answer = await fetch(new URL(NUMBERS, stage.server.url));
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), expected);
    return true;
  });
}

function open(stage, room) {
  return stage.openTab(`${stage.server.url}/?room=${room}`);
}

function expectShown(tab, expected) {
  return until(`the page shows ${expected}`, async () => {
    assert.deepEqual(await tab.page.$$eval("#numbers li", (items) => items.map((item) => item.textContent)), expected);
    return true;
  });
}

story("everyone sees the connections of every room", { program }, async (stage) => {
  const tea = await open(stage, "tea");
  await expectShown(tea, ["tea: 1"]);
  const coffee = await open(stage, "coffee");
  await expectShown(coffee, ["coffee: 1", "tea: 1"]);

  const more = await open(stage, "tea");
  for (const tab of [tea, coffee, more]) await expectShown(tab, ["coffee: 1", "tea: 2"]);
  await expectNumbers(stage, { coffee: 1, tea: 2 });

  await more.close();
  await coffee.close();
  await expectShown(tea, ["tea: 1"]);
});

story("connections of one id are told apart", { program }, async (stage) => {
  const first = await openSocket(stage, "/parties/main/tea?_pk=same");
  await openSocket(stage, "/parties/main/tea?_pk=same");
  await expectNumbers(stage, { tea: 2 });

  first.socket.close();
  await expectNumbers(stage, { tea: 1 });
});

story("strangers cannot report connections", { program }, async (stage) => {
  await openSocket(stage, "/parties/main/tea");
  await expectNumbers(stage, { tea: 1 });

  const body = JSON.stringify({ type: "connect", connectionId: "forged", roomId: "tea" });
  for (const method of ["POST", "PUT", "DELETE"]) {
    const answer = await fetch(new URL(NUMBERS, stage.server.url), { method, body });
    assert.equal(answer.status, 403, method);
  }
  await expectNumbers(stage, { tea: 1 });
});

// A room without connections leaves memory at once here, so some of several requests find it asleep.
story("a room that slept knows its numbers", { program, serverArgs: ["--room-idle-ms", "0"] }, async (stage) => {
  const expectStill = async (numbers) => {
    for (let times = 0; times < 10; times += 1) await expectNumbers(stage, numbers);
  };
  const here = await openSocket(stage, "/parties/main/tea");
  await openSocket(stage, "/parties/main/tea");
  await expectStill({ tea: 2 });

  here.socket.close();
  await expectStill({ tea: 1 });
});

story("a crash leaves no connections behind", { program }, async (stage) => {
  // Two are opened, because the first key of the next run is the same as the first of this one, and would hide a left-over
  // entry.
  await openSocket(stage, "/parties/main/tea");
  await openSocket(stage, "/parties/main/tea");
  await expectNumbers(stage, { tea: 2 });
  await until("both connections are on disk", () => {
    const files = readdirSync(stage.server.data, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    const written = files.map((file) => readFileSync(join(file.parentPath, file.name), "latin1")).join("");
    return written.split('"tea"').length > 2;
  });

  await stage.server.kill();
  await stage.server.startAgain();
  await openSocket(stage, "/parties/main/coffee");
  await expectNumbers(stage, { coffee: 1 });
});
