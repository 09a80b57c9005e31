//! Why the counter lets someone not in, or leaves a link out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use connection_counter_protocol::PageIdError;
use http::StatusCode;

use crate::{Error, notice::Notice};

/// Why the counter refuses a page, a link or a request.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Only listed sites may use this server, and the request does not say where it comes from.
    #[error("the Origin header is missing; this server answers the pages of its listed sites only")]
    OriginMissing,
    /// Only listed sites may use this server, and the browser does not say which one this is.
    #[error(
        "this page is sandboxed or a file, so its site is unknown (Origin: null); add allow-same-origin to the frame"
    )]
    OriginHidden,
    /// Only listed sites may use this server, and this is none of them.
    #[error("origin {origin} may not use this server, unless it is started with --site {flag}")]
    OriginRefused {
        /// What the browser says.
        origin: String,
        /// The value of the flag.
        flag: String,
    },
    /// A page of one site tried to pass for a page of another.
    #[error("pages of {origin} cannot be counted as {site}")]
    ForeignPage {
        /// Site of the request's origin.
        origin: String,
        /// Site of the room.
        site: String,
    },
    /// The page or counter belongs to a site this server does not serve.
    #[error("{0} is not served here; the operator can allow it with --site")]
    SiteNotServed(String),
    /// Changing counts from outside needs the party token.
    #[error("counts are not set from outside; operators send `Authorization: Bearer` with the party token")]
    TokenNeeded,
    /// It is no page id.
    #[error("{0}")]
    PageId(#[from] PageIdError),
}

impl Refusal {
    /// Tells the operator of a page that gets no counts.
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
            Self::OriginHidden => HIDDEN.give(|| format!("a page was refused: {self}")),
            Self::ForeignPage { .. } => FOREIGN.give(|| format!("a page was refused: {self}")),
            Self::SiteNotServed(site) => {
                SITE.give(|| format!("{site} was refused, so links to it show no counts; --site {site} lets it in"));
            }
            Self::OriginMissing => MISSING.give(|| {
                "a connection was refused that has no Origin header; browsers send one, so check what the proxy drops".to_owned()
            }),
            Self::TokenNeeded => TOKEN.give(|| {
                "a request that would change counts was refused: it does not carry the token of --party-token".to_owned()
            }),
            Self::PageId(_) => tracing::debug!("refused: {self}"),
        }
    }
}

/// Origins that are remembered for the dashboard: as many as one reads. A new one takes the place of the one refused longest ago.
const MAX_REFUSED: usize = 20;

/// The scheme, and a host as long as they may be.
const MAX_ORIGIN_CHARS: usize = 300;

/// A site whose pages were refused.
#[derive(Clone, Debug)]
pub(crate) struct RefusedOrigin {
    /// What the browser says.
    pub(crate) origin: String,
    /// What `--site` has to say to let it in.
    pub(crate) flag: String,
    pub(crate) times: u64,
}

/// Like notices, these belong to the process.
static REFUSED: Mutex<Vec<RefusedOrigin>> = Mutex::new(Vec::new());

/// The origins that were refused, the last one first.
pub(crate) fn refused_origins() -> Vec<RefusedOrigin> {
    lock().iter().rev().cloned().collect()
}

fn remember(origin: &str, flag: &str) {
    // Whoever is no browser can send an origin of any length.
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

/// How the runtime tells it.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PageId(error) => Self::RoomId(error.to_string()),
            refusal => Self::refused(StatusCode::FORBIDDEN, refusal.to_string()),
        }
    }
}
