//! What requests from outside may do with the built-in parties. Without the party token, they can only read counts.

use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;

use crate::{
    Access, Error, Refusal,
    party::{Lobby, Request, Response, Result, cors, json, text},
};

/// The answer to a request that did what it asked.
#[derive(Serialize)]
pub(crate) struct Success {
    /// Always `true`. A failure is answered with an error status.
    success: bool,
}

pub(crate) const SUCCESS: Success = Success { success: true };

/// Lets a request from outside through, or answers it.
pub(crate) fn check(request: Request, lobby: &Lobby, site: Option<&str>) -> Result<Request, Response> {
    let access = lobby.setting::<Access>()?;
    let is_own = site.is_some_and(|site| access.is_own(request.headers(), site));
    match *request.method() {
        Method::OPTIONS => Err(preflight()),
        _ if access.has_party_token(request.headers()) => Ok(request),
        Method::GET | Method::HEAD if access.serves(site) || is_own => Ok(request),
        Method::GET | Method::HEAD => Err(told(access.refusal_of(site.unwrap_or_default()))),
        _ => Err(told(Refusal::TokenNeeded)),
    }
}

/// Whether a request counts towards the rate of its address. Requests with the party token do not, because they come
/// from an operator's own programs.
pub(crate) fn is_paced(headers: &HeaderMap, lobby: &Lobby) -> bool {
    !lobby.setting::<Access>().is_ok_and(|access| access.has_party_token(headers))
}

/// The answer to a preflight, which browsers send before all but simple requests. It allows only reading.
fn preflight() -> Response {
    let mut response = cors(text(StatusCode::NO_CONTENT, ""));
    let reading = header::HeaderValue::from_static("GET, HEAD, OPTIONS");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_METHODS, reading);
    response
}

/// The answer to a request that is refused. Any page may read the reason.
pub(crate) fn refusal(refusal: Refusal) -> Response {
    cors(Error::from(refusal).into())
}

/// The same, and the log says so.
fn told(reason: Refusal) -> Response {
    reason.tell();
    refusal(reason)
}

/// Counts are public, so any page may read them.
pub(crate) fn public<T: Serialize>(counts: &T) -> Result<Response> {
    Ok(cors(json(counts)?))
}
