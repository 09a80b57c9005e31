//! How a server is set up: one flag and one environment variable for each setting.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{ArgAction, Args, Parser, ValueEnum};
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::{cors, error::StartupError, forwarded, limits::Limits};

/// Why an empty value in a list is refused.
pub(crate) const EMPTY_VALUE: &str = "the value is empty; remove the flag, or the comma that is too many";

/// A server of parties.
///
/// A program with settings of its own reads them from the same command line; see
/// [`Server::main_with`](crate::Server::main_with).
#[derive(Clone, Debug, Parser)]
#[non_exhaustive]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(
        long,
        env = "CONNECTION_COUNTER_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:1999",
        value_parser = listen_address
    )]
    pub listen: SocketAddr,

    /// Folder for data that is kept across restarts: what rooms store, and their alarms. It is created if it is missing.
    #[arg(long, env = "CONNECTION_COUNTER_DATA", value_name = "DIR", default_value = "data")]
    pub data: PathBuf,

    /// Proxy whose X-Forwarded-For header is trusted: its address, or a network such as 172.18.0.0/16. Repeat it for several.
    #[arg(
        long = "trusted-proxy",
        env = "CONNECTION_COUNTER_TRUSTED_PROXY",
        value_name = "ADDR",
        value_delimiter = ',',
        value_parser = forwarded::network
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// Header in which trusted proxies name the reader's address, such as CF-Connecting-IP, X-Real-IP or Forwarded.
    #[arg(
        long = "client-ip-header",
        env = "CONNECTION_COUNTER_CLIENT_IP_HEADER",
        value_name = "HEADER",
        default_value = "X-Forwarded-For",
        value_parser = forwarded::header_name
    )]
    pub client_ip_header: HeaderName,

    /// Origin whose pages may send requests to your own parties and read the answers, such as `https://app.example.org`.
    /// Repeat it for several. `*` means every origin. If a party sends its own CORS headers, those are used instead.
    #[arg(
        long = "cors-origin",
        env = "CONNECTION_COUNTER_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        default_value = "*",
        value_parser = cors::origin
    )]
    pub cors_origins: Vec<HeaderValue>,

    /// First part of the parties' addresses: /PREFIX/:party/:room. It may contain slashes.
    #[arg(long, env = "CONNECTION_COUNTER_PREFIX", default_value = "parties")]
    pub prefix: String,

    /// Folder of files to serve on all paths that do not belong to a party, for the pages of your own project. Files larger
    /// than 16 MiB are not served.
    #[arg(long, env = "CONNECTION_COUNTER_ASSETS", value_name = "DIR")]
    pub assets: Option<PathBuf>,

    /// Answer navigations to unknown paths with the index.html of --assets, for apps that route in the browser.
    #[arg(long, env = "CONNECTION_COUNTER_SINGLE_PAGE", value_parser = yes_or_no, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", action = ArgAction::Set, value_name = "BOOL")]
    pub single_page: bool,

    /// Milliseconds to wait after the signal to stop before connections are closed. During this time /readyz says no, and
    /// everything else goes on, so that a load balancer can send new readers elsewhere.
    #[arg(long = "drain-ms", env = "CONNECTION_COUNTER_DRAIN_MS", value_parser = milliseconds, default_value = "0")]
    pub drain: Duration,

    /// Address for the operator, such as 127.0.0.1:2000. It serves metrics at /metrics, and the dashboard at / if the program
    /// has one. If other machines can reach the address, it needs --admin-token. Without this flag there is no such address.
    #[arg(long, env = "CONNECTION_COUNTER_ADMIN", value_name = "ADDR:PORT", value_parser = listen_address)]
    pub admin: Option<SocketAddr>,

    /// Secret that every request to the --admin address needs, as `Authorization: Bearer TOKEN`. Browsers ask for it as a
    /// password.
    #[arg(long, env = "CONNECTION_COUNTER_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,

    /// File of settings, one on each line, such as CONNECTION_COUNTER_LOG=debug. Flags and environment variables win over it.
    /// On SIGHUP the file is read again. Limits, tokens, --log and some settings of the program then change without a restart.
    #[arg(long = "env-file", env = "CONNECTION_COUNTER_ENV_FILE", value_name = "FILE")]
    pub env_file: Option<PathBuf>,

    /// How much to log: off, error, warn, info, debug or trace, or a list such as info,connection_counter=debug.
    #[arg(long, env = "CONNECTION_COUNTER_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// Format of the log: for people or for programs.
    #[arg(long, env = "CONNECTION_COUNTER_LOG_FORMAT", value_enum, ignore_case = true,
          default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,

    /// Limits on what strangers can cost.
    #[command(flatten)]
    pub limits: Limits,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A readable line for each entry.
    Human,
    /// A JSON object for each entry.
    Json,
}

