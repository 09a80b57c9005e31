//! The options: their names, their defaults, which values are right, and what they mean.
//!
//! Values may be functions, lists and selectors, which only the browser knows. So `npm/options.js` keeps each value, and calls [`take`]
//! with the option's index. `take` has the browser compare the value with the option's pattern.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::dom;
use crate::rules::split_around;

/// Matches the user agents of programs. CUBOT is a maker of telephones.
const PROGRAMS: &str = r"(?<!cu)bot\b|crawl|spider|slurp|headless|lighthouse|externalhit|archiver|prerender";

/// Makes the index of each option, and two texts with a line for each.
macro_rules! options {
    ($($option:ident $name:literal $default:literal $pattern:literal)*) => {
        #[derive(Clone, Copy)]
        #[expect(dead_code, reason = "some only matter to the browser")]
        pub(crate) enum Name { $($option),* }

        /// The name of each option, a blank, and its default.
        pub(crate) const DEFAULTS: &str = concat!($($name, " ", $default, "\n"),*);
        const PATTERNS: &str = concat!($($pattern, "\n"),*);
        const COUNT: usize = [$($name),*].len();
    }
}

// For each option its name, its default, and a regular expression of the browser that its values match. The first letter of a
// value's type and a colon are written before it: `s:site`, `b:true`, `o:a,area` for a list.
//
// The Rust needs some values. For these, the first parentheses `(…)` capture the number. Of an option with two values, the one that is
// not the default ends in `()`, which captures an empty text, or 0. Without a capture it is not a number. What other options capture
// is not used.
options! {
    Server "server" "" "^[so]:https?://[^/]"
    Path "path" "/live?page=" r"^s:/(\S*[/=])?$"
    Scope "scope" "site" "^s:(?:site|all())$"
    Canonical "canonical" "follow" "^s:(?:follow|ignore())$"
    Itself "self" "count" "^s:(?:count|omit())$"
    Bots "bots" "watch" "^s:(?:watch|count())$"
    // Only for the script tag, which has read it before this module is loaded.
    Engine "engine" "wasm" "^s:(wasm|js)$"
    // An attribute without a value means yes.
    Hash "hash" "false" "^[sb]:(?:false|(?:true)?())$"
    MergeTabs "mergeTabs" "false" "^[sb]:(?:false|(?:true)?())$"
    Observe "observe" "false" "^[sb]:(?:false|(?:true)?())$"
    Debug "debug" "false" "^[sb]:(?:false|(?:true)?())$"
    Min "min" "1" r"^[sn]:\s*(\d*\.?\d+(e[+-]?\d+)?|Infinity)\s*$"
    HiddenAfter "hiddenAfter" "30" r"^[sn]:\s*(\d*\.?\d+(e[+-]?\d+)?|Infinity)\s*$"
    // Of plural forms, that for all other numbers.
    Label "label" "{count}" r"^s:([^]*\|)?(?!(zero|one|two|few|many)=)[^|]*\{count\}"
    Text "text" "({count} viewing now)" r"^s:($|[^]*\{count\})"
    // Names of parameters have neither signs of an address or of other lists, nor those of a rule. They are no words for a rule, such
    // as `Keep` and `none`.
    Query "query" "keep" r#"^[so]:(?!-|([KD]..[pP]|all|none|null|true|false|)$|[^]*(\w\s+\w|[!?&=*|;"/]))"#
    // The browser checks the selector.
    Links "links" "a,area" "^[so]:(?!(null|false)$)"
    // `npm/rule.js` checks its parts.
    Omit "omit" "" "^s:(?!false$)"
    PageOf "pageOf" "" "^f"
}

/// The bits of what was chosen for each option.
static CHOSEN: [AtomicU64; COUNT] = [const { AtomicU64::new(0) }; COUNT];

/// Takes a value for one of the options. Returns whether there is such an option, and its value is right.
pub(crate) fn take(index: usize) -> bool {
    let Some(chosen) = CHOSEN.get(index) else { return false };
    let mut rest = PATTERNS;
    for _ in 0..index {
        rest = split_around(rest, b'\n').1;
    }
    let choice = dom::choice(split_around(rest, b'\n').0);
    let is_wrong = choice < 0.0;
    if !is_wrong {
        chosen.store(choice.to_bits(), Relaxed);
    }
    !is_wrong
}

/// The number that was chosen.
pub(crate) fn number(name: Name) -> f64 {
    f64::from_bits(bits(name))
}

/// Whether the other of two values was chosen than the default.
pub(crate) fn is_other(name: Name) -> bool {
    bits(name) == 0
}

fn bits(name: Name) -> u64 {
    CHOSEN.get(name as usize).map_or(0, |chosen| chosen.load(Relaxed))
}

/// Whether this reader watches without being counted. Readers who ask sites not to track them are not counted, and neither are programs,
/// unless the owner wants them counted.
pub(crate) fn observes() -> bool {
    let least = if is_other(Name::Bots) { dom::PRIVATE } else { dom::PROGRAM };
    is_other(Name::Observe) || dom::reader(PROGRAMS) >= least
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The options of the table, each with its default.
    fn options() -> BTreeMap<String, String> {
        let pairs = DEFAULTS.lines().map(|line| line.split_once(' ').unwrap());
        pairs.map(|(name, default)| (name.to_owned(), default.to_owned())).collect()
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
