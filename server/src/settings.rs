//! The settings of the counter. The runtime has its own.

use std::{net::SocketAddr, time::Duration};

use clap::{ArgAction, Args};
use connection_counter_protocol::{MAX_LINKS_PER_CONNECTION, MAX_LINKS_PER_MESSAGE, PageIdError};

use crate::{
    Access, Badge, Config, Greeting, Server, StartupError, files, files::Files, is_host, is_token, manual,
    milliseconds, yes_or_no,
};

/// Live viewer counts on the links of any web page.
///
/// Start the server, then put one tag on your pages (see below). Every link to a page of the same site then shows how many
/// people are viewing that page right now. Without --site, every site may use the server, so it listens only on this machine.
/// Behind a proxy such as Caddy or nginx, listen on loopback and name your sites with --site.
#[derive(Clone, Debug, Args)]
#[command(
    version,
    next_help_heading = "Viewer counts",
    after_help = "Put this tag on your pages, with the address at which your readers reach the server:\n    \
                  <script async src=\"https://live.example.org/live.js\"></script>"
)]
#[non_exhaustive]
pub struct Settings {
    /// A site whose pages may use this server, such as example.org or localhost:3000. Repeat it for several, or separate them
    /// by commas in the variable. `example.org=www.example.org` makes two names one site. `*.example.org` allows all
    /// sub-domains, each as a separate site, but not example.org itself. Without this flag, every site may use the server. If
    /// the server has its own pages (--demo or --assets), its own address is also allowed, so let your proxy forward only
    /// your own host names.
    #[arg(long = "site", env = "CONNECTION_COUNTER_SITE", value_name = "HOST", value_delimiter = ',', value_parser = trimmed)]
    pub sites: Vec<String>,

    /// Let every site use this server, even if other machines can reach it.
    #[arg(long, env = "CONNECTION_COUNTER_OPEN", value_parser = yes_or_no, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", action = ArgAction::Set, value_name = "BOOL")]
    pub open: bool,

    /// Secret that lets a request from outside change counts (`Authorization: Bearer TOKEN`). Without it, no request can.
    #[arg(long, env = "CONNECTION_COUNTER_PARTY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub party_token: Option<String>,

    /// Serve the demo site at / and /pages/.
    #[arg(long, env = "CONNECTION_COUNTER_DEMO", default_value_t = true, action = ArgAction::Set, value_name = "BOOL",
          value_parser = yes_or_no)]
    pub demo: bool,

    /// Serve badges: the viewers of a page as a picture at /badge/PAGE.svg, and as JSON at /badge/PAGE.json. With --assets,
    /// a change of this needs a restart.
    #[arg(long, env = "CONNECTION_COUNTER_BADGES", value_parser = yes_or_no, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false", action = ArgAction::Set, value_name = "BOOL")]
    pub badges: bool,

    /// The address at which readers reach this server, such as `https://live.example.org`. The server prints it in its tags.
    /// Without it the tags have the address on which the server listens.
    #[arg(long, env = "CONNECTION_COUNTER_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Shortest time between two updates of one page, in milliseconds. The first change after a quiet time is sent at once.
    /// The time grows by itself, up to 5 s, so that one page, or one site, uses at most a quarter of a core for updates.
    #[arg(long = "update-interval-ms", env = "CONNECTION_COUNTER_UPDATE_INTERVAL_MS", value_parser = milliseconds,
          default_value = "16")]
    pub update_interval: Duration,

    /// Milliseconds between two clean-ups of a room.
    #[arg(long = "cleanup-interval-ms", env = "CONNECTION_COUNTER_CLEANUP_INTERVAL_MS", value_parser = milliseconds,
          default_value = "3600000")]
    pub cleanup_interval: Duration,

    /// Milliseconds after which a page that no one views or watches is forgotten, with its peak, at the next clean-up.
    #[arg(long = "forget-after-ms", env = "CONNECTION_COUNTER_FORGET_AFTER_MS", value_parser = milliseconds,
          default_value = "86400000")]
    pub forget_after: Duration,

    /// Limits on what viewers can ask for.
    #[command(flatten)]
    pub limits: ViewerLimits,

    /// How several machines count together.
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    pub cluster: crate::ClusterSettings,
}

