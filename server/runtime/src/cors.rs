//! Requests to parties from pages of other origins. Browsers ask before they send some of them, and check each answer.

use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};

use crate::{
    config::{EMPTY_VALUE, is_host},
    notice::Notice,
    party::{Response, text},
};

/// Seconds for which a browser need not ask again. An hour, so that a changed setting takes effect soon.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// Reads an origin, or `*` for all origins, for clap's `value_parser`.
///
/// # Errors
/// Fails if the text is neither.
pub(crate) fn origin(text: &str) -> Result<HeaderValue, String> {
    let text = text.trim().to_ascii_lowercase();
    if text.is_empty() {
        return Err(EMPTY_VALUE.to_owned());
    }
    // Browsers leave out a scheme's own port.
    let own_port = |text: &str| match text.split_once("://")?.0 {
        "https" => text.strip_suffix(":443").map(str::to_owned),
        "http" => text.strip_suffix(":80").map(str::to_owned),
        _ => None,
    };
    let text = own_port(&text).unwrap_or(text);
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_origin = |(scheme, host): (&str, &str)| !scheme.is_empty() && is_scheme(scheme) && is_host(host);
    let value =
        HeaderValue::try_from(&text).ok().filter(|_| text == "*" || text.split_once("://").is_some_and(is_origin));
    value.ok_or_else(|| {
        format!(
            "{text:?} is not an origin; give one such as https://app.example.org (letters outside of ASCII as browsers send them, \
             such as xn--bcher-kva.example), * for every origin, and commas between several"
        )
    })
}

/// What a browser asks about a request.
pub(crate) struct Asked {
    /// The page's origin. `None` if no page has sent the request.
    origin: Option<HeaderValue>,
    /// The method and the headers of the request that will follow, if this is a preflight.
    preflight: Option<(HeaderValue, Option<HeaderValue>)>,
}

impl Asked {
    pub(crate) fn with<B>(request: &Request<B>) -> Self {
        let header = |name: HeaderName| request.headers().get(name).cloned();
        let method = header(header::ACCESS_CONTROL_REQUEST_METHOD).filter(|_| request.method() == Method::OPTIONS);
        Self {
            origin: header(header::ORIGIN),
            preflight: method.map(|method| (method, header(header::ACCESS_CONTROL_REQUEST_HEADERS))),
        }
    }
}

/// The origins whose pages may send requests to parties and read the answers.
pub(crate) struct Cors {
    /// `*` means every origin.
    origins: Vec<HeaderValue>,
}

impl Cors {
    pub(crate) fn new(origins: Vec<HeaderValue>) -> Self {
        Self { origins }
    }

    /// Adds the headers that the browser needs. If the party has set them, the party's are kept.
    pub(crate) fn complete(&self, asked: Asked, answer: Response) -> Response {
        let Asked { origin: Some(origin), preflight } = asked else { return answer };
        if answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return answer;
        }
        let is_allowed = self.allows_all() || self.origins.contains(&origin);
        let mut answer = match preflight {
            // A preflight has no token yet. The gatekeeper sees the request that follows.
            Some((method, headers)) if is_allowed => preflight_answer(method, headers),
            Some(_) => refused(&origin),
            None => answer,
        };
        let headers = answer.headers_mut();
        if !self.allows_all() {
            headers.append(header::VARY, HeaderValue::from_name(header::ORIGIN));
        }
        if is_allowed {
            let allowed = if self.allows_all() { HeaderValue::from_static("*") } else { origin };
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
        answer
    }

    fn allows_all(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }
}

/// Allows what the browser asks for. The headers are named one by one, because `*` does not include `Authorization`.
fn preflight_answer(method: HeaderValue, headers: Option<HeaderValue>) -> Response {
    let mut answer = text(StatusCode::NO_CONTENT, "");
    let allowed = answer.headers_mut();
    allowed.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
    allowed.extend(headers.map(|headers| (header::ACCESS_CONTROL_ALLOW_HEADERS, headers)));
    allowed.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    answer
}

