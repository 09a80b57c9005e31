/**
 * Types of `connection-counter/no-wasm`: the widget as JavaScript alone, for pages whose content security policy has no
 * `'wasm-unsafe-eval'`. In all else it is `connection-counter`.
 *
 * @example
 * import { start } from "connection-counter/no-wasm";
 * const handle = start({ server: "https://live.example.com" });
 */

export * from "./index.js";
