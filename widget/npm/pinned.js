/** The widget of one version, for a script tag of type `module` that names its address and its hash. live.js is not needed. */

import { pageIsIdle } from "./idle.js";
import { startFrom } from "./tag.js";

const fetchModule = () => fetch(new URL(WASM_FILE, import.meta.url), { __proto__: null, integrity: WASM_INTEGRITY });

const tag = [...document.querySelectorAll("script[src]")].find(({ src }) => src === import.meta.url);
if (tag) pageIsIdle().then(() => startFrom(tag.src, { ...tag.dataset }, fetchModule));
