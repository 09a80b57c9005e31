/**
 * live.js, the script of the tag. It finds its own address, waits until the page is idle, then loads the widget from the same
 * server. It is as small as possible, because every page loads it, and browsers ask for it again each time.
 */

import { pageIsIdle } from "./idle.js";
import { fail, warn } from "./warn.js";

/**
 * The tag. Only a classic script that runs for the first time knows its tag, so it is read here. It is read through the prototype,
 * because `document.currentScript` may be an element of that name, such as an `<img name=currentScript>` that someone put into the
 * page. Modules and loaded scripts find the tag by its address.
 */
const script =
  Reflect.get(Document.prototype, "currentScript", document) ?? document.querySelector('script[src*="/live.js"]');
const address = script?.src;
// The page may remove the tag later.
const attributes = { ...script?.dataset };

async function load() {
  await pageIsIdle();
  // The wasm module is loaded at the same time as the script that needs it.
  const wasm = attributes.engine === "js" ? undefined : fetch(new URL(WASM_FILE, address));
  wasm?.catch(() => {});
  const { startFrom } = await import(new URL(MODULE_FILE, address));
  startFrom(address, attributes, () => wasm);
}

if (/^https?:/.test(address)) load().catch(fail);
else warn("tag", 'cannot find its own address; write <script async src="https://…/live.js"></script>');
