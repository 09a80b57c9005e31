//! What outside may do to the built-in parties: read counts, and nothing else without the party token. And the shape of
//! the requests they send each other.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use serde::Serialize;

use crate::{
    error::Error,
    party::{Lobby, Request, Response, Result, text},
};

/// The answer to a request that did what it asked.
#[derive(Serialize)]
pub(crate) struct Success {
    success: bool,
}

pub(crate) const SUCCESS: Success = Success { success: true };

/// Lets a request from outside through, or answers it.
pub(crate) fn check(request: Request, lobby: &Lobby, site: Option<&str>) -> std::result::Result<Request, Response> {
    let is_own = site.is_some_and(|site| lobby.access().is_own(request.headers(), site));
    match *request.method() {
        Method::OPTIONS => Err(preflight()),
        _ if lobby.access().has_party_token(request.headers()) => Ok(request),
        Method::GET | Method::HEAD if lobby.access().serves(site) || is_own => Ok(request),
        Method::GET | Method::HEAD => Err(refusal(&Error::SiteNotServed(site.unwrap_or_default().to_owned()))),
        _ => Err(refusal(&Error::TokenNeeded)),
    }
}

/// Counts are public, so any page may read them.
fn preflight() -> Response {
    let mut response = text(StatusCode::NO_CONTENT, "");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, header::HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, header::HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, header::HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, header::HeaderValue::from_static("86400"));
    response
}

/// The answer to a request that is refused; a page may read why.
pub(crate) fn refusal(error: &Error) -> Response {
    let mut response = text(error.status(), error.to_string());
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, header::HeaderValue::from_static("*"));
    response
}

/// A request from one room to another.
pub(crate) fn post<T: Serialize>(body: &T) -> Result<Request> {
    let mut request = Request::new(Bytes::from(serde_json::to_vec(body)?));
    *request.method_mut() = Method::POST;
    Ok(request)
}