impl Config {
    /// Checks the settings for errors that the types do not rule out.
    ///
    /// # Errors
    /// Returns the first invalid setting, and how to correct it.
    pub fn validate(&self) -> Result<(), StartupError> {
        if self.single_page && self.assets.is_none() {
            let problem = "there is no page to answer with; name its folder with --assets";
            return Err(StartupError::Setting { setting: "single-page", problem });
        }
        if self.single_page && self.assets.as_ref().is_some_and(|folder| !folder.join("index.html").is_file()) {
            let problem = "the folder of --assets has no index.html to answer with; add one";
            return Err(StartupError::Setting { setting: "single-page", problem });
        }
        if let Some(folder) = &self.assets
            && let Err(error) = std::fs::read_dir(folder)
        {
            return Err(StartupError::Assets { path: folder.clone(), source: error });
        }
        let kept = [("data", Some(&self.data)), ("env-file", self.env_file.as_ref())];
        let is_public = |path: Option<&PathBuf>| {
            self.assets.as_ref().zip(path).is_some_and(|(folder, path)| is_within(path, folder))
        };
        if let Some((setting, _)) = kept.into_iter().find(|(_, path)| is_public(*path)) {
            let problem = "this is within the folder of --assets, so everyone could read it; move it out of that folder, or name \
                           only the folder with the pages with --assets";
            return Err(StartupError::Setting { setting, problem });
        }
        let is_segment = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte))
        };
        if !self.prefix.split('/').all(is_segment) {
            let problem = "give one or more path segments such as parties or v1/parties, without a first or last slash, \
                           and without characters that URLs escape";
            return Err(StartupError::Setting { setting: "prefix", problem });
        }
        if self.admin_token.as_deref().is_some_and(|token| !is_token(token)) {
            let problem = "an empty token would let anyone in, and one with blanks at its ends or control characters \
                           cannot be sent; remove the setting, or give a token such as `openssl rand -hex 16` prints";
            return Err(StartupError::Setting { setting: "admin-token", problem });
        }
        if self.admin.is_some_and(|address| !address.ip().to_canonical().is_loopback()) && self.admin_token.is_none() {
            let problem = "other machines can reach this address; add --admin-token, or listen on 127.0.0.1";
            return Err(StartupError::Setting { setting: "admin", problem });
        }
        if self.admin == Some(self.listen) && self.listen.port() != 0 {
            let problem = "this is the address of --listen; give another port";
            return Err(StartupError::Setting { setting: "admin", problem });
        }
        if self.admin.is_none() && self.admin_token.is_some() {
            let problem =
                "there is no address that needs it; add --admin, such as --admin 127.0.0.1:2000, or remove the token";
            return Err(StartupError::Setting { setting: "admin-token", problem });
        }
        if self.trusted_proxies.is_empty() && self.client_ip_header != defaults::<Self>().client_ip_header {
            let problem = "no proxy is trusted, so this header is not read; name the proxy with --trusted-proxy";
            return Err(StartupError::Setting { setting: "client-ip-header", problem });
        }
        self.limits.validate()
    }
}

