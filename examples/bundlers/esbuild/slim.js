// esbuild leaves `new URL("./widget.wasm", import.meta.url)` alone, so it is told: `--loader:.wasm=file` makes this import a
// copy of the file, and its address.

import { start } from "connection-counter/slim";
import module from "connection-counter/widget.wasm";

import { server } from "./page.js";

start({ server, module: fetch(module) });
