// esbuild does not handle `new URL("./widget.wasm", import.meta.url)`. With `--loader:.wasm=file` this import copies the file
// and returns its address.

import { start } from "connection-counter/slim";
import module from "connection-counter/widget.wasm";

import { server } from "./page.js";

start({ server, module: fetch(module) });
