// The module is inside the package's JavaScript: nothing to configure, whatever the bundler.

import { start } from "connection-counter";

import { server } from "./page.js";

start({ server });
