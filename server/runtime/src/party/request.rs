//! Requests and responses, and short ways to make them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::{Result, bytes::Bytes};
use crate::error::Error;

/// An HTTP request with its whole body: from outside, or from another room through a [`Stub`](super::Stub).
///
/// `Request::default()` is a GET of the room itself. [`post`] makes a POST. Use `http::Request::builder()` for everything else.
pub type Request = http::Request<Bytes>;

/// An HTTP response with its whole body.
pub type Response = http::Response<Bytes>;

/// The server's state, for the [party of the operator](crate::Server::operator_party). Each request to that party has it in its
/// extensions.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The metrics in the OpenMetrics format, as Prometheus gets them.
    pub metrics: String,
    /// What is wrong with the server, in the sentences of `/readyz`.
    pub faults: Vec<String>,
    /// The last log line of each kind of refusal or fault, the newest at the end, and how often each has happened. The lines
    /// contain no reader's address.
    pub notices: Vec<(String, u64)>,
}

/// The response for an error has its [status](Error::status) and its text. So a gatekeeper can use `?`.
impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let mut response = text(error.status(), error.to_string());
        if let Error::Method(allowed) = error {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

/// A POST of `value` as JSON, for a [`Stub`](super::Stub).
///
/// # Errors
/// Fails if `value` cannot be written as JSON.
pub fn post<T: Serialize>(value: &T) -> Result<Request> {
    let mut request = Request::new(serde_json::to_vec(value)?.into());
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(request)
}

/// The first value of a parameter in a URI's query, decoded as forms and `URLSearchParams` encode it.
///
/// ```
/// use connection_counter_runtime::party::{http::Uri, query_value};
///
/// let uri = Uri::from_static("/parties/chat/lobby?name=Zo%C3%AB+B&mute");
/// assert_eq!(query_value(&uri, "name").as_deref(), Some("Zoë B"));
/// assert_eq!(query_value(&uri, "mute").as_deref(), Some(""));
/// assert_eq!(query_value(&uri, "colour"), None);
/// ```
#[must_use]
pub fn query_value(uri: &Uri, name: &str) -> Option<String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let mut pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value))
}

/// A response with `value` as JSON, which no cache keeps.
///
/// # Errors
/// Fails if `value` cannot be written as JSON.
pub fn json<T: Serialize>(value: &T) -> Result<Response> {
    Ok(fresh(StatusCode::OK, "application/json", serde_json::to_vec(value)?))
}

/// Lets the pages of every site read this response. Before some requests a browser sends a preflight with the method `OPTIONS`.
/// Any response from this function answers it.
///
/// ```
/// use connection_counter_runtime::party::{Party, Request, Response, Result, Room, cors, http::{Method, StatusCode}, json, text};
///
/// #[derive(Default)]
/// struct Counts;
///
/// impl Party for Counts {
///     async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
///         Ok(cors(match *request.method() {
///             Method::OPTIONS => text(StatusCode::NO_CONTENT, ""),
///             _ => json(&room.connections().count())?,
///         }))
///     }
/// }
/// ```
#[must_use]
pub fn cors(mut response: Response) -> Response {
    const ALLOWED: [(HeaderName, &str); 4] = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "*"),
        // The star does not include this header.
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*, Authorization"),
        // Browsers need not send the preflight again for a day. Some do so earlier.
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    for (name, value) in ALLOWED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What a request sends in `Authorization` for this scheme, such as `Bearer` for a token.
///
/// ```
/// use connection_counter_runtime::party::{credentials, http::{HeaderMap, HeaderValue, header}};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
/// assert_eq!(credentials(&headers, "Bearer"), Some(&b"secret"[..]));
/// ```
#[must_use]
pub fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a [u8]> {
    let sent = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (named, sent) = sent.split_at_checked(scheme.len())?;
    let is_meant = named.eq_ignore_ascii_case(scheme.as_bytes()) && sent.starts_with(b" ");
    is_meant.then(|| sent.trim_ascii_start())
}

/// Whether the `If-None-Match` header says that the client has this version of a file. Then the answer is 304 without a body.
/// The client may list several versions, and a proxy that compresses makes their tags weak.
#[must_use]
pub fn is_unchanged(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|known| known.to_str().ok());
    let mut known = known.flat_map(|known| known.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// A response with one sentence.
#[must_use]
pub fn text(status: StatusCode, sentence: impl Into<String>) -> Response {
    fresh(status, "text/plain; charset=utf-8", sentence.into())
}

/// A response that no cache keeps, and whose type no browser guesses.
fn fresh(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A refusal that a web page can read: the WebSocket is accepted, and closed at once with the error's code and text. Browsers
/// do not tell a page why a handshake failed, so without this its client would try again and again.
///
/// Use it only in [`Party::on_before_connect`](super::Party::on_before_connect). [`Error::close_code`] decides the code.
#[must_use]
pub fn refusal_in_words(error: &Error) -> Response {
    let mut response = text(error.status(), error.to_string());
    // This marks the response as one that is sent as a close frame.
    response.extensions_mut().insert(error.close());
    response
}
