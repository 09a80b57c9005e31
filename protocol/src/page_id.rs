//! Page ids. Each page has one id, in one spelling, for all of its viewers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::percent::{parts, push_encoded};
use crate::visit::is_of_visit;

/// The counter room of ids without a site, such as the bare `a` and `b` of hand-written clients.
pub const DEFAULT_COUNTER_ROOM: &str = "all-pages";

/// `site/path?query`, or a bare name such as `a`.
///
/// Different addresses of the same page get the same id:
///
/// | part | rule |
/// |---|---|
/// | scheme | dropped |
/// | host | lower case; ports 80 and 443 dropped |
/// | path | percent-encoding only where it is needed, in upper case; `.`, `..`, `//`, a last `/` and `index.html` resolved; sessions (`;jsessionid=…`) dropped |
/// | query | parameters of a visit (campaigns, clicks, sessions: the table in `visit.rs`) dropped, the others sorted by name; repeated ones keep their order; `+` is a space |
/// | fragment | dropped, unless the caller passes a hash route (`#/…` or `#!…`) |
///
/// ```
/// use connection_counter_protocol::PageId;
///
/// let id = PageId::from_parts("Example.org:443", "/docs/./intro/", "?b=2&utm_source=mail&a=1", "")?;
/// assert_eq!(id.as_str(), "example.org/docs/intro?a=1&b=2");
/// assert_eq!(id.site(), Some("example.org"));
/// # Ok::<(), connection_counter_protocol::PageIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(Text);

/// Servers keep an id in many tables, so it is shared. The code for that would add to the widget.
#[cfg(feature = "host-spelling")]
type Text = std::sync::Arc<str>;
#[cfg(not(feature = "host-spelling"))]
type Text = String;

/// Why a text is not a page id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageIdError {
    /// The text is empty, or contains only dots.
    Empty,
    /// The id is longer than [`PageId::MAX_BYTES`].
    TooLong,
    /// The text contains a control character.
    ControlCharacter,
    /// The text before the first `/` is not a host.
    Host,
}

/// Bytes that need no encoding in a path segment, in addition to letters, digits and `-._~` (RFC 3986, `pchar`).
const PLAIN_IN_PATH: &[u8] = b"!$&'()*+,;=:@";
/// The same for a query parameter. `'` is missing because browsers encode it there, and `?` because only the first one starts a
/// query.
const PLAIN_IN_QUERY: &[u8] = b"!$()*,;=:@/";
/// The same for a hash route.
const PLAIN_IN_FRAGMENT: &[u8] = b"!$&'()*+,;=:@/?";

impl PageId {
    /// Bytes of the longest id. It is enough for nearly every real address, and small enough to keep a million ids in memory.
    pub const MAX_BYTES: usize = 512;

    /// The id of an address that a browser (or another WHATWG URL parser) has already split into parts.
    ///
    /// `host` is `URL.host` with its port, `path` is `URL.pathname`, and `query` is `URL.search` with its `?`. `fragment` is
    /// `URL.hash` with its `#` if hash routes are pages, and otherwise empty.
    ///
    /// # Errors
    /// [`PageIdError::Host`] without a host, and [`PageIdError::TooLong`] beyond [`Self::MAX_BYTES`].
    pub fn from_parts(host: &str, path: &str, query: &str, fragment: &str) -> Result<Self, PageIdError> {
        Self::from_parts_with(host, path, query, fragment, None)
    }

    /// Like [`Self::from_parts`], but only query parameters with these names matter.
    ///
    /// # Errors
    /// Fails like [`Self::from_parts`].
    #[cfg_attr(
        not(feature = "host-spelling"),
        expect(clippy::useless_conversion, reason = "a server's text is no `String`")
    )]
    pub fn from_parts_with(
        host: &str,
        path: &str,
        query: &str,
        fragment: &str,
        only: Option<&ParameterNames>,
    ) -> Result<Self, PageIdError> {
        let host = host.strip_suffix(":443").or_else(|| host.strip_suffix(":80")).unwrap_or(host);
        if host.is_empty() {
            return Err(PageIdError::Host);
        }
        let mut id = String::new();
        id.push_str(host);
        id.make_ascii_lowercase();
        push_path(&mut id, path)?;
        let [query, fragment] = [query.as_bytes(), fragment.as_bytes()];
        push_query(&mut id, query.strip_prefix(b"?").unwrap_or(query), only)?;
        push_fragment(&mut id, fragment.strip_prefix(b"#").unwrap_or(fragment))?;
        Ok(Self(id.into()))
    }

    /// The id in a text from outside: a page id in any spelling, or a bare name without a `/`, which stays as it is.
    ///
    /// # Errors
    /// Returns the [`PageIdError`] that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, PageIdError> {
        // Most texts are ids that a program has spelled before. Spelling a host again would take a microsecond or two.
        if is_spelled(text) { Ok(Self(text.into())) } else { Self::spell(text) }
    }

    fn spell(text: &str) -> Result<Self, PageIdError> {
        if text.chars().any(char::is_control) {
            return Err(PageIdError::ControlCharacter);
        }
        let Some(host) = text.find('/').and_then(|end| text.get(..end)) else {
            return match text {
                "" | "." | ".." => Err(PageIdError::Empty),
                _ if text.len() > Self::MAX_BYTES => Err(PageIdError::TooLong),
                _ => Ok(Self(text.into())),
            };
        };
        let rest = text.get(host.len()..).unwrap_or_default();
        let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        Self::from_parts(&spell_host(host)?, path, query, fragment)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text before the first `/`. `None` for a bare name, which belongs to the default site.
    #[must_use]
    pub fn site(&self) -> Option<&str> {
        let end = self.0.bytes().position(|byte| byte == b'/')?;
        self.0.get(..end)
    }

    /// The counter room that counts this page: the room of its site, or [`DEFAULT_COUNTER_ROOM`].
    #[must_use]
    pub fn counter_room(&self) -> &str {
        self.site().unwrap_or(DEFAULT_COUNTER_ROOM)
    }
}

