/** The head without wasm, for pages whose content security policy refuses that: the same code, compiled to JavaScript. */

import exports from "widget-plain";

import { start } from "./head.js";

export const head = start(exports);
