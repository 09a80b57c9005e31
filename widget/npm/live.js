/**
 * live.js, the script tag: finds its own address, lets the page finish its work, then loads the widget from beside itself. As
 * little as possible, because it is what every page waits for, and the only file that browsers ask for again each time.
 */

import { pageIsIdle } from "./idle.js";
import { warn } from "./warn.js";

// Known only while this file runs for the first time, so it is read here. Not asked of the document itself, which may answer
// with an element that merely goes by this name, such as an `<img name=currentScript>` that someone smuggled into the page.
const script = Reflect.get(Document.prototype, "currentScript", document);
const address = script?.src;

async function load() {
  const options = { ...script.dataset };
  await pageIsIdle();
  // The module at the same time as its user, not after it.
  const wasm = options.engine === "js" ? undefined : fetch(new URL(WASM_FILE, address));
  wasm?.catch(() => {});
  const { startFrom } = await import(new URL(MODULE_FILE, address));
  startFrom(address, options, () => wasm);
}

if (/^https?:/.test(address)) load().catch(warn);
else warn("load live.js with <script async src>, from a server");
