// The module is a file of its own, which the bundler finds by the package's `new URL("./widget.wasm", import.meta.url)`.

import { start } from "connection-counter/slim";

import { server } from "./page.js";

start({ server });
