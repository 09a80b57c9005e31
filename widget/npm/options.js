/** Reads what the owner wrote. On a script tag, options are `data-*` attributes, or parameters of its address. */

/** Matches the user agents of crawlers. CUBOT is a maker of telephones. */
const BOT = /(?<!cu)bot\b|crawl|spider|slurp|headless|lighthouse|externalhit|archiver|prerender/i;

/**
 * Reads the options. A wrong one gets its default, and is added to `mistakes`.
 *
 * @param {[string, string, unknown][]} given for each option its author's spelling, its name as in index.d.ts, and its value
 * @param {string | undefined} home the server to use unless the options name one
 * @param {object} engine the functions that the Rust exports. Its `options.rs` has the table of options
 */
export function readOptions(given, home, engine) {
  const options = { __proto__: null, mistakes: [] };
  const patterns = { __proto__: null };
  engine.setDom({
    options(table) {
      for (const [, name, value, pattern] of table.matchAll(/(.*)\n(.*)\n(.*)\n/g)) {
        options[name] = value !== "false" && (value || undefined);
        patterns[name] = RegExp(pattern);
      }
    },
  });
  engine.tellOptions();
  options.server = home;
  for (const option of given) {
    const [, name, value] = option;
    // An option passed as `undefined` is an option left out.
    if (value === undefined) continue;
    try {
      // In a document without elements nothing is found, but an invalid selector throws.
      if (name === "links") new Document().querySelector(value);
      if (!patterns[name].test(`${(typeof value)[0]}:${value}`)) throw value;
      // Yes and no may be texts, too.
      options[name] = typeof options[name] === "boolean" ? `${value}` !== "false" : value;
    } catch {
      // A wrong value, or no option of ours.
      options.mistakes.push(option);
    }
  }
  // Readers who ask sites not to track them are not counted. Programs are not counted either.
  const isBot = options.bots === "watch" && (navigator.webdriver || BOT.test(navigator.userAgent));
  if (isBot || navigator.globalPrivacyControl) options.observe = true;
  return options;
}
