/**
 * Types of `connection-counter/no-wasm`: the widget in JavaScript only, for pages whose content security policy has no
 * `'wasm-unsafe-eval'`. Otherwise it is the same as `connection-counter`.
 *
 * @example
 * import { start } from "connection-counter/no-wasm";
 * const handle = start({ server: "https://live.example.com" });
 */

export * from "./index.js";
