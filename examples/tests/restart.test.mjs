// A server restarts while tabs are open, as in every deployment.

import assert from "node:assert/strict";

import { story } from "./support/story.mjs";
import { until } from "./support/until.mjs";

const APPLES = 'a[href="apples.html"]';
const PEARS = 'a[href="pears.html"]';

story("restart changes no number and loses no viewer", {}, async (stage) => {
  const orchard = await stage.openTab("/plain/");
  const reader = await stage.openTab("/plain/apples.html");
  const leaver = await stage.openTab("/plain/apples.html");
  await stage.openTab("/plain/pears.html");
  await orchard.expectViewers(APPLES, 2);
  await reader.expectViewers(PEARS, 1);
  await orchard.record(APPLES);
  await reader.record(PEARS);

  // The browser itself reports each failed connection. No page can prevent that.
  for (const tab of stage.tabs) tab.allow(/WebSocket connection to .* failed/);
  assert.equal(await stage.server.stop(), 0, stage.server.log);
  await leaver.close();
  await stage.server.startAgain();

  // The tabs come back by themselves. A tab that was closed in the meantime does not.
  const expected = {
    [`${stage.site}/plain`]: 1,
    [`${stage.site}/plain/apples.html`]: 1,
    [`${stage.site}/plain/pears.html`]: 1,
  };
  await until("every tab is counted again", async () => {
    assert.deepEqual(await stage.server.viewers(stage.site), expected);
    return true;
  });
  await orchard.expectViewers(APPLES, 1);
  await orchard.expectViewers(PEARS, 1);

  // A change after the restart arrives, so everything was recorded.
  await stage.openTab("/plain/pears.html");
  await orchard.expectViewers(PEARS, 2);
  await reader.expectViewers(PEARS, 2);
  assert.deepEqual(await orchard.recorded(), ["2", "1"], "two viewers, then one: no dip to less");
  assert.deepEqual(await reader.recorded(), ["1", "2"], "one viewer all the time, then two");
});

story("viewers are not counted after a crash unless they return", {}, async (stage) => {
  const orchard = await stage.openTab("/plain/");
  const reader = await stage.openTab("/plain/apples.html");
  await orchard.expectViewers(APPLES, 1);

  for (const tab of stage.tabs) tab.allow(/WebSocket connection to .* failed/);
  await stage.server.kill();
  await reader.close();
  await stage.server.startAgain();

  // The reader never closed its connection to this server, and is still not counted.
  await orchard.expectViewers(APPLES, 0);
  assert.deepEqual(await stage.server.viewers(stage.site), { [`${stage.site}/plain`]: 1 });
});
