/** The engine compiled to JavaScript, for pages whose content security policy refuses wasm. */

import instantiate from "widget-plain";

import { openPlain } from "./wasm.js";

export const engine = openPlain(instantiate);
