//! Why the counter lets someone not in, or leaves a link out.

use connection_counter_protocol::PageIdError;
use http::StatusCode;

use crate::Error;

/// Why the counter refuses a page, a link or a request.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Only listed sites may use this server, and the request does not say where it comes from.
    #[error("the Origin header is missing; this server answers the pages of its listed sites only")]
    OriginMissing,
    /// Only listed sites may use this server, and this is none of them.
    #[error("origin {0} may not use this server; its operator can allow it with --site")]
    OriginRefused(String),
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

/// How the runtime tells it.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PageId(error) => Self::RoomId(error.to_string()),
            refusal => Self::refused(StatusCode::FORBIDDEN, refusal.to_string()),
        }
    }
}
