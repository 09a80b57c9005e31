//! The sources of settings other than flags: environment variables, and a file of such variables.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    ffi::OsStr,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, Id, parser::ValueSource};

use crate::error::StartupError;

/// The prefix of the variables.
const PREFIX: &str = "CONNECTION_COUNTER_";

/// The variable that names the file.
const ENV_FILE: &str = "CONNECTION_COUNTER_ENV_FILE";

/// A file of variables.
pub(crate) struct EnvFile {
    path: PathBuf,
    /// The values by the names of the variables.
    values: BTreeMap<String, String>,
}

/// For settings that are neither flags nor defaults, where they come from.
pub(crate) struct Sources(HashMap<Id, String>);

impl Sources {
    pub(crate) fn of(&self, arg: &Id) -> Option<&str> {
        self.0.get(arg).map(String::as_str)
    }
}

/// The command line, with defaults from the variables and the file for flags that are not given. The environment wins over the
/// file.
///
/// An empty variable counts as not set, because compose files and unit files name variables that may have no value. Blanks
/// around a value, quotes around it, and empty entries of a list are removed.
pub(crate) fn apply(command: Command, file: Option<&EnvFile>) -> (Command, Sources) {
    let mut sources = HashMap::new();
    let command = command.mut_args(|arg| {
        let Some(name) = arg.get_env().map(|name| name.to_string_lossy().into_owned()) else { return arg };
        let given = env::var_os(&name);
        // A value that is not UTF-8 may be a path.
        let text = given.as_deref().and_then(OsStr::to_str);
        let is_empty = given.is_none() || text.is_some_and(|text| tidied(text, &arg).is_empty());
        let found = match (text, file) {
            (_, Some(file)) if is_empty => {
                tidied_of(file, &name, &arg).map(|value| (value, file.path.display().to_string()))
            }
            (Some(text), _) if !is_empty && tidied(text, &arg) != text => Some((tidied(text, &arg), name)),
            _ => None,
        };
        let Some((value, source)) = found else {
            return if given.is_some() && is_empty { arg.env(None::<&'static str>) } else { arg };
        };
        sources.insert(arg.get_id().clone(), source);
        let is_secret = arg.is_hide_env_values_set();
        arg.env(None::<&'static str>).default_value(value).hide_default_value(is_secret)
    });
    (command, Sources(sources))
}

/// Environment variables that look like settings but are none, usually because of a typing error.
pub(crate) fn unknown(command: &Command) -> Vec<String> {
    let variables = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let known = known(command);
    // Kubernetes sets a few of these in each container for a service whose name begins with ours.
    let is_of_kubernetes = |name: &str, value: &OsStr| {
        name.contains("_SERVICE_")
            || name.contains("_PORT_")
            || (name.ends_with("_PORT") && value.to_string_lossy().contains("://"))
    };
    let ours = variables.filter(|(name, value)| name.starts_with(PREFIX) && !is_of_kubernetes(name, value));
    let mut unknown: Vec<_> = ours.map(|(name, _)| name).filter(|name| !known.contains(name)).collect();
    unknown.sort_unstable();
    unknown
}

/// Variables of the file that a flag or an environment variable overrules. `command` has no values of variables yet.
pub(crate) fn overruled(file: &EnvFile, command: &Command, matches: &ArgMatches) -> Vec<String> {
    let is_overruled = |arg: &Arg| {
        let is_flag = matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        let variable = arg.get_env().and_then(env::var_os);
        is_flag || variable.is_some_and(|value| !value.to_str().is_some_and(|text| tidied(text, arg).is_empty()))
    };
    let overruled = command.get_arguments().filter(|arg| is_overruled(arg));
    let names = overruled.filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned()));
    names.filter(|name| file.values.contains_key(name)).collect()
}

fn known(command: &Command) -> Vec<String> {
    command.get_arguments().filter_map(|arg| Some(arg.get_env()?.to_string_lossy().into_owned())).collect()
}

fn tidied_of(file: &EnvFile, name: &str, arg: &Arg) -> Option<String> {
    file.values.get(name).map(|value| tidied(value, arg)).filter(|value| !value.is_empty())
}

/// A value without the blanks and quotes around it. In a list this also holds for each entry, and empty entries are removed.
fn tidied(value: &str, arg: &Arg) -> String {
    let value = unquoted(value);
    match arg.get_value_delimiter() {
        Some(delimiter) => {
            let entries = value.split(delimiter).map(unquoted).filter(|entry| !entry.is_empty());
            entries.collect::<Vec<_>>().join(&delimiter.to_string())
        }
        None => value.to_owned(),
    }
}

/// A value without the blanks around it, and without quotes. Docker keeps the quotes that people write in a file of variables.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let in_quotes = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    in_quotes('"').or_else(|| in_quotes('\'')).map_or(value, str::trim)
}