/// Names of parameters. They are compared in the spelling of page ids, so `filter[color]` is the same as `filter%5Bcolor%5D`.
pub struct ParameterNames(
    /// Each name is followed by a `&`, which no name contains.
    String,
);

impl ParameterNames {
    /// Reads names that are separated by commas, with no blanks around them. Names that do not fit into a page id are left out.
    #[must_use]
    pub fn new(names: &str) -> Self {
        let mut spelled = String::new();
        for name in parts(names.as_bytes(), b',') {
            let _ = push_encoded(&mut spelled, name, PLAIN_IN_QUERY);
            spelled.push('&');
        }
        Self(spelled)
    }

    fn contains(&self, name: &[u8]) -> bool {
        !name.is_empty() && parts(self.0.as_bytes(), b'&').any(|wanted| wanted == name)
    }
}

/// Whether a text certainly is an address in its one spelling. It is a quick check, and answers `false` for ids with a port, a
/// query, an international name, or anything encoded.
fn is_spelled(text: &str) -> bool {
    let Some((host, path)) = text.split_once('/') else { return false };
    let plain_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let plain_path =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) || PLAIN_IN_PATH.contains(&byte);
    text.len() <= PageId::MAX_BYTES
        && host.bytes().all(plain_host)
        // If the last label begins with a digit, the host may be an IPv4 address, which has many spellings.
        && host.rsplit('.').next().is_some_and(|label| label.starts_with(|first: char| first.is_ascii_lowercase()))
        && !host.contains("xn--")
        && path.bytes().all(plain_path)
        && !path.starts_with(['/', '.'])
        && !path.ends_with('/')
        && !path.contains("//")
        && !path.contains("/.")
        // A path with `;` may contain a session.
        && !path.contains(';')
        && path != "index.html"
        && !path.ends_with("/index.html")
}

// The code below works on bytes. The searches of `str` would add more to the wasm module than all of this.

/// Appends `/a/b`. There is no last slash, except for the root.
fn push_path(id: &mut String, path: &str) -> Result<(), PageIdError> {
    let root = id.len();
    let path = match path.as_bytes() {
        [b'/' | b'\\', rest @ ..] => rest,
        path => path,
    };
    for segment in parts(path, b'/') {
        let start = id.len();
        id.push('/');
        // This also stops at a long row of slashes, which would otherwise take a long time.
        within_limit(id)?;
        push_segment(id, segment)?;
        match id.as_bytes().get(start..) {
            Some(b"/.") => id.truncate(start),
            Some(b"/..") => {
                id.truncate(start);
                drop_last_segment(id, root);
            }
            _ => {}
        }
    }
    // Empty segments are removed last, because `..` may refer to one of them, as in a browser.
    let resolved = id.clone();
    id.truncate(root);
    for byte in resolved.bytes().skip(root) {
        if byte != b'/' || !id.as_bytes().ends_with(b"/") {
            id.push(char::from(byte));
        }
    }
    while id.len() > root && id.as_bytes().ends_with(b"/") || id.as_bytes().ends_with(b"/index.html") {
        drop_last_segment(id, root);
    }
    if id.len() == root {
        id.push('/');
    }
    Ok(())
}

/// Appends a segment without sessions such as `;jsessionid=…`.
fn push_segment(id: &mut String, segment: &[u8]) -> Result<(), PageIdError> {
    let mut parts = parts(segment, b';');
    push_encoded(id, parts.next().unwrap_or_default(), PLAIN_IN_PATH)?;
    for part in parts {
        let start = id.len();
        id.push(';');
        push_encoded(id, part, PLAIN_IN_PATH)?;
        if id.as_bytes().get(start + 1..).is_some_and(is_of_visit) {
            id.truncate(start);
        }
    }
    Ok(())
}

fn drop_last_segment(id: &mut String, root: usize) {
    let end = id.bytes().rposition(|byte| byte == b'/').unwrap_or(root);
    id.truncate(end.max(root));
}

