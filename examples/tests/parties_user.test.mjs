// The example `user`: each user's data is in a room that only other parties can reach.

import assert from "node:assert/strict";

import { handshakeStatus } from "./support/sockets.mjs";
import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const program = "connection-counter-user";

function open(stage, user, room) {
  return stage.openTab(`${stage.server.url}/?user=${user}&room=${room}`);
}

/** This does not use the mouse, because a background tab takes no clicks. */
function choose(tab, colour) {
  return tab.page.$eval(`fieldset:enabled [data-colour=${colour}]`, (button) => button.click());
}

function expectShown(tab, expected) {
  return until(`the page shows ${expected}`, async () => {
    assert.deepEqual(await tab.page.$$eval("#users li", (items) => items.map((item) => item.textContent)), expected);
    return true;
  });
}

story("a colour follows its user to every room", { program }, async (stage) => {
  const ann = await open(stage, "ann", "garden");
  await expectShown(ann, ["ann likes gray"]);
  const bo = await open(stage, "bo", "garden");
  await expectShown(bo, ["bo likes gray"]);

  await choose(ann, "teal");
  await expectShown(bo, ["bo likes gray", "ann likes teal"]);
  await expectShown(await open(stage, "ann", "kitchen"), ["ann likes teal"]);
});

story("a colour outlives the server", { program }, async (stage) => {
  const before = await open(stage, "ann", "garden");
  await expectShown(before, ["ann likes gray"]);
  await choose(before, "crimson");
  await expectShown(before, ["ann likes crimson"]);
  await before.close();

  assert.equal(await stage.server.stop(), 0);
  await stage.server.startAgain();
  await expectShown(await open(stage, "ann", "garden"), ["ann likes crimson"]);
});

story("strangers do not reach a user's room", { program }, async (stage) => {
  for (const method of ["GET", "POST"]) {
    const answer = await fetch(`${stage.server.url}/parties/user/ann`, { method });
    assert.equal(answer.status, 403, method);
  }
  assert.equal(await handshakeStatus(stage, "/parties/user/ann"), 403);
  assert.equal(await handshakeStatus(stage, "/parties/main/garden"), 101);
});
