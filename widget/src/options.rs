//! The options: their names, their defaults, and what their values look like.
//!
//! `npm/options.js` compares with this table what the owner wrote, because values may be functions, lists and selectors, which only
//! the browser knows. Those that matter here arrive as arguments of [`start`](crate::start).

/// A text of three lines for each option.
macro_rules! table {
    ($($name:literal $default:literal $pattern:literal)*) => { concat!($($name, "\n", $default, "\n", $pattern, "\n"),*) }
}

/// For each option its name, its default, and a regular expression of the browser that its values match. The first letter of a
/// value's type and a colon are written before it: `s:site`, `b:true`, `o:a,area` for a list.
pub(crate) const OPTIONS: &str = table! {
    "server" "" "^[so]:https?://[^/]"
    "path" "/live?page=" r"^s:/(\S*[/=])?$"
    "scope" "site" "^s:(site|all)$"
    "canonical" "follow" "^s:(follow|ignore)$"
    "self" "count" "^s:(count|omit)$"
    "bots" "watch" "^s:(watch|count)$"
    // Only for the script tag, which has read it before this module is loaded.
    "engine" "wasm" "^s:(wasm|js)$"
    // An attribute without a value means yes.
    "hash" "false" "^[sb]:(true|false|)$"
    "mergeTabs" "false" "^[sb]:(true|false|)$"
    "observe" "false" "^[sb]:(true|false|)$"
    "debug" "false" "^[sb]:(true|false|)$"
    "min" "1" r"^[sn]:\s*(\d*\.?\d+(e[+-]?\d+)?|Infinity)\s*$"
    "hiddenAfter" "30" r"^[sn]:\s*(\d*\.?\d+(e[+-]?\d+)?|Infinity)\s*$"
    // Of plural forms, that for all other numbers.
    "label" "{count}" r"^s:([^]*\|)?(?!(zero|one|two|few|many)=)[^|]*\{count\}"
    "text" "({count} viewing now)" r"^s:($|[^]*\{count\})"
    // Names of parameters have neither signs of an address or of other lists, nor those of a rule. They are no words for a rule, such
    // as `Keep` and `none`.
    "query" "keep" r#"^[so]:(?!-|([KD]..[pP]|all|none|null|true|false|)$|[^]*(\w\s+\w|[!?&=*|;"/]))"#
    // The browser checks the selector.
    "links" "a,area" "^[so]:(?!null$)"
    // `npm/rule.js` checks its parts.
    "omit" "" "^s"
    "pageOf" "" "^f"
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The options of the table, each with its default.
    fn options() -> BTreeMap<String, String> {
        let lines: Vec<_> = OPTIONS.lines().collect();
        let (options, rest) = lines.as_chunks::<3>();
        assert_eq!(rest, [""; 0], "each option has three lines");
        options.iter().map(|[name, default, _]| ((*name).to_owned(), (*default).to_owned())).collect()
    }

    #[test]
    fn types_of_the_package_have_these_options_and_defaults() {
        let types = include_str!("../npm/index.d.ts");
        let (_, types) = types.split_once("export interface Options {\n").unwrap();
        let (types, _) = types.split_once("\n}\n").unwrap();
        let mut typed = BTreeMap::new();
        let mut default = String::new();
        for line in types.lines() {
            if let Some((_, said)) = line.split_once("Default: `") {
                default = said.split('`').next().unwrap().trim_matches('"').to_owned();
            }
            if let Some((name, _)) = line.trim().split_once(": ").filter(|_| line.ends_with(';')) {
                typed.insert(name.trim_end_matches('?').to_owned(), std::mem::take(&mut default));
            }
        }
        // That of the package is the entry that is imported.
        let mut options = options();
        options.remove("engine").unwrap();
        assert_eq!(typed, options);
    }

    #[test]
    fn docs_have_these_options_and_defaults() {
        let docs = include_str!("../../server/docs/embed.md");
        let (_, rows) = docs.split_once("| option | default | meaning |\n|---|---|---|\n").unwrap();
        let rows = rows.lines().take_while(|line| line.starts_with('|')).map(|line| {
            let [name, default] =
                [1, 2].map(|cell| line.split(" | ").collect::<Vec<_>>()[cell - 1].trim_start_matches("| "));
            let default = match default {
                "no" => "false",
                "nothing" | "where live.js is" => "",
                default => default.trim_matches('`'),
            };
            (name.trim_matches('`').to_owned(), default.to_owned())
        });
        let kebab = |name: &str| {
            name.chars().fold(String::new(), |word, letter| {
                if letter.is_uppercase() {
                    word + "-" + &letter.to_lowercase().to_string()
                } else {
                    word + &letter.to_string()
                }
            })
        };
        // A function has no place on a tag.
        let mut options = options();
        options.remove("pageOf").unwrap();
        let options: BTreeMap<_, _> = options.into_iter().map(|(name, default)| (kebab(&name), default)).collect();
        assert_eq!(rows.collect::<BTreeMap<_, _>>(), options);
    }

    #[test]
    fn advice_says_what_is_expected_of_each() {
        let advice = include_str!("../npm/advice.js");
        let (_, expected) = advice.split_once("const EXPECTED = {\n").unwrap();
        let (expected, _) = expected.split_once("\n};").unwrap();
        let mut names: Vec<_> = expected.lines().map(|line| line.trim().split(':').next().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, options().keys().collect::<Vec<_>>());
    }
}