/// Appends `?a=1&b=2`, or nothing.
fn push_query(id: &mut String, query: &[u8], only: Option<&ParameterNames>) -> Result<(), PageIdError> {
    id.push('?');
    let start = id.len();
    for parameter in parts(query, b'&').filter(|parameter| !parameter.is_empty()) {
        let mut encoded = String::new();
        // A parameter that does not matter may be too long.
        let _ = push_encoded(&mut encoded, parameter, PLAIN_IN_QUERY);
        let wanted = name(encoded.as_bytes());
        if is_of_visit(encoded.as_bytes()) || only.is_some_and(|only| !only.contains(wanted)) {
            continue;
        }
        within_limit(id)?;
        // Parameters are inserted in order. A sort function would add a kilobyte to the wasm module.
        let others = parts(id.as_bytes().get(start..).unwrap_or_default(), b'&');
        let before = others.take_while(|other| !other.is_empty() && name(other) <= wanted);
        let place = start + before.map(|other| other.len() + 1).sum::<usize>();
        encoded.push('&');
        id.insert_str(place, &encoded);
    }
    // The `&` after the last one, or the `?` before none.
    id.truncate(id.len() - 1);
    within_limit(id)
}

/// Appends `#/route`, or nothing.
fn push_fragment(id: &mut String, fragment: &[u8]) -> Result<(), PageIdError> {
    let mut route = fragment;
    while let [shorter @ .., b'/'] = route {
        route = shorter;
    }
    if !matches!(fragment, [b'/' | b'!', ..]) || matches!(route, b"" | b"!") {
        return Ok(());
    }
    id.push('#');
    push_encoded(id, route, PLAIN_IN_FRAGMENT)
}

pub(crate) fn name(parameter: &[u8]) -> &[u8] {
    parts(parameter, b'=').next().unwrap_or_default()
}

pub(crate) fn within_limit(id: &str) -> Result<(), PageIdError> {
    if id.len() > PageId::MAX_BYTES { Err(PageIdError::TooLong) } else { Ok(()) }
}

/// The host in a browser's spelling: `BÜCHER.example` becomes `xn--bcher-kva.example`, and `[0:0::1]` becomes `[::1]`.
#[cfg(feature = "host-spelling")]
fn spell_host(host: &str) -> Result<String, PageIdError> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port.parse::<u16>().map_err(|_| PageIdError::Host)?)),
        _ => (host, None),
    };
    let mut spelled = url::Host::parse(name).map_err(|_| PageIdError::Host)?.to_string();
    if let Some(port) = port {
        spelled.push(':');
        spelled.push_str(&port.to_string());
    }
    Ok(spelled)
}

/// Browsers have already spelled the host.
#[cfg(not(feature = "host-spelling"))]
#[allow(clippy::unnecessary_wraps, reason = "the other one can fail")]
fn spell_host(host: &str) -> Result<String, PageIdError> {
    Ok(host.to_owned())
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::str::FromStr for PageId {
    type Err = PageIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl AsRef<str> for PageId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for PageId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for PageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Spells the id that it reads, so that ids from JSON have the one spelling, too.
impl<'de> Deserialize<'de> for PageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for PageIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the page id is empty; send a name such as `a` or an address such as `example.org/path`",
            Self::TooLong => "the page id is longer than 512 bytes; shorten the address or drop parameters that do not change the page",
            Self::ControlCharacter => "the page id contains a control character; percent-encode it",
            Self::Host => "the page id has no valid host before its first `/`; send `host/path` without a scheme, or a name without `/`",
        })
    }
}

impl std::error::Error for PageIdError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_ids_pass_the_quick_check() {
        for id in ["example.org/", "live.example.org/docs/Intro_(1).html", "localhost/a", "a-b.example/~user/@x:y"] {
            assert!(is_spelled(id), "{id}");
        }
    }

    proptest! {
        #[test]
        fn the_quick_check_agrees_with_the_full_spelling(
            host in prop_oneof![
                "[a-z0-9.-]{0,8}",
                "(|[a-z]{1,3}\\.)(xn--[a-z0-9-]{0,6}|0x[0-9a-f]{0,3}|[0-9]{1,3}|example|[a-zA-Z:]{1,4})(|\\.)",
            ],
            path in prop_oneof!["(/|/[a-z./]{0,6}){0,3}", "/.{0,12}", "(/[a-zA-Z0-9.%+~!$&'()*,;=:@_-]{0,8}){1,3}", "(/a)?/index.html/?"],
        ) {
            let text = host + &path;
            prop_assert_eq!(PageId::parse(&text), PageId::spell(&text), "{}", text);
        }

        #[test]
        fn an_id_that_is_spelled_again_stays_the_same(text in "\\PC{0,8}(/\\PC{0,8}){0,3}") {
            if let Ok(id) = PageId::parse(&text) {
                prop_assert_eq!(PageId::spell(id.as_str()), Ok(id.clone()));
            }
        }
    }
}
