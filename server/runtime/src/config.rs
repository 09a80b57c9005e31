//! How a server is set up: one flag and one environment variable for each setting.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use ipnet::IpNet;

use crate::{
    error::StartupError,
    limits::{Limits, defaults, milliseconds},
};

/// Live viewer counts on the links of any web page.
///
/// Start it, then put one tag on your pages (see below). Every link to a page of the same site then shows how many people
/// are viewing that page right now. Without --site anyone who reaches the server may use it, so it only listens on this
/// machine. Behind a proxy such as Caddy or nginx, listen on loopback and name your sites with --site.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "connection-counter",
    version,
    after_help = "Embed with (the address is the one your readers reach the server under):\n    \
                  <script async src=\"https://live.example.org/live.js\"></script>"
)]
#[non_exhaustive]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "CONNECTION_COUNTER_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:1999")]
    pub listen: SocketAddr,

    /// Folder for what outlives a restart: what rooms store, and their alarms. Made if missing.
    #[arg(long, env = "CONNECTION_COUNTER_DATA", value_name = "DIR", default_value = "data")]
    pub data: PathBuf,

    /// A site whose pages may use this server, such as example.org or localhost:3000. Repeat it for several
    /// (comma-separated in the variable). Without any, every site may. Where the server has pages of its own (--demo or
    /// --assets) its own address is one too: let your proxy pass on only the names that are yours.
    #[arg(long = "site", env = "CONNECTION_COUNTER_SITE", value_name = "HOST", value_delimiter = ',')]
    pub sites: Vec<String>,

    /// Let every site use this server although it can be reached from other machines.
    #[arg(long, env = "CONNECTION_COUNTER_OPEN")]
    pub open: bool,

    /// Secret that lets a request from outside change counts (`Authorization: Bearer TOKEN`). Without one, none can.
    #[arg(long, env = "CONNECTION_COUNTER_PARTY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub party_token: Option<String>,

    /// Proxy, or network of proxies, whose X-Forwarded-For is believed. Repeat it for several.
    #[arg(
        long = "trusted-proxy",
        env = "CONNECTION_COUNTER_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// First part of the parties' addresses: /PREFIX/:party/:room. May contain slashes.
    #[arg(long, env = "CONNECTION_COUNTER_PREFIX", default_value = "parties")]
    pub prefix: String,

    /// Folder of files to serve on every path that is no party's: the pages of a project of your own. Not for files of more
    /// than 16 MiB.
    #[arg(long, env = "CONNECTION_COUNTER_ASSETS", value_name = "DIR")]
    pub assets: Option<PathBuf>,

    /// Answer navigations to paths without a file with the folder's index.html, for apps that route in the browser.
    #[arg(long, env = "CONNECTION_COUNTER_SINGLE_PAGE")]
    pub single_page: bool,

    /// Serve the demo site at / and /pages/.
    #[arg(long, env = "CONNECTION_COUNTER_DEMO", default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    pub demo: bool,

    /// Milliseconds between two updates of one page; the first change after a quiet time goes out at once. Stretched up
    /// to 5 s on pages with more than 3,000 viewers, and for sites with more than 1,000 pages that are viewed.
    #[arg(long = "update-interval-ms", env = "CONNECTION_COUNTER_UPDATE_INTERVAL_MS", value_parser = milliseconds,
          default_value = "100")]
    pub update_interval: Duration,

    /// Milliseconds between two clean-ups of a room.
    #[arg(long = "cleanup-interval-ms", env = "CONNECTION_COUNTER_CLEANUP_INTERVAL_MS", value_parser = milliseconds,
          default_value = "3600000")]
    pub cleanup_interval: Duration,

    /// Milliseconds after which a page that no one views or watches is forgotten, with its peak, at the next clean-up.
    #[arg(long = "forget-after-ms", env = "CONNECTION_COUNTER_FORGET_AFTER_MS", value_parser = milliseconds,
          default_value = "86400000")]
    pub forget_after: Duration,

    /// How much to log: error, warn, info, debug or trace, or a filter such as connection_counter=debug.
    #[arg(long, env = "CONNECTION_COUNTER_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// For people or for programs.
    #[arg(long, env = "CONNECTION_COUNTER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,

    /// Bounds on what strangers can cost.
    #[command(flatten)]
    pub limits: Limits,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line each.
    Human,
    /// One JSON object each.
    Json,
}

/// Settings that parties of one's own have no use for.
const OF_THE_COUNTER: [&str; 9] = [
    "party_token",
    "demo",
    "update_interval",
    "cleanup_interval",
    "forget_after",
    "links_per_message",
    "links_per_connection",
    "links_per_room",
    "pages_per_site",
];

/// Whether pages can use the widget with these parties.
pub(crate) fn serves_widget(parties: &[&str]) -> bool {
    parties.contains(&"page")
}

