//! The command line of a program, and the settings that it, the environment and the file of settings give.

use std::{collections::BTreeMap, env, error::Error, ffi::OsString, fmt, num::ParseIntError, path::PathBuf};

use clap::{
    Args, CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue},
};

use crate::{
    check,
    config::Config,
    error::StartupError,
    sources::{self, EnvFile},
};

/// What the command line asks a program to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Serve.
    Serve,
    /// Ask a running server whether it is ready.
    Health,
    /// Print the settings without serving. The text has a line for each setting.
    Check(String),
}

/// The subcommand for [`Command::Check`].
const CHECK: &str = "check";

/// What the command line, the environment and the file of settings ask a program to do.
pub(crate) struct Invocation<S> {
    pub(crate) config: Config,
    /// The program's own settings.
    pub(crate) own: S,
    pub(crate) command: Command,
    /// The value of each flag as text, from whichever source.
    pub(crate) values: BTreeMap<String, Vec<OsString>>,
    /// What the operator may not expect, such as a variable that is no setting. One sentence each.
    pub(crate) notes: Vec<String>,
}

/// Reads the settings from a program's command line, its environment and its file of settings.
///
/// # Errors
/// Returns what is wrong, or the help that was asked for. The caller prints it and ends the program.
pub(crate) fn read<S: Args>(program: &str, parties: &[&str]) -> Result<Invocation<S>, ReadError> {
    let plain = command_of::<S>(program, parties);
    let (mut known, mut sources) = sources::apply(plain.clone(), None);
    let mut matches = known.try_get_matches_from_mut(env::args_os())?;
    let unknown = sources::unknown(&plain).into_iter();
    let mut notes: Vec<_> = unknown
        .map(|name| format!("the variable {name} is no setting, so it has no effect; --help lists all settings"))
        .collect();
    if let Some(path) = matches.get_one::<PathBuf>("env_file") {
        let file = EnvFile::read(path, &plain)?;
        let overruled = sources::overruled(&file, &plain, &matches).into_iter();
        notes.extend(overruled.map(|name| {
            format!("{name} in {} has no effect, because a flag or an environment variable sets it", path.display())
        }));
        (known, sources) = sources::apply(plain.clone(), Some(&file));
        matches = known.try_get_matches_from_mut(env::args_os())?;
    }
    let command = match matches.subcommand_name() {
        Some(CHECK) => Command::Check(check::settings(&known, &matches, &sources)),
        Some(_) => Command::Health,
        None => Command::Serve,
    };
    Ok(Invocation {
        config: Config::from_arg_matches(&matches)?,
        own: S::from_arg_matches(&matches)?,
        command,
        values: check::values(&known, &matches),
        notes,
    })
}

/// Why settings cannot be read.
pub(crate) enum ReadError {
    /// A flag or a variable is wrong, or help was asked for.
    Arguments(clap::Error),
    /// The file of settings cannot be read, or a line of it is wrong.
    File(StartupError),
}

/// What to write instead of a text that is no number, such as `10MB`.
const NUMBER_HINT: &str = "give a whole number such as 1000, without a unit or separators";

fn is_about_number(error: &clap::Error) -> bool {
    error.source().is_some_and(|reason| reason.is::<ParseIntError>())
}

impl From<clap::Error> for ReadError {
    fn from(mut error: clap::Error) -> Self {
        if is_about_number(&error) {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![NUMBER_HINT.into()]));
        }
        Self::Arguments(error)
    }
}

impl From<StartupError> for ReadError {
    fn from(error: StartupError) -> Self {
        Self::File(error)
    }
}

/// Everything in one line.
impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                f.write_str(line.strip_prefix("error: ").unwrap_or(line))?;
                if is_about_number(error) { write!(f, "; {NUMBER_HINT}") } else { Ok(()) }
            }
            Self::File(error) => error.fmt(f),
        }
    }
}

/// The command line of a program with these parties and settings. If the settings have a doc comment, the help begins with it.
pub(crate) fn command_of<S: Args>(program: &str, parties: &[&str]) -> clap::Command {
    let about = format!("A server of parties: {}.", parties.join(", "));
    let reached = "Each is at /parties/PARTY/ROOM, over HTTP and WebSocket.";
    let command = Config::command().bin_name(program).display_name(program);
    let command = command.about(about.clone()).long_about(format!("{about} {reached}"));
    let command = command.version(concat!("on connection-counter ", env!("CARGO_PKG_VERSION")));
    let health = clap::Command::new("health").about("Ask a running server whether it is ready. Exit code 0 means yes");
    let check =
        clap::Command::new(CHECK).about("Check the settings without serving. Print each one and where it comes from");
    let command = command.subcommands([health, check]).disable_help_subcommand(true);
    // Flags may come before or after the subcommand.
    S::augment_args(command.next_help_heading(None::<&'static str>)).mut_args(|arg| arg.global(true))
}

// The settings of a program that has none. This is no doc comment, because `--help` would begin with it.
#[derive(Args)]
pub(crate) struct NoSettings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_the_programs_own_parties_and_settings() {
        /// Everyone says what they like.
        #[derive(Args)]
        struct Own {
            /// What nobody may say.
            #[arg(long)]
            taboo: Option<String>,
        }
        let plain = command_of::<NoSettings>("my-program", &["chat", "login"]).render_long_help().to_string();
        assert!(
            plain.starts_with("A server of parties: chat, login.") && plain.contains("my-program [OPTIONS]"),
            "{plain}"
        );
        let own = command_of::<Own>("my-program", &["chat"]).render_long_help().to_string();
        assert!(own.starts_with("Everyone says what they like") && own.contains("--taboo"), "{own}");
        let options = own.split_once("Limits:").expect("there are limits").0;
        assert!(options.contains("--taboo"), "settings of the program are no limits: {own}");
        for counters in ["viewer", "site", "widget", "page id"] {
            assert!(!plain.contains(counters), "{counters}: {plain}");
        }
    }
}
