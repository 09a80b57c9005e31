/** The engine without wasm, for pages whose content security policy refuses that: the same code, compiled to JavaScript. */

import exports from "widget-plain";

import { start } from "./wasm.js";

export const engine = start(exports);