impl EnvFile {
    /// Reads a file of lines such as `CONNECTION_COUNTER_LOG=debug`.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or if a line of it is not a setting.
    pub(crate) fn read(path: &Path, command: &Command) -> Result<Self, StartupError> {
        let wrong = |problem| StartupError::EnvFile { path: path.to_owned(), problem };
        let unreadable = |error: std::io::Error| match error.kind() {
            ErrorKind::InvalidData => wrong("this file is not UTF-8. Save it as UTF-8".to_owned()),
            _ => wrong(format!("{error}. Name a file that this program may read")),
        };
        // Reading a named pipe would block the program.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(wrong("this is not a file. Name a file that this program may read".to_owned()));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let known = known(command);
        let mut values = BTreeMap::new();
        // Some editors begin a file with this mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for (idx, line) in text.lines().enumerate() {
            let number = idx + 1;
            let (name, value) = match assignment(line) {
                Ok(Some(pair)) => pair,
                Ok(None) => continue,
                Err(()) => {
                    return Err(wrong(format!(
                        "line {number} is no setting; write NAME=value, or begin a comment with #"
                    )));
                }
            };
            if !known.iter().any(|known| known == name) {
                return Err(wrong(format!(
                    "line {number}: {name} is no setting; --help lists all settings, such as CONNECTION_COUNTER_LOG"
                )));
            }
            if name == ENV_FILE {
                return Err(wrong(format!(
                    "line {number}: {name} cannot be in the file that it names; remove the line"
                )));
            }
            if is_followed_by_comment(line) {
                return Err(wrong(format!(
                    "line {number}: the value of {name} contains \" #\"; move the comment to a line of its own, or put the value \
                     in quotes"
                )));
            }
            if let Some(other) = values.insert(name.to_owned(), value.to_owned())
                && other != value
            {
                return Err(wrong(format!(
                    "line {number}: {name} has another value on an earlier line; leave only one"
                )));
            }
        }
        Ok(Self { path: path.to_owned(), values })
    }
}

/// The name and the value in a line. `None` if the line is empty or a comment.
fn assignment(line: &str) -> Result<Option<(&str, &str)>, ()> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or(())?;
    let value = value.trim();
    // Each entry of a list may be in quotes.
    let in_quotes = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    Ok(Some((name.trim(), in_quotes('"').or_else(|| in_quotes('\'')).unwrap_or(value))))
}

/// Whether something after the value looks like a comment. Some programs take it for one, and others for a part of the value.
fn is_followed_by_comment(line: &str) -> bool {
    let value = line.split_once('=').map_or("", |(_, value)| value.trim());
    let is_quoted = |quote| value.starts_with(quote) && value.ends_with(quote);
    !is_quoted('"') && !is_quoted('\'') && (value.starts_with('#') || value.contains(" #") || value.contains("\t#"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_at_the_start_of_the_file_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        fs::write(&path, "\u{feff}A=b\r\n").unwrap();
        let command = Command::new("test").arg(Arg::new("a").env("A"));
        let file = EnvFile::read(&path, &command).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(file.values["A"], "b");
    }

    #[test]
    fn a_comment_after_a_value_is_refused() {
        for line in ["A=b # c", "A=b\t# c", "A= # c", "A=#c", "A=\"b\" # c"] {
            assert!(is_followed_by_comment(line), "{line:?}");
        }
        for line in ["A=b#c", "A=\"b # c\"", "A='b # c'", "A=b", "A="] {
            assert!(!is_followed_by_comment(line), "{line:?}");
        }
    }

    #[test]
    fn the_file_cannot_name_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        fs::write(&path, format!("{ENV_FILE}=other\n")).unwrap();
        let command = Command::new("test").arg(Arg::new("env_file").env(ENV_FILE));
        let error = EnvFile::read(&path, &command).err().unwrap().to_string();
        assert!(error.contains("line 1") && error.contains("remove the line"), "{error}");
    }

    #[test]
    fn two_values_for_one_setting_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        let command = Command::new("test").arg(Arg::new("a").env("A"));
        fs::write(&path, "A=b\nA=b\n").unwrap();
        assert!(EnvFile::read(&path, &command).is_ok());
        fs::write(&path, "A=b\n\nA=c\n").unwrap();
        let error = EnvFile::read(&path, &command).err().unwrap().to_string();
        assert!(error.contains("line 3: A") && error.contains("leave only one"), "{error}");
    }

    #[test]
    fn lines_are_read_as_a_name_and_a_value_without_quotes() {
        for line in ["", "  ", "# CONNECTION_COUNTER_SITE=a.b", "; a"] {
            assert_eq!(assignment(line), Ok(None), "{line:?}");
        }
        for line in ["A=b c", " A = b c ", "A=\"b c\"", "A='b c'", "export A=b c"] {
            assert_eq!(assignment(line), Ok(Some(("A", "b c"))), "{line:?}");
        }
        assert_eq!(assignment("A=b=\"c\"#d"), Ok(Some(("A", "b=\"c\"#d"))));
        assert_eq!(assignment("A=\"b\",\"c\""), Ok(Some(("A", "\"b\",\"c\""))));
        assert_eq!(assignment("A="), Ok(Some(("A", ""))));
        assert_eq!(assignment("A"), Err(()));
    }
}
