/**
 * What few pages need, in a file of its own that is loaded when they do: an owner's rules, labels, merged tabs, `<viewer-count>`, the
 * frame for Firefox, advice, and debugging.
 */

export { advise, explainServer, explainTags } from "./advice.js";
export { createChannel } from "./channel.js";
export { createRule } from "./rule.js";
export { defineElement } from "./element.js";
export { createFrame } from "./frame.js";
export { labels } from "./labels.js";
