//! The answer to `check`: the settings of a server, and where each comes from.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{ArgMatches, Command, parser::ValueSource};

use crate::sources::Sources;

/// Spaces between two columns.
const GAP: usize = 2;

/// The value of each flag, as text.
pub(crate) fn values(command: &Command, matches: &ArgMatches) -> BTreeMap<String, Vec<OsString>> {
    let value = |arg: &clap::Arg| {
        let values = matches.try_get_raw(arg.get_id().as_str()).ok()?.into_iter().flatten();
        Some((arg.get_long()?.to_owned(), values.map(OsString::from).collect()))
    };
    command.get_arguments().filter_map(value).collect()
}

/// A line for each setting: its flag, its value, and whether that comes from a flag, a variable, the file or the default.
pub(crate) fn settings(command: &Command, matches: &ArgMatches, sources: &Sources) -> String {
    let rows: Vec<_> = command.get_arguments().filter_map(|arg| row(arg, matches, sources)).collect();
    let widest = |column: fn(&[String; 3]) -> &String| rows.iter().map(|row| column(row).chars().count()).max();
    let flag = widest(|[flag, _, _]| flag).unwrap_or_default() + GAP;
    // A long list of sites must not push the next column far to the right.
    let value = widest(|[_, value, _]| value).unwrap_or_default().min(40) + GAP;
    let lines = rows.iter().map(|[name, text, source]| format!("{name:flag$}{text:value$}{source}\n"));
    lines.collect()
}

/// Flag, value and source.
fn row(arg: &clap::Arg, matches: &ArgMatches, sources: &Sources) -> Option<[String; 3]> {
    let flag = format!("--{}", arg.get_long()?);
    let id = arg.get_id().as_str();
    if matches!(id, "help" | "version") {
        return None;
    }
    let values = matches.try_get_raw(id).ok()?.into_iter().flatten();
    let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
    let value = match values.is_empty() {
        true => "none".to_owned(),
        false if arg.is_hide_env_values_set() => "(secret)".to_owned(),
        false => values.join(","),
    };
    let source = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => "flag".to_owned(),
        Some(ValueSource::EnvVariable) => arg.get_env().unwrap_or_default().to_string_lossy().into_owned(),
        _ => sources.of(arg.get_id()).unwrap_or("default").to_owned(),
    };
    Some([flag, value, source])
}