/// Limits on what viewers can ask for. The runtime's are in [`Limits`](crate::Limits).
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
#[non_exhaustive]
pub struct ViewerLimits {
    /// WebSockets of one site. 0 means no limit. Beyond: status 503.
    #[arg(long = "max-connections-per-site", env = "CONNECTION_COUNTER_MAX_CONNECTIONS_PER_SITE", default_value_t = 0)]
    pub connections_per_site: u32,

    /// Links that one message may name. Beyond: an error message, and no link of the message is watched.
    #[arg(long = "max-links-per-message", env = "CONNECTION_COUNTER_MAX_LINKS_PER_MESSAGE",
          default_value_t = MAX_LINKS_PER_MESSAGE)]
    pub links_per_message: usize,

    /// Links that one connection may watch. Beyond: an error message, and only the first links are watched.
    #[arg(long = "max-links-per-connection", env = "CONNECTION_COUNTER_MAX_LINKS_PER_CONNECTION",
          default_value_t = MAX_LINKS_PER_CONNECTION)]
    pub links_per_connection: usize,

    /// Different links that all viewers of one page together may watch. One address may add at most as many as are still free
    /// after that, so never more than half. Beyond: an error message, and only the first links are watched.
    #[arg(long = "max-links-per-room", env = "CONNECTION_COUNTER_MAX_LINKS_PER_ROOM", default_value_t = 4096)]
    pub links_per_room: usize,

    /// Pages that one site's counter keeps. Beyond: only pages with viewers are added, and links to others show no count.
    #[arg(long = "max-pages-per-site", env = "CONNECTION_COUNTER_MAX_PAGES_PER_SITE", default_value_t = 1_000_000)]
    pub pages_per_site: usize,

    /// Bytes of memory that one site's counter may use for its pages. A page takes 400 bytes plus its address. Beyond: pages
    /// that no one views or watches are forgotten with their peaks, those viewed longest ago first.
    #[arg(long = "max-bytes-per-site", env = "CONNECTION_COUNTER_MAX_BYTES_PER_SITE", default_value_t = 64 * 1024 * 1024)]
    pub bytes_per_site: usize,
}

/// Why the counter's settings are invalid. A person reads this on the terminal.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Anyone on the network could use the server for any site.
    #[error(
        "other machines can reach {address}, but no site is named. Name the sites that may use the server with --site HOST \
         (repeat it for several), listen on 127.0.0.1, or let every site use it with --open"
    )]
    OpenToTheNetwork {
        /// The value of `--listen`.
        address: SocketAddr,
    },
    /// A `--site` is not a host.
    #[error(
        "--site {site}: this is not a host. Give one such as example.org or localhost:3000, without a scheme or a path, or \
         *.example.org for all sub-domains, and commas between several. To serve every site, leave out --site, and add --open if \
         other machines can reach the server"
    )]
    Site {
        /// The value of `--site`.
        site: String,
        /// What is wrong with it.
        source: PageIdError,
    },
    /// A name belongs to two sites.
    #[error(
        "--site: {name} leads to two sites. Give it once, either as a site or as another name of one site, as in \
         example.org=www.example.org"
    )]
    TwoSites {
        /// The name.
        name: String,
    },
}

impl From<SettingsError> for StartupError {
    fn from(error: SettingsError) -> Self {
        Self::Program(error.into())
    }
}

