//! Why the counter refuses a page, a link or a request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use connection_counter_protocol::PageIdError;
use http::StatusCode;

use crate::{Error, notice::Notice};

/// Why the counter refuses a page, a link or a request.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Only listed sites may use this server, and the request does not say where it comes from.
    #[error("the Origin header is missing; this server answers only pages of its listed sites")]
    OriginMissing,
    /// Only listed sites may use this server, and the browser does not say which site this is: it says `null`, or names a
    /// file or an app.
    #[error(
        "this page is sandboxed or a file, so its site is unknown (Origin: {origin}); add allow-same-origin to the frame"
    )]
    OriginHidden {
        /// The origin that the browser sent.
        origin: String,
    },
    /// Only listed sites may use this server, and this one is not listed.
    #[error("origin {origin} may not use this server, unless it is started with --site {flag}")]
    OriginRefused {
        /// The origin that the browser sent.
        origin: String,
        /// The value of the flag.
        flag: String,
    },
    /// A page of one site asked to be counted as a page of another.
    #[error("pages of {origin} cannot be counted as {site}")]
    ForeignPage {
        /// Site of the request's origin.
        origin: String,
        /// Site of the room.
        site: String,
    },
    /// The page or counter belongs to a site that may not use this server.
    #[error("{site} may not use this server; the operator can allow it with --site {flag}")]
    SiteNotServed {
        /// The site.
        site: String,
        /// The value of the flag.
        flag: String,
    },
    /// Changing counts from outside needs the party token.
    #[error("counts cannot be set from outside, except with `Authorization: Bearer` and the token of --party-token")]
    TokenNeeded,
    /// The text is not a page id.
    #[error("{0}")]
    PageId(#[from] PageIdError),
}

impl Refusal {
    /// Logs that a page gets no counts.
    pub(crate) fn tell(&self) {
        static ORIGIN: Notice = Notice::warning();
        static FOREIGN: Notice = Notice::warning();
        static SITE: Notice = Notice::warning();
        static MISSING: Notice = Notice::warning();
        static HIDDEN: Notice = Notice::warning();
        static TOKEN: Notice = Notice::warning();
        match self {
            Self::OriginRefused { origin, flag } => {
                remember(origin, flag);
                ORIGIN.give(|| format!("{origin} was refused, so its pages show no counts; --site {flag} lets it in"));
            }
            Self::OriginHidden { .. } => HIDDEN.give(|| format!("a page was refused: {self}")),
            Self::ForeignPage { .. } => FOREIGN.give(|| {
                format!("a page was refused: {self}. If both are yours, a proxy has probably replaced the browser's Origin header")
            }),
            Self::SiteNotServed { site, flag } => {
                SITE.give(|| format!("{site} was refused, so links to it show no counts; --site {flag} lets it in"));
            }
            Self::OriginMissing => MISSING.give(|| {
                "a connection was refused because it has no Origin header; browsers send one, so check whether a proxy drops it"
                    .to_owned()
            }),
            Self::TokenNeeded => TOKEN.give(|| {
                "a request to change counts was refused because it does not carry the token of --party-token".to_owned()
            }),
            Self::PageId(_) => tracing::debug!("refused: {self}"),
        }
    }
}

/// Refused origins that are kept for the dashboard: as many as a person reads. A new one replaces the one refused longest ago.
const MAX_REFUSED: usize = 20;

/// Characters that are kept of an origin: enough for a scheme and the longest host.
const MAX_ORIGIN_CHARS: usize = 300;

/// A site whose pages were refused.
#[derive(Clone, Debug)]
pub(crate) struct RefusedOrigin {
    /// The origin that the browser sent.
    pub(crate) origin: String,
    /// The value of `--site` that lets it in.
    pub(crate) flag: String,
    /// How often it was refused.
    pub(crate) times: u64,
}

/// The refused origins belong to the whole process, like notices.
static REFUSED: Mutex<Vec<RefusedOrigin>> = Mutex::new(Vec::new());

/// The origins that were refused, the newest first.
pub(crate) fn refused_origins() -> Vec<RefusedOrigin> {
    lock().iter().rev().cloned().collect()
}

fn remember(origin: &str, flag: &str) {
    // A program can send an origin of any length.
    let short = |text: &str| text.chars().take(MAX_ORIGIN_CHARS).collect::<String>();
    let (origin, flag) = (short(origin), short(flag));
    let mut refused = lock();
    let times = match refused.iter().position(|known| known.origin == origin) {
        Some(known) => refused.remove(known).times,
        None => 0,
    };
    if refused.len() >= MAX_REFUSED {
        refused.remove(0);
    }
    refused.push(RefusedOrigin { origin, flag, times: times + 1 });
}

fn lock() -> MutexGuard<'static, Vec<RefusedOrigin>> {
    // Nothing that holds the lock can panic halfway through a change.
    REFUSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The runtime's form of the refusal.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PageId(error) => Self::RoomId(error.to_string()),
            refusal => Self::refused(StatusCode::FORBIDDEN, refusal.to_string()),
        }
    }
}
