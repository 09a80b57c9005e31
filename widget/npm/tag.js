/** The widget as live.js loads it from the server. */

import { bringUp } from "./wasm.js";
import { camel } from "./names.js";
import { startOnce } from "./widget.js";

/** Loads the same code as JavaScript, for pages where wasm is refused or not wanted. */
const loadPlain = async () => (await import(PLAIN_FILE)).engine;

/**
 * Starts the widget for the script tag with this address and these `data-*` attributes. Options may also be parameters of the
 * address, because tag managers drop attributes that they do not know. `getModule` returns the wasm module.
 */
export function startFrom(address, attributes, getModule) {
  const { searchParams } = new URL(address);
  const options = [
    // live.js has read `engine`, and only from the attributes.
    ...[...searchParams].map(([name, value]) => [`?${name}`, name === "engine" ? "" : camel(name), value]),
    ...Object.entries(attributes).map(([name, value]) => [`data-${name}`, name, value]),
  ];
  const loadEngine = () => (attributes.engine === "js" ? loadPlain() : bringUp(getModule).catch(loadPlain));
  return startOnce(options, new URL(".", address).href, loadEngine);
}
