//! The log: what is written to it, and in which format.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, LogFormat},
    error::StartupError,
};

/// The words for how much is logged.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Changes how much is logged.
pub(crate) type Refilter = Box<dyn Fn(EnvFilter)>;

/// Starts the log on standard error.
pub(crate) fn start(config: &Config, quiet: &[&'static str]) -> Result<Refilter, StartupError> {
    let filter = filter(&config.log, quiet)?;
    // Colours are for terminals, not for files and log collectors.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // What cannot be logged, for example on a full disk, is lost. Otherwise it would be printed to the same place, which panics.
    let log = log.with_ansi(io::stderr().is_terminal()).log_internal_errors(false);
    // This fails only if the log is gone, and the log lasts as long as the program.
    Ok(match config.log_format {
        LogFormat::Human => {
            let log = log.with_target(false).with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
        LogFormat::Json => {
            let log = log.json().with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
    })
}

/// Reads a filter. Quiet libraries log nothing unless the filter names them. A word that is not a level is an error, because
/// the filter would take it for the name of a module, and silence everything else.
pub(crate) fn filter(text: &str, quiet: &[&'static str]) -> Result<EnvFilter, StartupError> {
    let problem = "this is not a filter; give off, error, warn, info, debug, trace, or a list such as info,connection_counter=debug";
    let wrong = || StartupError::Setting { setting: "log", problem };
    let has_level = |part: &str| {
        let (module, level) = part.rsplit_once('=').map_or(("", part), |(module, level)| (module, level));
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-:".contains(c);
        module.trim().chars().all(is_of_name) && LEVELS.iter().any(|known| level.trim().eq_ignore_ascii_case(known))
    };
    // Blanks between the entries of a list do not matter, as in all settings.
    let text = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    if !text.split(',').all(has_level) {
        return Err(wrong());
    }
    // Rust's names of modules have no hyphens, but those of programs do.
    let text = text.replace('-', "_");
    // A filter that names only modules would silence the errors of all others.
    let rest = if text.split(',').all(|part| part.contains('=')) { "warn," } else { "" };
    // Later entries win.
    let silence = quiet.iter().map(|library| format!("{library}=off,"));
    EnvFilter::try_new(silence.collect::<String>() + rest + &text).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_with_unknown_words_are_refused() {
        for text in ["info", "WARN", "off", "info, connection_counter=debug", "connection_counter_runtime::http=trace"]
        {
            assert!(filter(text, &["chatty"]).is_ok(), "{text}");
        }
        for text in [
            "verbose",
            "",
            "connection_counter",
            "info,verbose",
            "connection_counter=loud",
            "4",
            "info,",
            "a b=info",
            "a;b=info",
            "[a]=info",
        ] {
            assert!(filter(text, &["chatty"]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_of_modules_does_not_silence_the_others() {
        let heard = |text: &str| filter(text, &[]).unwrap().to_string();
        assert_eq!(heard("connection-counter=debug"), heard("warn,connection_counter=debug"));
        assert_ne!(heard("info,connection_counter=debug"), heard("warn,connection_counter=debug"));
    }

    #[test]
    fn a_quiet_library_is_logged_only_if_the_filter_names_it() {
        let heard = |text: &str| filter(text, &["chatty"]).unwrap().to_string();
        assert!(heard("info").contains("chatty=off"), "{}", heard("info"));
        assert!(heard("info,chatty=debug").contains("chatty=debug"), "{}", heard("info,chatty=debug"));
        assert!(!heard("info,chatty=debug").contains("off"), "{}", heard("info,chatty=debug"));
    }
}
