//! The files inside the binary: the widget, which pages of other sites load, and the demo site.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{fs, path::PathBuf};

use support::{Answer, Client, TestServer};

/// Name of the widget's one file with this ending, and what is in it.
fn built(ending: &str) -> (String, Vec<u8>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../widget/dist");
    let names =
        fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let name = names.into_iter().find(|name| name.ends_with(ending));
    let name = name.expect("the widget is not built: run `npx --yes rust-just widget` first");
    let content = fs::read(folder.join(&name)).unwrap();
    (name, content)
}

async fn get(server: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.exchange("GET", path, headers, "").await
}

#[tokio::test]
async fn the_script_is_served_with_no_cache() {
    let server = TestServer::start().await;
    let answer = get(&server, "/live.js", &[]).await;
    assert!(answer.status == 200 && answer.body == built("live.js").1);
    assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn the_wasm_module_can_be_cached_for_ever() {
    let server = TestServer::start().await;
    let (name, content) = built(".wasm");
    let answer = get(&server, &format!("/{name}"), &[]).await;
    assert!(answer.status == 200 && answer.body == content);
    assert_eq!(answer.header("content-type"), "application/wasm");
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
}

#[tokio::test]
async fn the_script_names_the_served_module() {
    let server = TestServer::start().await;
    let script = get(&server, "/live.js", &[]).await.text();
    let (name, _) = built(".wasm");
    assert!(script.contains(&name), "live.js and {name} are not of one build");
}

#[tokio::test]
async fn the_pinned_script_can_be_cached_for_ever() {
    let server = TestServer::start().await;
    let pinned = String::from_utf8(built("pinned").1).unwrap();
    let (name, integrity) = pinned.split_once(' ').unwrap();
    assert!(integrity.starts_with("sha384-"), "{integrity}");
    let answer = get(&server, &format!("/{name}"), &[]).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(answer.body == built(name).1);
    let (module, _) = built(".wasm");
    assert!(answer.text().contains(&module), "{name} and {module} are not of one build");
    assert_eq!(get(&server, "/pinned", &[]).await.status, 404);
}

#[tokio::test]
async fn pages_of_any_site_can_load_the_widget() {
    let server = TestServer::with(&["--site=example.org"]).await;
    for name in ["live.js".to_owned(), built(".wasm").0] {
        // These headers also allow cross-origin isolated pages, and pages that check the integrity of what they load.
        let answer = get(&server, &format!("/{name}"), &[("origin", "https://elsewhere.example")]).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "");
        assert_eq!(answer.header("set-cookie"), "");
    }
}

#[tokio::test]
async fn unchanged_files_are_not_sent_again() {
    let server = TestServer::start().await;
    for path in ["/live.js".to_owned(), format!("/{}", built(".wasm").0), "/".to_owned(), "/pages/a".to_owned()] {
        let tag = get(&server, &path, &[]).await.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{path}: {tag}");
        // The forms that browsers send, also behind a proxy that compresses or a cache that knows several versions.
        for asked in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let answer = get(&server, &path, &[("if-none-match", &asked)]).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{path} {asked}");
            assert_eq!(answer.header("etag"), tag);
            assert!(!answer.header("cache-control").is_empty());
        }
        assert_eq!(get(&server, &path, &[("if-none-match", "\"other\"")]).await.status, 200);
    }
}

#[tokio::test]
async fn each_file_has_its_own_etag() {
    let server = TestServer::start().await;
    let mut tags = Vec::new();
    for path in ["/live.js", "/", "/pages/a", "/pages/b", "/style.css"] {
        tags.push(get(&server, path, &[]).await.header("etag").to_owned());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 5, "{tags:?}");
}

