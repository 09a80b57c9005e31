//! Whether a request is a WebSocket handshake, also if a proxy has dropped a part of it.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};

use crate::error::Error;

/// Whether the request is a WebSocket handshake. If so, each of its headers is joined into one line, as later code expects.
///
/// # Errors
/// Fails with [`Error::UpgradeLost`] if a proxy has dropped a part of the handshake, and with [`Error::Handshake`] if it has different keys.
pub(crate) fn is_wanted<B>(request: &mut Request<B>) -> Result<bool, Error> {
    let version = request.version();
    let headers = request.headers_mut();
    // We ignore offers of other protocols, such as h2c.
    let wanted = has_word(headers, &header::UPGRADE, "websocket");
    if !wanted {
        return match is_meant(headers) {
            true => Err(Error::UpgradeLost("the Upgrade header is missing")),
            false => Ok(false),
        };
    }
    if version < Version::HTTP_11 {
        return Err(Error::UpgradeLost("the request arrived as HTTP/1.0"));
    }
    if !has_word(headers, &header::CONNECTION, "upgrade") {
        return Err(Error::UpgradeLost("the Connection header does not say Upgrade"));
    }
    if let Some(key) = key(headers)? {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
    if has_word(headers, &header::SEC_WEBSOCKET_VERSION, "13") {
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    Ok(true)
}

/// Whether the headers are those of a WebSocket client, also if a proxy has dropped most of them.
pub(crate) fn is_meant(headers: &HeaderMap) -> bool {
    // Browsers say what a request is for, and pages cannot change that.
    let mode = HeaderName::from_static("sec-fetch-mode");
    headers.keys().any(|name| name.as_str().starts_with("sec-websocket-")) || has_word(headers, &mode, "websocket")
}

/// The client's key. A proxy may have sent the same one twice. Of different ones, client and server could choose different ones (RFC
/// 6455, section 11.3.1).
fn key(headers: &HeaderMap) -> Result<Option<HeaderValue>, Error> {
    let mut keys = words(headers, &header::SEC_WEBSOCKET_KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.any(|other| other != key) {
        return Err(Error::Handshake("it has more than one Sec-WebSocket-Key".into()));
    }
    HeaderValue::from_str(key).map(Some).map_err(|error| Error::Handshake(error.into()))
}

/// Whether a header that is a list contains this word.
fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    words(headers, name).any(|offer| offer.eq_ignore_ascii_case(word))
}

/// The entries of a header that is a list, on one line or several.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(version: Version, headers: &[(&'static str, &'static str)]) -> Result<bool, Error> {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_wanted(&mut request.body(()).unwrap())
    }

    #[test]
    fn upgrade_headers_on_several_lines_are_joined() {
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for headers in [
            &[("connection", "keep-alive"), ("connection", "Upgrade"), ("upgrade", "websocket"), key][..],
            &[("connection", "keep-alive, upgrade"), ("upgrade", "h2c, WebSocket"), key],
            &[("connection", "upgrade"), ("upgrade", "h2c"), ("upgrade", "websocket"), key],
        ] {
            assert!(matches!(wanted(Version::HTTP_11, headers), Ok(true)), "{headers:?}");
        }
        assert!(matches!(wanted(Version::HTTP_11, &[]), Ok(false)));
        assert!(matches!(wanted(Version::HTTP_11, &[("connection", "upgrade"), ("upgrade", "h2c")]), Ok(false)));
    }

    #[test]
    fn a_lost_upgrade_header_is_reported() {
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let upgrade = ("upgrade", "websocket");
        for (version, headers) in [
            (Version::HTTP_11, &[key][..]),
            (Version::HTTP_11, &[key, ("connection", "close")]),
            (Version::HTTP_11, &[key, upgrade]),
            (Version::HTTP_10, &[key, upgrade, ("connection", "upgrade")]),
        ] {
            assert!(matches!(wanted(version, headers), Err(Error::UpgradeLost(_))), "{version:?} {headers:?}");
        }
    }
}
