//! The files inside the binary: the widget, and the demo site.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};

use crate::{
    Error,
    notice::Notice,
    party::{Response, Result, is_unchanged, text},
};

// `WIDGET` and `DEMO`: name and content of every file in `widget/dist` and `server/demo`.
include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The demo's pages may only load their own files, compile the widget, and connect to this server.
const DEMO_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";
/// The same policy for the preview, which the start page shows in a frame.
const PREVIEW_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; \
                              form-action 'none'; frame-ancestors 'self'";
/// For a file whose name changes with its content. Caches keep it for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// For a file that must fit the others. Browsers ask each time whether it has changed. Usually it has not.
const ASK_FIRST: &str = "no-cache";

/// The widget's file of this version and its integrity, for pages that pin the version.
pub(crate) fn pinned() -> Option<(&'static str, &'static str)> {
    let (_, content) = WIDGET.iter().find(|(name, _)| *name == "pinned")?;
    std::str::from_utf8(content).ok()?.split_once(' ')
}

/// All files by their path.
pub(crate) struct Files(HashMap<String, File>);

struct File {
    /// The content.
    content: &'static [u8],
    /// Smaller copies, best first: encoding and content.
    compressed: Vec<(&'static str, &'static [u8])>,
    /// Its media type.
    kind: &'static str,
    /// The tag of this version, for `If-None-Match`.
    tag: HeaderValue,
    /// Whether it is a file of the widget, which pages of every origin load.
    of_widget: bool,
}

impl Files {
    pub(crate) fn new(demo: bool) -> Self {
        if WIDGET.is_empty() {
            tracing::warn!(
                "this binary does not contain the widget; run `npx --yes rust-just widget`, then build the server again"
            );
        }
        let mut files = HashMap::new();
        for (name, content) in WIDGET.iter().filter(|(name, _)| kind(name).is_some()) {
            files.insert(format!("/{name}"), File::new(name, content, true));
        }
        for (name, content) in DEMO.iter().filter(|_| demo) {
            // `a.html` is served at /pages/a, and `index.html` at /.
            let path = match name.strip_suffix(".html") {
                Some("index") => "/".to_owned(),
                Some(page) => format!("/pages/{page}"),
                None => format!("/{name}"),
            };
            files.insert(path, File::new(name, content, false));
            if *name == "icon.svg" {
                // Browsers ask for an icon here if a page names none, or for our JSON.
                files.insert("/favicon.ico".to_owned(), File::new(name, content, false));
            }
        }
        Self(files)
    }

    /// The file at this request's path, if there is one.
    pub(crate) fn answer(&self, request: &Parts) -> Option<Result<Response>> {
        let path = request.uri.path();
        // A proxy may pass on any path before the name of a widget's file.
        let name = path.get(path.rfind('/')?..)?;
        if name == "/live.js" && !self.0.contains_key(name) {
            let hint = "the widget is not in this server: build it with `npx --yes rust-just widget`, then build again";
            return Some(Ok(text(StatusCode::NOT_FOUND, hint)));
        }
        let file = self.0.get(path).or_else(|| self.0.get(name).filter(|file| file.of_widget));
        let Some(file) = file else { return is_of_a_widget(name).then(|| Ok(gone(name))) };
        Some(match request.method {
            Method::GET | Method::HEAD => Ok(file.answer(name, &request.headers)),
            _ => Err(Error::Method("GET, HEAD")),
        })
    }
}

/// Whether this is the path of a file of any version of the widget, such as `/live-0123abcd.js`.
fn is_of_a_widget(path: &str) -> bool {
    let hash = path.strip_prefix("/live-").map(|name| name.strip_prefix("extras-").unwrap_or(name));
    let hash = hash.and_then(|name| name.strip_suffix(".js").or_else(|| name.strip_suffix(".wasm")));
    hash.is_some_and(|hash| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The answer to a page that pins another version of the widget. Browsers show the reason only if every origin may read the
/// answer, so it allows that.
fn gone(path: &str) -> Response {
    static GONE: Notice = Notice::warning();
    GONE.give(|| {
        format!(
            "a page asked for {path}, which belongs to another version of the widget. Pages that pin a version need the tag \
             that this server prints when it starts. All others need <script async src=\"…/live.js\"></script>"
        )
    });
    let reason = "this server has another version of the widget; load live.js, or pin the tag that the server prints";
    let mut response = text(StatusCode::NOT_FOUND, reason);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl File {
    fn new(name: &'static str, content: &'static [u8], of_widget: bool) -> Self {
        let smaller = |encoding, ending: &str| {
            let twin = WIDGET.iter().find(|(other, _)| other.strip_suffix(ending) == Some(name))?;
            Some((encoding, twin.1)).filter(|_| of_widget)
        };
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        Self {
            content,
            compressed: [smaller("br", ".br"), smaller("gzip", ".gz")].into_iter().flatten().collect(),
            kind: kind(name).unwrap_or("application/octet-stream"),
            tag: HeaderValue::try_from(tag).expect("hexadecimal digits in quotes are a header value"),
            of_widget,
        }
    }

    fn answer(&self, name: &str, asked: &HeaderMap) -> Response {
        let smaller = self.compressed.iter().find(|(encoding, _)| accepts(asked, encoding));
        let unchanged = is_unchanged(asked, &self.tag);
        let content = if unchanged { &[] } else { smaller.map_or(self.content, |(_, content)| content) };

        let mut response = Response::new(Bytes::from_static(content));
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::ETAG, self.tag.clone());
        let hashed = name.starts_with("/live-");
        let cache = HeaderValue::from_static(if hashed { FOR_EVER } else { ASK_FIRST });
        headers.insert(header::CACHE_CONTROL, cache);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let (Some((encoding, _)), false) = (smaller, unchanged) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        if self.of_widget {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
            // Host pages of any origin load it, also pages that isolate themselves.
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        } else {
            let policy = if name == "/preview" { PREVIEW_POLICY } else { DEMO_POLICY };
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        }
        response
    }
}

/// Whether the client accepts this encoding. `q=0` means no.
fn accepts(asked: &HeaderMap, encoding: &str) -> bool {
    let offers = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|offers| offers.to_str().ok());
    offers.flat_map(|offers| offers.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let refused = |part: &str| {
            let (name, weight) = part.split_once('=').unwrap_or((part, ""));
            name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0)
        };
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding)) && !parts.any(refused)
    })
}

/// The media type of a file that we serve. `None` for other files, such as a compressed copy.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "tgz" => "application/gzip",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_of_another_version() {
        for ours in ["/live-0123abcd.js", "/live-0123abcd.wasm", "/live-extras-0123abcd.js"] {
            assert!(is_of_a_widget(ours), "{ours}");
        }
        for other in ["/live-view.js", "/live-0123abcd.css", "/live-0123abcde.js", "/live-.js", "/alive-0123abcd.js"] {
            assert!(!is_of_a_widget(other), "{other}");
        }
    }
}
