/** live.js, the script tag: finds its own address, lets the page finish its work, then starts the widget. */

import wasm from "widget-wasm";
import { startOnce } from "./widget.js";

/** A page that is never idle must not wait for ever. */
const LONGEST_WAIT_MS = 2000;
/** Where nobody tells us when the page is idle (Safari before 27): a moment in which it gets its own work done. */
const SHORT_WAIT_MS = 200;

// Known only while this file runs for the first time, so it is read here. An element that merely goes by this name, such as
// an `<img name=currentScript>` that someone smuggled into the page, is no script.
const script = document.currentScript;
const address = script?.tagName === "SCRIPT" ? script.src : "";

/** Resolves in the first idle moment after the page has loaded. */
const pageIsIdle = () =>
  new Promise((resolve) => {
    const wait = () =>
      globalThis.requestIdleCallback
        ? requestIdleCallback(resolve, { timeout: LONGEST_WAIT_MS })
        : setTimeout(resolve, SHORT_WAIT_MS);
    if (document.readyState === "complete") wait();
    else addEventListener("load", wait, { once: true });
  });

if (/^https?:/.test(address)) {
  const home = new URL(".", address).href;
  startOnce({ ...script.dataset }, home, async () => {
    await pageIsIdle();
    return new URL(wasm, home);
  });
} else {
  console.warn("connection-counter: load live.js with <script async src>, from a server");
}
