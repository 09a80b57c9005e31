//! What outside may do to the built-in parties: read counts, and nothing else without the party token.

use http::{Method, StatusCode, header};
use serde::Serialize;

use crate::{
    error::Error,
    party::{Lobby, Request, Response, Result, cors, json, text},
};

/// The answer to a request that did what it asked.
#[derive(Serialize)]
pub(crate) struct Success {
    success: bool,
}

pub(crate) const SUCCESS: Success = Success { success: true };

/// Lets a request from outside through, or answers it.
pub(crate) fn check(request: Request, lobby: &Lobby, site: Option<&str>) -> Result<Request, Response> {
    let is_own = site.is_some_and(|site| lobby.access().is_own(request.headers(), site));
    match *request.method() {
        Method::OPTIONS => Err(preflight()),
        _ if lobby.access().has_party_token(request.headers()) => Ok(request),
        Method::GET | Method::HEAD if lobby.access().serves(site) || is_own => Ok(request),
        Method::GET | Method::HEAD => Err(refusal(Error::SiteNotServed(site.unwrap_or_default().to_owned()))),
        _ => Err(refusal(Error::TokenNeeded)),
    }
}

/// What browsers ask before anything that is not a simple request: reading is all there is.
fn preflight() -> Response {
    let mut response = cors(text(StatusCode::NO_CONTENT, ""));
    let reading = header::HeaderValue::from_static("GET, HEAD, OPTIONS");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, reading);
    response
}

/// The answer to a request that is refused; a page may read why.
pub(crate) fn refusal(error: Error) -> Response {
    cors(error.into())
}

/// Counts are public, so any page may read them.
pub(crate) fn public<T: Serialize>(counts: &T) -> Result<Response> {
    Ok(cors(json(counts)?))
}