impl Settings {
    /// Adds to a server what the parties `page` and `counter` need: these settings, the access rules, and the files of the
    /// widget and the demo site.
    ///
    /// # Errors
    /// Returns the first invalid setting, and how to correct it.
    pub fn equip(mut self, server: Server, config: &Config) -> Result<Server, StartupError> {
        self.sites.retain(|site| !site.is_empty());
        self.validate(config)?;
        let has_assets = config.assets.is_some();
        let access = Access::new(&self, has_assets)?;
        // A project with --assets has its own start page.
        let files = Files::new(self.demo && !has_assets);
        let public_url = self.public_url.as_deref().and_then(web_address);
        let users =
            if self.sites.is_empty() { "for every site".to_owned() } else { format!("for {}", self.sites.join(", ")) };
        let manual_url = public_url.clone();
        // A project with --assets may use this path itself.
        let has_badges = self.badges || !has_assets;
        let server = match has_badges {
            true => server.party::<Badge>("badge").short_address("badge"),
            false => server.only_at_start(&["badges"]),
        };
        #[cfg(feature = "cluster")]
        let server = self.cluster.equip(server)?;
        let server = server.with(access).with(self).pages(move |request| {
            let manual = || manual::answer(request, manual_url.as_deref()).filter(|_| !has_assets);
            files.answer(request).or_else(manual)
        });
        Ok(server
            .query_address("live", "page")
            .greeting(move |address| Greeting { lines: tags(address, public_url.as_deref()), users: users.clone() }))
    }

    /// Checks the settings for errors that the types do not rule out.
    fn validate(&self, config: &Config) -> Result<(), StartupError> {
        if self.sites.is_empty() && !self.open && !config.listen.ip().to_canonical().is_loopback() {
            return Err(SettingsError::OpenToTheNetwork { address: config.listen }.into());
        }
        let periods = [("update-interval-ms", self.update_interval), ("cleanup-interval-ms", self.cleanup_interval)];
        if let Some((setting, _)) = periods.into_iter().find(|(_, period)| period.is_zero()) {
            return Err(StartupError::Setting { setting, problem: "give 1 or more" });
        }
        if self.party_token.as_deref().is_some_and(|token| !is_token(token)) {
            let problem = "an empty token would let anyone change counts, and one with blanks at its ends or control characters \
                           cannot be sent; remove the setting, or give a token such as `openssl rand -hex 16` prints";
            return Err(StartupError::Setting { setting: "party-token", problem });
        }
        if self.public_url.as_deref().is_some_and(|url| web_address(url).is_none()) {
            let problem = "give the address at which readers' browsers reach this server, such as https://live.example.org, \
                           without live.js (letters outside of ASCII as browsers send them, such as xn--bcher-kva.example)";
            return Err(StartupError::Setting { setting: "public-url", problem });
        }
        let limits = &self.limits;
        let positive = [
            ("max-links-per-message", limits.links_per_message),
            ("max-links-per-connection", limits.links_per_connection),
            ("max-links-per-room", limits.links_per_room),
            ("max-pages-per-site", limits.pages_per_site),
            ("max-bytes-per-site", limits.bytes_per_site),
        ];
        if let Some((setting, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(StartupError::Setting { setting, problem: "0 would refuse everyone; give 1 or more" });
        }
        Ok(())
    }
}

/// The defaults are the defaults of the flags.
impl Default for Settings {
    fn default() -> Self {
        crate::defaults()
    }
}

/// The tags that embed the widget in a page, each with its label.
fn tags(listens_on: SocketAddr, public_url: Option<&str>) -> Vec<(&'static str, String)> {
    let is_everywhere = listens_on.ip().is_unspecified();
    let here = if is_everywhere { format!("localhost:{}", listens_on.port()) } else { listens_on.to_string() };
    let server = public_url.map_or_else(|| format!("http://{here}"), str::to_owned);
    let mut tags = vec![("embed with", format!("<script async src=\"{server}/live.js\"></script>"))];
    if let Some((file, integrity)) = files::pinned() {
        let tag = format!(
            "<script type=\"module\" async crossorigin src=\"{server}/{file}\" integrity=\"{integrity}\"></script>"
        );
        tags.push(("or pinned", tag));
    }
    if is_everywhere && public_url.is_none() {
        let sentence = "these tags work on this machine only; for other readers, start the server with --public-url and the \
                        address at which they reach it";
        tags.push(("note", sentence.to_owned()));
    }
    tags
}

/// The address as it stands in tags, without slashes at its end. `None` if this is no web address with a host, or if it has a
/// character that cannot stand in a tag.
fn web_address(url: &str) -> Option<String> {
    let (scheme, rest) = url.trim().trim_end_matches('/').split_once("://")?;
    let scheme = ["http", "https"].into_iter().find(|web| scheme.eq_ignore_ascii_case(web))?;
    let host = rest.split('/').next()?;
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && !"\"'<>?#\\".contains(c);
    let is_of_server = is_host(host) && rest.chars().all(fits) && !rest.ends_with("/live.js");
    is_of_server.then(|| format!("{scheme}://{rest}"))
}

/// Removes the blanks around an entry of a list.
fn trimmed(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Command, Parser};