impl Config {
    /// The settings on a program's command line and in its environment. Prints help, or what is wrong, and ends the program
    /// where asked to.
    pub(crate) fn from_args(program: &str, parties: &[&str]) -> Self {
        let matches = Self::command_of(program, parties).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// The command line of a program with these parties. What is said of viewer counts is for those who have them.
    fn command_of(program: &str, parties: &[&str]) -> Command {
        let command = Self::command().bin_name(program).display_name(program);
        if serves_widget(parties) {
            return command;
        }
        let about = format!("A server of parties: {}.", parties.join(", "));
        let reached = "Each is at /parties/PARTY/ROOM, over HTTP and WebSocket.";
        let command = command.about(about.clone()).long_about(format!("{about} {reached}")).after_help(None);
        let command = command.version(concat!("on connection-counter ", env!("CARGO_PKG_VERSION")));
        command.mut_args(|arg| if OF_THE_COUNTER.contains(&arg.get_id().as_str()) { arg.hide(true) } else { arg })
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first setting that makes no sense, and what to do about it.
    pub fn validate(&self) -> Result<(), StartupError> {
        if self.sites.is_empty() && !self.open && !self.listen.ip().is_loopback() {
            return Err(StartupError::OpenToTheNetwork { address: self.listen });
        }
        if self.update_interval.is_zero() {
            return Err(StartupError::Setting { setting: "update-interval-ms", problem: "give 1 or more" });
        }
        if self.cleanup_interval.is_zero() {
            return Err(StartupError::Setting { setting: "cleanup-interval-ms", problem: "give 1 or more" });
        }
        if self.single_page && self.assets.is_none() {
            let problem = "there is no page to answer with; name its folder with --assets";
            return Err(StartupError::Setting { setting: "single-page", problem });
        }
        if self.party_token.as_deref().is_some_and(str::is_empty) {
            let problem = "an empty token would let anyone change counts; leave it away or give one";
            return Err(StartupError::Setting { setting: "party-token", problem });
        }
        if self.prefix.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            let problem = "give one or more path segments such as parties or v1/parties, without a first or last slash";
            return Err(StartupError::Setting { setting: "prefix", problem });
        }
        self.limits.validate()
    }
}

/// The defaults are those of the flags, in one place; what the environment says is for programs, which ask for it with
/// [`Config::from_args`].
impl Default for Config {
    fn default() -> Self {
        defaults(Self::command())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_about_the_parties_there_are() {
        let help = |parties: &[&str]| Config::command_of("my-program", parties).render_long_help().to_string();
        let counter = help(&["counter", "page"]);
        assert!(counter.contains("Live viewer counts") && counter.contains("Embed with"), "{counter}");
        let own = help(&["chat", "login"]);
        assert!(own.starts_with("A server of parties: chat, login.") && own.contains("my-program [OPTIONS]"), "{own}");
        for counters in ["viewer counts", "Embed", "  --demo ", "  --update-interval-ms ", "  --max-links-per-room "] {
            assert!(counter.contains(counters) && !own.contains(counters), "{counters}: {own}");
        }
        for arg in OF_THE_COUNTER {
            assert!(Config::command().get_arguments().any(|known| known.get_id() == arg), "there is no {arg}");
        }
    }

    #[test]
    fn flags_are_sound() {
        Config::command().debug_assert();
        Config::default().validate().unwrap();
    }

    #[test]
    fn every_flag_has_a_variable() {
        for arg in Config::command().get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"))
        {
            let long = arg.get_long().unwrap();
            let variable = format!("CONNECTION_COUNTER_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()), "--{long}");
        }
    }

    #[test]
    fn an_open_server_stays_on_this_machine() {
        let config = |args: &[&str]| Config::parse_from([&["connection-counter"], args].concat()).validate();
        assert!(matches!(config(&["--listen", "0.0.0.0:1999"]), Err(StartupError::OpenToTheNetwork { .. })));
        config(&["--listen", "0.0.0.0:1999", "--site", "example.org"]).unwrap();
        config(&["--listen", "0.0.0.0:1999", "--open"]).unwrap();
        config(&["--listen", "[::1]:1999"]).unwrap();
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (args, named) in [
            (["--idle-timeout-ms", "25000"], "idle-timeout-ms"),
            (["--max-rooms", "0"], "max-rooms"),
            (["--update-interval-ms", "0"], "update-interval-ms"),
            (["--prefix", "/parties/"], "prefix"),
            (["--party-token", ""], "party-token"),
            (["--single-page", "--open"], "single-page"),
        ] {
            let error = Config::parse_from(["connection-counter"].into_iter().chain(args)).validate().unwrap_err();
            assert!(matches!(error, StartupError::Setting { setting, .. } if setting == named), "{error}");
        }
    }
}
