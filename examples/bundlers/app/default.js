// The module is inside the package's JavaScript, so no bundler needs configuration.

import { start } from "connection-counter";

import { server } from "./page.js";

start({ server });