    use super::*;

    /// All settings of the binary.
    #[derive(Parser)]
    struct All {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        settings: Settings,
    }

    fn validate(args: &[&str]) -> Result<(), StartupError> {
        let all = All::parse_from([&["connection-counter"], args].concat());
        all.settings.validate(&all.config)
    }

    #[test]
    fn every_flag_has_a_variable() {
        let command = Settings::augment_args(Command::new("settings"));
        for arg in command.get_arguments() {
            let long = arg.get_long().unwrap();
            let variable = format!("CONNECTION_COUNTER_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(variable.as_str()), "--{long}");
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate(&Config::default()).unwrap();
        // A message with as many links as allowed must not be too long to be read.
        assert!(Config::default().limits.message_bytes >= connection_counter_protocol::MAX_MESSAGE_BYTES);
    }

    #[test]
    fn tags_name_the_public_address() {
        let listens_on = "127.0.0.1:1999".parse().unwrap();
        let src = |url: Option<&str>| tags(listens_on, url.and_then(web_address).as_deref()).remove(0).1;
        assert_eq!(src(None), r#"<script async src="http://127.0.0.1:1999/live.js"></script>"#);
        assert_eq!(
            src(Some("https://example.org/live/")),
            r#"<script async src="https://example.org/live/live.js"></script>"#
        );
        assert_eq!(src(Some("HTTPS://Example.org")), r#"<script async src="https://Example.org/live.js"></script>"#);
    }

    #[test]
    fn tags_of_a_server_on_all_addresses_name_this_machine_and_say_so() {
        for listens_on in ["0.0.0.0:1999", "[::]:1999"] {
            let printed = tags(listens_on.parse().unwrap(), None);
            assert_eq!(printed[0].1, r#"<script async src="http://localhost:1999/live.js"></script>"#);
            assert!(printed.iter().any(|(_, text)| text.contains("--public-url")), "{printed:?}");
            let named = tags(listens_on.parse().unwrap(), Some("https://example.org"));
            assert!(named.iter().all(|(label, _)| *label != "note"), "{named:?}");
        }
    }

    #[test]
    fn a_public_address_needs_site_or_open() {
        let error = validate(&["--listen", "0.0.0.0:1999"]).unwrap_err();
        assert!(error.to_string().contains("--open"), "{error}");
        validate(&["--listen", "0.0.0.0:1999", "--site", "example.org"]).unwrap();
        validate(&["--listen", "0.0.0.0:1999", "--open"]).unwrap();
        validate(&["--listen", "[::1]:1999"]).unwrap();
        validate(&["--listen", "[::ffff:127.0.0.1]:1999"]).unwrap();
    }

    #[test]
    fn validate_names_the_invalid_setting() {
        for (args, named) in [
            (["--update-interval-ms", "0"], "update-interval-ms"),
            (["--max-links-per-room", "0"], "max-links-per-room"),
            (["--party-token", ""], "party-token"),
            (["--public-url", "live.example.org"], "public-url"),
            (["--public-url", "https://live.example.org:70000"], "public-url"),
            (["--public-url", "https://live.example.org:0"], "public-url"),
            (["--public-url", "https://*.example.org"], "public-url"),
            (["--public-url", "https://."], "public-url"),
            (["--public-url", "https://a.example.org,https://b.example.org"], "public-url"),
            (["--public-url", "https://bücher.example"], "public-url"),
            (["--public-url", "https://live.example.org/live.js"], "public-url"),
        ] {
            let error = validate(&args).unwrap_err();
            assert!(matches!(error, StartupError::Setting { setting, .. } if setting == named), "{error}");
        }
    }
}