#[tokio::test]
async fn compressed_files_are_sent_where_accepted() {
    let server = TestServer::start().await;
    let (module, _) = built(".wasm");
    for name in ["live.js", &module] {
        for (accepted, encoding, ending) in [
            ("br", "br", ".br"),
            ("gzip, deflate, br, zstd", "br", ".br"),
            ("gzip", "gzip", ".gz"),
            ("gzip;q=1.0, *;q=0.5", "gzip", ".gz"),
            ("gzip;q=0.8, br;q=0", "gzip", ".gz"),
            ("gzip, br;Q=0", "gzip", ".gz"),
            ("gzip, br;q = 0", "gzip", ".gz"),
            ("identity", "", ""),
            ("br;q=0, gzip;q=0.0", "", ""),
            ("brotli", "", ""),
        ] {
            let answer = get(&server, &format!("/{name}"), &[("accept-encoding", accepted)]).await;
            assert_eq!(answer.header("content-encoding"), encoding, "{name} for {accepted:?}");
            assert!(answer.body == built(&format!("{name}{ending}")).1, "{name} for {accepted:?} is not {ending:?}");
            assert_eq!(answer.header("vary"), "accept-encoding");
            assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        }
    }
}

#[tokio::test]
async fn head_requests_get_the_headers_of_get_requests() {
    let server = TestServer::start().await;
    for path in ["/live.js", "/", "/pages/a", "/style.css", "/icon.svg"] {
        let whole = get(&server, path, &[]).await;
        let head = server.exchange("HEAD", path, &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        for name in ["content-type", "content-length", "etag", "cache-control", "vary"] {
            assert_eq!(head.header(name), whole.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn other_files_and_paths_are_404() {
    let server = TestServer::start().await;
    for path in [
        "/live.js.br",
        "/live.js.gz",
        "/npm",
        "/npm/package.json",
        "/built-from",
        "/live-0.wasm",
        "/live.js/",
        "/LIVE.JS",
        "/a.html",
        "/index.html",
        "/pages/",
        "/pages/e",
        "/../Cargo.toml",
        "/pages/../../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "/..%2f..%2fetc/passwd",
    ] {
        assert_eq!(get(&server, path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_demo_has_a_strict_content_security_policy() {
    let server = TestServer::start().await;
    for path in ["/", "/pages/a", "/pages/b", "/pages/c", "/pages/d"] {
        let answer = get(&server, path, &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        let policy = answer.header("content-security-policy");
        for rule in
            ["default-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.split(';').any(|part| part.trim() == rule), "{path}: {policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.text().contains("src=\"/live.js\""), "{path} has the tag");
    }
}

#[tokio::test]
async fn demo_pages_have_the_links_of_the_original() {
    let server = TestServer::start().await;
    for (page, links) in [("a", "bcd"), ("b", "abc"), ("c", "abd"), ("d", "a")] {
        let html = get(&server, &format!("/pages/{page}"), &[]).await.text();
        let found: String = html.split("href=\"/pages/").skip(1).map(|rest| &rest[..1]).collect();
        assert_eq!(found, links, "page {page}");
    }
}

#[tokio::test]
async fn every_target_in_the_demo_exists() {
    let server = TestServer::start().await;
    for page in ["/", "/pages/a", "/pages/b", "/pages/c", "/pages/d"] {
        let html = get(&server, page, &[]).await.text();
        // Values and patterns of the options are not targets.
        let quoted: Vec<_> = html.split(['"', '\'']).collect();
        let targets = quoted.windows(2).filter_map(|pair| {
            let is_of_option = pair[0].ends_with("value=") || pair[0].ends_with("pattern=");
            (!is_of_option && pair[1].starts_with('/') && !pair[1].contains([' ', '<'])).then_some(pair[1])
        });
        for target in targets {
            assert_eq!(get(&server, target, &[]).await.status, 200, "{target} on {page}");
        }
    }
    assert_eq!(get(&server, "/favicon.ico", &[]).await.header("content-type"), "image/svg+xml");
}

#[tokio::test]
async fn the_demo_can_be_switched_off() {
    let server = TestServer::with(&["--demo=false"]).await;
    for path in ["/", "/pages/a", "/style.css", "/favicon.ico"] {
        assert_eq!(get(&server, path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(get(&server, "/live.js", &[]).await.status, 200);
}

#[tokio::test]
async fn files_accept_only_get_and_head() {
    let server = TestServer::start().await;
    for path in ["/", "/live.js", "/pages/a"] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let answer = server.exchange(method, path, &[], "new content").await;
            assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method} {path}");
        }
    }
}
