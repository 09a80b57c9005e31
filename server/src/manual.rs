//! The manual inside the binary: the pages of `server/docs`, at `/docs/`, with the reader's own server in the examples.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};

use crate::{
    Error,
    party::{Response, Result},
};

// `MANUAL`: the path of every page below `/docs/`, and its HTML.
include!(concat!(env!("OUT_DIR"), "/manual.rs"));

const STYLE: &str = include_str!("../docs/style.css");
/// A page may load only the stylesheet.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The name of the reader's server in the pages.
const EXAMPLE_HOST: &str = "live.example.org";

/// The answer to a request for a page of the manual. `None` for all other requests.
pub(crate) fn answer(request: &Parts, public_url: Option<&str>) -> Option<Result<Response>> {
    // The proxy may serve us below a path, even one that begins in the same way.
    let path = request.uri.path();
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    if path.ends_with("/docs") {
        return Some(if is_read { Ok(moved()) } else { Err(Error::Method("GET, HEAD")) });
    }
    let (_, page) = path.rsplit_once("/docs/")?;
    let (kind, content) = if page == "style.css" {
        ("text/css; charset=utf-8", STYLE.to_owned())
    } else {
        let (_, html) = MANUAL.iter().find(|(path, _)| *path == page)?;
        ("text/html; charset=utf-8", for_reader(html, &own_address(request, public_url)))
    };
    if !is_read {
        return Some(Err(Error::Method("GET, HEAD")));
    }
    let mut response = Response::new(Bytes::from(content));
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "host"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Some(Ok(response))
}

/// A redirect to the address with a slash at its end, because the pages have relative links.
fn moved() -> Response {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("docs/"));
    response
}

/// The scheme and host at which the reader sees this server.
fn own_address(request: &Parts, public_url: Option<&str>) -> String {
    if let Some(url) = public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // Only a valid host may be put into a page.
    let is_host =
        |host: &&str| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c));
    match host.filter(is_host) {
        // A proxy with TLS usually uses the default port. An address with a port is somebody trying the server out.
        Some(host) if host.contains(':') || host == "localhost" => format!("http://{host}"),
        Some(host) => format!("https://{host}"),
        None => format!("https://{EXAMPLE_HOST}"),
    }
}

/// A page with the reader's own server in the examples.
fn for_reader(html: &str, address: &str) -> String {
    let host = address.split_once("://").map_or(address, |(_, host)| host);
    let sockets = address.replacen("http", "ws", 1);
    html.replace(&format!("https://{EXAMPLE_HOST}"), address)
        .replace(&format!("wss://{EXAMPLE_HOST}"), &sockets)
        .replace(EXAMPLE_HOST, host.split('/').next().unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn page(path: &str, host: &str) -> Option<Response> {
        let request = Request::get(path).header("host", host).body(()).unwrap();
        answer(&request.into_parts().0, None).map(Result::unwrap)
    }

    fn text(path: &str, host: &str) -> String {
        String::from_utf8(page(path, host).unwrap().into_body().to_vec()).unwrap()
    }

    #[test]
    fn examples_in_the_manual_name_the_readers_own_server() {
        let tag = |host| text("/docs/embed", host).split("src=\"").nth(1).unwrap().to_owned();
        assert!(tag("127.0.0.1:1999").starts_with("http://127.0.0.1:1999/live.js\""));
        assert!(tag("counts.example.net").starts_with("https://counts.example.net/live.js\""));
        assert!(tag("\"><script>").starts_with("https://live.example.org/live.js\""));
        assert!(text("/docs/embed", "counts.example.net").contains("wss://counts.example.net"));
    }

    #[test]
    fn pages_of_the_manual_are_served_below_any_path() {
        for path in
            ["/docs/", "/docs/run", "/live/docs/proxies/nginx", "/docs/style.css", "/docs/docs/", "/docs-2/docs/run"]
        {
            assert!(page(path, "a").is_some_and(|response| response.status() == 200), "{path}");
        }
        for path in ["/docs/none", "/docsrun", "/docs/run.md", "/docs/../files.rs"] {
            assert!(page(path, "a").is_none(), "{path}");
        }
        assert_eq!(page("/live/docs", "a").unwrap().headers()["location"], "docs/");
    }

    #[test]
    fn every_link_leads_to_a_page_and_a_heading() {
        for (path, html) in MANUAL {
            for link in html.split("<a href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let Ok(base) = format!("http://a/docs/{path}").parse::<url::Url>() else { panic!("{path}") };
                let target = base.join(link).unwrap();
                if target.host_str() != Some("a") {
                    continue;
                }
                let page = target.path().strip_prefix("/docs/").unwrap_or_else(|| panic!("{path} links to {link}"));
                let (_, html) =
                    MANUAL.iter().find(|(other, _)| *other == page).unwrap_or_else(|| panic!("{path} links to {link}"));
                let id = target.fragment().map(|id| format!("id=\"{id}\""));
                assert!(id.is_none_or(|id| html.contains(&id)), "{path} links to {link}");
            }
        }
        assert!(MANUAL.len() > 12);
    }
}
