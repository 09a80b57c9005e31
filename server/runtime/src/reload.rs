//! Settings that change while the server runs. This decides what a reload changes and what needs a restart.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    sync::{Arc, PoisonError, RwLock},
};

use http::Extensions;

use crate::{Server, config::Config, limits::Limits, server::Pages};

/// Flags that only matter at the start, or for sockets that are already open.
const AT_START_ONLY: [&str; 19] = [
    "listen",
    "data",
    "trusted-proxy",
    "client-ip-header",
    "cors-origin",
    "prefix",
    "assets",
    "single-page",
    "admin",
    "log-format",
    "env-file",
    "max-connections",
    "max-message-bytes",
    "message-burst",
    "messages-per-second",
    "max-send-queue-bytes",
    "ping-interval-ms",
    "idle-timeout-ms",
    "write-timeout-ms",
];

/// A value that a reload replaces.
///
/// The old value is never freed, because somebody may still be reading it. Reloads are few, and it has only a few kilobytes.
pub(crate) struct Live<T: 'static>(RwLock<&'static T>);

impl<T> Live<T> {
    pub(crate) fn new(value: T) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Box::leak(Box::new(value)))))
    }

    pub(crate) fn get(&self) -> &'static T {
        // Nothing that holds the lock can panic.
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Box::leak(Box::new(value));
    }
}

/// What the program has given to the server.
#[derive(Clone)]
pub(crate) struct Program {
    /// The program's own values, by their types.
    pub(crate) values: Extensions,
    /// The values that a reload does not replace.
    lasting: Extensions,
    /// Answers paths that do not belong to a party.
    pub(crate) pages: Option<Pages>,
}

/// The current settings of a running server.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) config: Arc<Live<Config>>,
    pub(crate) program: Arc<Live<Program>>,
}

/// Settings that were read again and are valid.
pub(crate) struct Reread {
    pub(crate) config: Config,
    /// A server that was set up with them. It is not run.
    pub(crate) server: Server,
    /// The value of each flag, as text.
    pub(crate) values: BTreeMap<String, Vec<OsString>>,
}

impl Running {
    pub(crate) fn new(config: Config, mut values: Extensions, lasting: Extensions, pages: Option<Pages>) -> Self {
        values.extend(lasting.clone());
        Self { config: Live::new(config), program: Live::new(Program { values, lasting, pages }) }
    }

    /// Replaces the settings with these.
    pub(crate) fn take_over(&self, config: Config, server: Server) {
        let mut program = self.program.get().clone();
        let (values, pages) = server.into_program();
        program.values.extend(values);
        program.values.extend(program.lasting.clone());
        program.pages = pages.or(program.pages);
        self.program.set(program);
        self.config.set(config);
    }
}

/// The new settings where they can change while a server runs, and the current ones otherwise.
pub(crate) fn merged(now: &Config, new: Config) -> Config {
    Config {
        log: new.log,
        admin_token: new.admin_token,
        drain: new.drain,
        limits: Limits {
            connections: now.limits.connections,
            message_bytes: now.limits.message_bytes,
            message_burst: now.limits.message_burst,
            messages_per_second: now.limits.messages_per_second,
            send_queue_bytes: now.limits.send_queue_bytes,
            ping_interval: now.limits.ping_interval,
            idle_timeout: now.limits.idle_timeout,
            write_timeout: now.limits.write_timeout,
            ..new.limits
        },
        ..now.clone()
    }
}

/// The flags that have changed: those that take effect now, and those that need a restart.
pub(crate) fn changed<'a>(
    before: &BTreeMap<String, Vec<OsString>>,
    now: &'a BTreeMap<String, Vec<OsString>>,
    lasting: &[&str],
) -> (Vec<&'a str>, Vec<&'a str>) {
    let changed = now.iter().filter(|(flag, values)| before.get(*flag) != Some(values)).map(|(flag, _)| flag.as_str());
    changed.partition(|flag| !AT_START_ONLY.contains(flag) && !lasting.contains(flag))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_setting_changes_on_reload_or_is_listed_as_start_only() {
        let command = Config::command();
        let flags: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        assert!(AT_START_ONLY.iter().all(|flag| flags.contains(flag)));
        // Each flag gets another value than its default. The list above must contain those that a reload does not change.
        let given = |flag: &str| match flag {
            "help" | "version" => None,
            "single-page" => Some("--single-page".to_owned()),
            "listen" | "admin" => Some(format!("--{flag}=127.0.0.1:7")),
            "trusted-proxy" => Some(format!("--{flag}=127.0.0.1")),
            "cors-origin" => Some(format!("--{flag}=https://a.example")),
            "log-format" => Some(format!("--{flag}=json")),
            flag => Some(format!("--{flag}=7")),
        };
        for flag in &flags {
            let Some(argument) = given(flag) else { continue };
            let new = <Config as clap::Parser>::parse_from(["program", &argument]);
            let (now, new) = (Config::default(), format!("{:?}", merged(&Config::default(), new)));
            let has_changed = new != format!("{now:?}");
            assert_eq!(has_changed, !AT_START_ONLY.contains(flag), "--{flag}");
        }
    }

    #[test]
    fn changes_that_need_a_restart_are_listed_apart() {
        let values = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(flag, value)| ((*flag).to_owned(), vec![OsString::from(value)])).collect()
        };
        let before = values(&[("cluster", "a"), ("listen", "a"), ("site", "a"), ("log", "info")]);
        let now = values(&[("cluster", "b"), ("listen", "b"), ("site", "b"), ("log", "info")]);
        assert_eq!(changed(&before, &now, &["cluster"]), (vec!["site"], vec!["cluster", "listen"]));
        assert_eq!(changed(&now, &now, &["cluster"]), (vec![], vec![]));
    }

    #[test]
    fn a_reload_does_not_replace_lasting_values() {
        let mut lasting = Extensions::new();
        lasting.insert("started");
        let running = Running::new(Config::default(), Extensions::new(), lasting, None);
        running.take_over(Config::default(), Server::builder().with("read again").with(7_u8));
        let values = &running.program.get().values;
        assert_eq!((values.get::<&str>(), values.get::<u8>()), (Some(&"started"), Some(&7)));
    }
}
