/** Loads the code that few pages need. */

import { fail } from "./warn.js";

export const loadExtras = () => import(EXTRAS_FILE);
/** Has it used as soon as it is there. */
export const load = (use) => loadExtras().then(use).catch(fail);
