/** What few pages need, in a file of its own that is loaded when they do: an owner's rules, advice, and debugging. */

export { explainMistakes } from "./advice.js";
export { explainCanonical, startDebugging } from "./debug.js";
export { createRule } from "./rule.js";
