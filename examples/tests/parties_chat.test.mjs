// The example `chat`: messages, whispers, moods, colours, and a good night.

import assert from "node:assert/strict";

import { openSocket } from "./support/sockets.mjs";
import { story } from "./support/story.mjs";
import { DEADLINE_MS, until } from "./support/until.mjs";

const program = "connection-counter-chat";

async function open(stage, name) {
  const tab = await stage.openTab(`${stage.server.url}/?name=${name}`);
  await tab.page.waitForSelector("fieldset:enabled", { timeout: DEADLINE_MS });
  return tab;
}

async function say(tab, words) {
  await tab.page.type("[name=words]", words);
  await tab.page.keyboard.press("Enter");
}

function expectSaid(tab, expected) {
  return until(`the page shows ${expected}`, async () => {
    assert.deepEqual(await tab.page.$$eval("#said li", (items) => items.map((item) => item.textContent)), expected);
    return true;
  });
}

// The room leaves memory between any two messages here, and must find everything again.
const sleepy = { program, serverArgs: ["--room-idle-ms", "0"] };

story("messages reach the others, whispers only one user", sleepy, async (stage) => {
  const ann = await open(stage, "ann");
  const bo = await open(stage, "bo");
  const bosPhone = await open(stage, "bo");
  const eve = await open(stage, "eve");

  await say(ann, "hello all");
  await say(ann, "/mood happy");
  await say(ann, "@bo hello you");
  for (const tab of [bo, bosPhone]) await expectSaid(tab, ["ann: hello all", "ann happy: hello you"]);
  await say(bo, "hello ann");
  await expectSaid(ann, ["You: hello all", "You: /mood happy", "You: @bo hello you", "bo: hello ann"]);
  await expectSaid(eve, ["ann: hello all", "bo: hello ann"]);
});

story("colours travel as bytes", sleepy, async (stage) => {
  const ann = await open(stage, "ann");
  const bo = await openSocket(stage, "/parties/chat/lobby?name=bo");

  bo.socket.send(Uint8Array.of(1, 2, 3));
  await ann.page.waitForFunction(() => document.querySelector("h1").style.color === "rgb(1, 2, 3)", {
    timeout: DEADLINE_MS,
  });
  await ann.page.$eval("#colour", (button) => button.click());
  await until("three bytes", () => bo.heard[0]?.length === 3);
  // Neither of them got their own message.
  assert.equal(bo.heard.length, 1);
});

story("a room that is quiet for a while says good night", { program, env: { CHAT_SILENCE_MS: "300" } }, async (stage) => {
  const ann = await open(stage, "ann");
  const bo = await open(stage, "bo");
  await say(ann, "hello");
  await expectSaid(ann, ["You: hello", "Good night."]);
  await expectSaid(bo, ["ann: hello", "Good night."]);

  await say(bo, "still here");
  await expectSaid(ann, ["You: hello", "Good night.", "bo: still here", "Good night."]);
});
