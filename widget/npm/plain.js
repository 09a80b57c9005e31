/** The engine without wasm, for pages whose content security policy refuses that: the same code, compiled to JavaScript. */

import instantiate from "widget-plain";

import { openPlain } from "./wasm.js";

export const engine = openPlain(instantiate);