/// The defaults are the defaults of the flags. They ignore the environment: only [`Server::main`](crate::Server::main) reads that.
impl Default for Config {
    fn default() -> Self {
        defaults()
    }
}

/// Whether a path, which may not exist yet, is within a folder.
fn is_within(path: &Path, folder: &Path) -> bool {
    let (Ok(path), Ok(folder)) = (std::path::absolute(path), folder.canonicalize()) else { return false };
    let existing = path.ancestors().find_map(|part| Some((part.canonicalize().ok()?, path.strip_prefix(part).ok()?)));
    existing.is_some_and(|(mut real, rest)| {
        for part in rest {
            if part != ".." {
                real.push(part);
            } else {
                real.pop();
            }
        }
        real.starts_with(folder)
    })
}

/// Whether a text is a host that browsers can reach, such as `example.org`, `127.0.0.1:8080` or `[::1]`, without a user.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_name = |name: &str| match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => name.strip_suffix('.').unwrap_or(name).split('.').all(is_label),
    };
    match text.rsplit_once(':').filter(|_| !text.ends_with(']')) {
        Some((name, port)) => is_name(name) && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => is_name(text),
    }
}

/// Whether a secret can be sent in a header: it is not empty, and has no blanks at an end and no control characters.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

/// Reads a flag in milliseconds, for clap's `value_parser`.
///
/// # Errors
/// Fails if the text is not a whole number.
pub fn milliseconds(text: &str) -> Result<Duration, String> {
    let wrong = |_| format!("{text:?} is not a number of milliseconds; give a whole number such as 5000");
    text.trim().parse().map(Duration::from_millis).map_err(wrong)
}

/// Reads a flag that is on or off, for clap's `value_parser`.
///
/// # Errors
/// Fails if the text is neither yes nor no.
pub fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "t" | "1" => Ok(true),
        "false" | "no" | "n" | "off" | "f" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false; give one of them")),
    }
}

/// Reads an address to listen on.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| {
        format!("{text:?} is not an address with a port; give one such as 127.0.0.1:1999, 0.0.0.0:1999 or [::]:1999")
    };
    text.trim().parse().map_err(wrong)
}

/// The defaults of the flags. The environment is ignored.
///
/// # Panics
/// Panics if a flag has no default, or an invalid one.
#[must_use]
pub fn defaults<T: Args>() -> T {
    let command = without_environment(T::augment_args(clap::Command::new("defaults")));
    T::from_arg_matches(&command.get_matches_from([""])).expect("every flag has a valid default")
}

fn without_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.env(None::<&'static str>))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent_and_the_defaults_are_valid() {
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
    fn defaults_ignore_the_environment() {
        let command = without_environment(Config::command());
        let asked: Vec<_> = command.get_arguments().filter_map(|arg| arg.get_env()).collect();
        assert!(asked.is_empty(), "{asked:?}");
    }

    #[test]
    fn validate_names_the_invalid_setting() {
        for (args, named) in [
            (["--idle-timeout-ms", "25000"], "idle-timeout-ms"),
            (["--max-rooms", "0"], "max-rooms"),
            (["--prefix", "/parties/"], "prefix"),
            (["--single-page", "--log=info"], "single-page"),
            (["--assets=src", "--data=./src/data"], "data"),
            (["--assets=src", "--data=src"], "data"),
            (["--assets=src", "--data=src/.hidden/data"], "data"),
            (["--assets=src", "--data=none/../src/none/../data"], "data"),
            (["--assets=src", "--single-page"], "single-page"),
            (["--assets=src", "--env-file=src/lib.rs"], "env-file"),
            (["--admin", "0.0.0.0:2000"], "admin"),
            (["--admin=127.0.0.1:2000", "--admin-token="], "admin-token"),
        ] {
            let error = Config::parse_from(["program"].into_iter().chain(args)).validate().unwrap_err();
            assert!(matches!(error, StartupError::Setting { setting, .. } if setting == named), "{error}");
        }
    }
}
