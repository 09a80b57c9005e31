/** Reads what the owner wrote. On a script tag, options are `data-*` attributes, or parameters of its address. */

/**
 * Reads the options. A wrong one gets its default, and is added to `mistakes`. The Rust decides which are wrong (`src/options.rs`).
 *
 * @param {[string, string, unknown][]} given for each option its author's spelling, its name as in index.d.ts, and its value
 * @param {string | undefined} home the server to use unless the options name one
 * @param {object} engine the functions that the Rust exports
 */
export function readOptions(given, home, engine) {
  const options = { __proto__: null, server: home, mistakes: [] };
  let defaults, asked;
  engine.setDom({
    defaults: (table) => (defaults = [...table.matchAll(/(\w+) (.+)?\n/g)]),
    choice(pattern) {
      const found = RegExp(pattern).exec(asked);
      return found ? +found[1] : -1;
    },
  });
  engine.tellDefaults();
  for (const option of [...defaults, ...given]) {
    const [, name, value] = option;
    // `undefined` is an option left out, or one without a default.
    if (value === undefined) continue;
    try {
      // An invalid selector throws.
      if (name === "links") document.querySelector(value);
      const text = `${value}`;
      asked = `${(typeof value)[0]}:${text}`;
      if (!engine.take(defaults.findIndex(([, its]) => its === name))) throw value;
      // Yes and no may be texts, too.
      options[name] = text !== "false" && (typeof options[name] === "boolean" || value);
    } catch {
      // A wrong value, or no option of ours.
      options.mistakes.push(option);
    }
  }
  return options;
}
