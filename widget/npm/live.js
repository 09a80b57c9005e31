/**
 * live.js, the script tag: finds its own address, lets the page finish its work, then loads the widget from beside itself. As
 * little as possible, because it is what every page waits for, and the only file that browsers ask for again each time.
 */

import { pageIsIdle } from "./idle.js";
import { fail, warn } from "./warn.js";

/**
 * The tag. Known for sure only while a classic script runs for the first time, so it is read here. Not asked of the document
 * itself, which may answer with an element that merely goes by this name, such as an `<img name=currentScript>` that someone
 * smuggled into the page. Modules, and what loaders run, look for the tag by its address.
 */
const script =
  Reflect.get(Document.prototype, "currentScript", document) ?? document.querySelector('script[src*="/live.js"]');
const address = script?.src;
// The page may take the tag away.
const attributes = { ...script?.dataset };

async function load() {
  await pageIsIdle();
  // The module at the same time as its user, not after it.
  const wasm = attributes.engine === "js" ? undefined : fetch(new URL(WASM_FILE, address));
  wasm?.catch(() => {});
  const { startFrom } = await import(new URL(MODULE_FILE, address));
  startFrom(address, attributes, () => wasm);
}

if (/^https?:/.test(address)) load().catch(fail);
else warn("tag", 'cannot find its own address; write <script async src="https://…/live.js"></script>');