fn refused(origin: &HeaderValue) -> Response {
    static REFUSED: Notice = Notice::warning();
    let origin = origin.to_str().unwrap_or("another origin");
    REFUSED.give(|| {
        format!("a page of {origin} may not send requests to parties; add --cors-origin {origin} if it is yours")
    });
    text(StatusCode::FORBIDDEN, format!("pages of {origin} may not send requests to parties here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://app.example.org";

    fn cors(origins: &[&str]) -> Cors {
        Cors::new(origins.iter().map(|text| origin(text).unwrap()).collect())
    }

    fn preflight(from: &str) -> Asked {
        let request = Request::options("/parties/guarded/a").header("origin", from);
        let request = request.header("access-control-request-method", "PUT");
        Asked::with(&request.header("access-control-request-headers", "authorization").body(()).unwrap())
    }

    fn unauthorized() -> Response {
        text(StatusCode::UNAUTHORIZED, "a token, please")
    }

    fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
        answer.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_preflight_is_allowed_although_the_gatekeeper_refuses_it() {
        for (origins, allowed) in [(&["*"][..], "*"), (&["https://other.org", ORIGIN], ORIGIN)] {
            let answer = cors(origins).complete(preflight(ORIGIN), unauthorized());
            assert_eq!(answer.status(), StatusCode::NO_CONTENT);
            assert_eq!(header(&answer, "access-control-allow-origin"), Some(allowed));
            assert_eq!(header(&answer, "access-control-allow-methods"), Some("PUT"));
            assert_eq!(header(&answer, "access-control-allow-headers"), Some("authorization"));
        }
        let answer = cors(&[ORIGIN]).complete(preflight("https://evil.org"), unauthorized());
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(header(&answer, "access-control-allow-origin"), None);
    }

    #[test]
    fn a_refusal_has_cors_headers_for_allowed_origins_only() {
        let asked = || Asked::with(&Request::get("/").header("origin", ORIGIN).body(()).unwrap());
        let answer = cors(&["*"]).complete(asked(), unauthorized());
        assert_eq!(
            (answer.status(), header(&answer, "access-control-allow-origin")),
            (StatusCode::UNAUTHORIZED, Some("*"))
        );
        let answer = cors(&[ORIGIN]).complete(asked(), unauthorized());
        assert_eq!(
            (header(&answer, "access-control-allow-origin"), header(&answer, "vary")),
            (Some(ORIGIN), Some("origin"))
        );
        let answer = cors(&["https://other.org"]).complete(asked(), unauthorized());
        assert_eq!((header(&answer, "access-control-allow-origin"), header(&answer, "vary")), (None, Some("origin")));
    }

    #[test]
    fn cors_headers_that_a_party_has_set_are_kept() {
        let mut own = unauthorized();
        own.headers_mut().insert("access-control-allow-origin", HeaderValue::from_static("https://own.org"));
        let answer = cors(&["*"]).complete(preflight(ORIGIN), own);
        assert_eq!(header(&answer, "access-control-allow-origin"), Some("https://own.org"));
        let plain = Asked::with(&Request::get("/").body(()).unwrap());
        assert_eq!(header(&cors(&["*"]).complete(plain, unauthorized()), "access-control-allow-origin"), None);
    }

    #[test]
    fn an_origin_with_a_path_or_without_a_scheme_is_refused() {
        assert_eq!(origin(" HTTPS://App.Example.org:8443 ").unwrap(), "https://app.example.org:8443");
        assert_eq!(origin("https://app.example.org:443").unwrap(), "https://app.example.org");
        assert_eq!(origin("http://app.example.org:80").unwrap(), "http://app.example.org");
        let wrong = [
            "app.example.org",
            "https://",
            "https://app.example.org/",
            "https://a b",
            "",
            "https://*.a",
            "https://a:99999",
            "https://a:",
            "https://a;https://b",
            "ht tp://a",
            "https://bücher.a",
        ];
        for wrong in wrong {
            assert!(origin(wrong).is_err(), "{wrong:?}");
        }
    }
}
