// The module is in a separate file. The bundler finds it by the package's `new URL("./widget.wasm", import.meta.url)`.

import { start } from "connection-counter/slim";

import { server } from "./page.js";

start({ server });
