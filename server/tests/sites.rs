//! Who may use a server: its listed sites, the pages it serves itself, and holders of the party token.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use serde_json::json;
use support::{Binary, Client, TestServer, TestViewer};

const SITES: &[&str] = &["--site=Example.org", "--site=localhost:3000", "--party-token=secret"];

/// A viewer whose browser says it is on a page of this origin.
async fn from(server: &Client, origin: &str, page: &str) -> TestViewer {
    server.try_viewer(page, &[("origin", origin)]).await.unwrap()
}

#[tokio::test]
async fn viewers_on_pages_of_listed_sites_are_counted() {
    let server = TestServer::with(SITES).await;
    let mut anna = from(&server, "https://example.org", "example.org%2Fa").await;
    let _ben = from(&server, "http://EXAMPLE.org:80", "example.org%2Fb").await;
    let _cleo = from(&server, "http://localhost:3000", "localhost:3000%2F").await;
    // A page id without a host belongs to no site.
    let _dora = from(&server, "https://example.org", "bare").await;
    anna.subscribe(&["example.org/b", "localhost:3000/", "bare"]).await;
    for page in ["example.org/b", "localhost:3000/", "bare"] {
        anna.expect_viewers(page, 1).await;
    }
}

#[tokio::test]
async fn handshakes_without_an_origin_are_refused() {
    let server = TestServer::with(SITES).await;
    assert_eq!(server.handshake_status("/parties/page/example.org%2Fa", &[]).await, 403);
    assert_eq!(server.handshake_status("/parties/page/bare", &[]).await, 403);
    assert_eq!(server.get_json("/parties/page/example.org%2Fa").await["viewers"], 0);
}

#[tokio::test]
async fn sandboxed_pages_are_refused_with_the_reason() {
    let server = TestServer::with(SITES).await;
    let mut visitor = from(&server, "null", "example.org%2Fa").await;
    let goodbye = visitor.expect_close().await;
    assert_eq!(u16::from(goodbye.code), 1008);
    assert!(goodbye.reason.contains("sandboxed") && goodbye.reason.contains("allow-same-origin"), "{}", goodbye.reason);
}

#[tokio::test]
async fn both_names_of_a_site_have_the_same_pages() {
    let server = TestServer::with(&["--site=example.org=www.example.org"]).await;
    let mut bare = from(&server, "https://example.org", "example.org%2Fa").await;
    let mut www = from(&server, "https://www.example.org", "www.example.org%2Fa").await;
    bare.subscribe(&["example.org/a", "example.org/b"]).await;
    www.subscribe(&["www.example.org/a", "www.example.org/b"]).await;
    bare.expect_viewers("example.org/a", 2).await;
    www.expect_viewers("www.example.org/a", 2).await;
    let _reader = from(&server, "https://www.example.org", "www.example.org%2Fb").await;
    bare.expect_viewers("example.org/b", 1).await;
    www.expect_viewers("www.example.org/b", 1).await;
    for site in ["example.org", "www.example.org"] {
        let pages = server.get_json(&format!("/parties/counter/{site}")).await["pages"].clone();
        assert_eq!(pages, json!({ "example.org/a": 2, "example.org/b": 1 }), "{site}");
        for name in ["example.org", "www.example.org"] {
            let counter = format!("/parties/counter/{site}");
            let count = server.get_json(&format!("{counter}?page={name}%2Fa")).await;
            assert_eq!((&count["id"], &count["viewers"]), (&json!("example.org/a"), &json!(2)), "{name} at {site}");
            let listed = server.get_json(&format!("{counter}?prefix={name}/a")).await;
            assert_eq!(listed["pages"], json!({ "example.org/a": 2 }), "{name} at {site}");
        }
    }
    // Unsubscribing works with the other name, too.
    www.unsubscribe(&["www.example.org/b"]).await;
    www.subscribe(&["www.example.org/b"]).await;
    www.expect_viewers("www.example.org/b", 1).await;
}

#[tokio::test]
async fn sub_domains_are_counted_as_separate_sites() {
    let server = TestServer::with(&["--site=*.example.org"]).await;
    let mut shop = from(&server, "https://shop.example.org", "shop.example.org%2Fa").await;
    let _blog = from(&server, "https://blog.example.org", "blog.example.org%2Fa").await;
    shop.subscribe(&["blog.example.org/a", "shop.example.org/a"]).await;
    shop.expect_viewers("blog.example.org/a", 1).await;
    shop.expect_viewers("shop.example.org/a", 1).await;
    let goodbye = from(&server, "https://example.org", "example.org%2Fa").await.expect_close().await;
    assert!(goodbye.reason.contains("--site example.org"), "{}", goodbye.reason);
}

#[tokio::test]
async fn a_refused_www_name_gets_the_flag_to_add() {
    let server = TestServer::with(SITES).await;
    let goodbye = from(&server, "https://www.example.org", "www.example.org%2F").await.expect_close().await;
    assert!(goodbye.reason.ends_with("--site example.org=www.example.org"), "{}", goodbye.reason);
}

#[tokio::test]
async fn unlisted_origins_are_refused_with_the_reason() {
    let server = TestServer::with(SITES).await;
    for origin in [
        "https://evil.example",
        "https://example.org.evil.example",
        "https://evil-example.org",
        "https://www.example.org",
        "https://example.org:8443",
        "http://localhost",
        "https://example.org@evil.example",
    ] {
        let mut visitor = from(&server, origin, "example.org%2Fa").await;
        let goodbye = visitor.expect_close().await;
        assert_eq!(u16::from(goodbye.code), 1008, "{origin}");
        assert!(goodbye.reason.contains(origin) && goodbye.reason.contains("--site"), "{}", goodbye.reason);
    }
    for origin in ["null", "file://", "chrome-extension://abc", "nonsense"] {
        let goodbye = from(&server, origin, "example.org%2Fa").await.expect_close().await;
        assert_eq!(u16::from(goodbye.code), 1008, "{origin}");
        let reason = goodbye.reason.as_str();
        assert!(
            reason.contains(origin) && reason.contains("sandboxed or a file") && !reason.contains("--"),
            "{reason}"
        );
    }
    assert_eq!(server.get_json("/parties/page/example.org%2Fa").await["viewers"], 0);
    assert_eq!(server.get_json("/parties/counter/example.org").await["pages"], json!({}));
}

#[tokio::test]
async fn a_site_cannot_count_viewers_on_pages_of_another_site() {
    let server = TestServer::with(SITES).await;
    let mut visitor = from(&server, "https://example.org", "localhost:3000%2F").await;
    assert_eq!(visitor.expect_close_code().await, 1008);
    assert_eq!(server.get_json("/parties/page/localhost:3000%2F").await["viewers"], 0);
}

#[tokio::test]
async fn the_servers_own_pages_are_always_allowed() {
    let server = TestServer::with(SITES).await;
    let own = server.address.to_string();
    let mut anna = from(&server, &format!("http://{own}"), &format!("{own}%2Fpages%2Fa")).await;
    anna.subscribe(&[&format!("{own}/pages/b"), &format!("{own}/pages/a")]).await;
    anna.expect_viewers(&format!("{own}/pages/b"), 0).await;
    anna.expect_viewers(&format!("{own}/pages/a"), 1).await;
    assert_eq!(server.get(&format!("/parties/counter/{own}")).await.0, 200);
}

#[tokio::test]
async fn links_to_unlisted_sites_are_refused() {
    let server = TestServer::with(SITES).await;
    let mut anna = from(&server, "https://example.org", "example.org%2Fa").await;
    anna.subscribe(&["evil.example/x", "localhost:3000/x"]).await;
    let sentence = anna.expect_error("bad-link").await;
    assert!(sentence.contains("evil.example/x") && sentence.contains("--site"), "{sentence}");
    anna.expect_viewers("localhost:3000/x", 0).await;
    assert!(server.get_json("/parties/page/example.org%2Fa").await["connections"]["evil.example/x"].is_null());
}

#[tokio::test]
async fn counts_of_unlisted_sites_are_403() {
    let server = TestServer::with(SITES).await;
    let status = async |path: &str| server.get(&format!("/parties/{path}")).await.0;
    for path in ["counter/example.org", "counter/EXAMPLE.ORG", "counter/all-pages", "page/example.org%2Fa", "page/bare"]
    {
        assert_eq!(status(path).await, 200, "{path}");
    }
    for path in ["counter/evil.example", "page/evil.example%2Fa", "counter/www.example.org", "counter/localhost"] {
        assert_eq!(status(path).await, 403, "{path}");
    }
}

#[tokio::test]
async fn a_refused_counter_is_in_the_log_with_the_flag_that_lets_it_in() {
    let (server, log) = Binary::with_log(&["--site=example.org"]);
    let (status, said) = server.get("/parties/counter/www.example.org").await;
    assert!(status == 403 && said.contains("--site example.org=www.example.org"), "{status} {said}");
    assert!(log.text().contains("--site example.org=www.example.org lets it in"), "{}", log.text());
}

#[tokio::test]
async fn an_open_server_counts_viewers_of_any_origin() {
    let server = TestServer::start().await;
    let mut anna = from(&server, "https://anyone.example", "anyone.example%2Fa").await;
    anna.subscribe(&["someone-else.example/b"]).await;
    anna.expect_viewers("someone-else.example/b", 0).await;
    let _program = server.viewer("anyone.example%2Fa").await;
    let _sandboxed = from(&server, "null", "anyone.example%2Fa").await;
    server.expect_counted("anyone.example", "anyone.example/a", 3).await;
}

#[tokio::test]
async fn pages_of_any_origin_can_read_counts() {
    let server = TestServer::with(SITES).await;
    for path in ["/parties/page/example.org%2Fa", "/parties/counter/example.org", "/parties/counter/example.org?detail"]
    {
        for method in ["GET", "HEAD"] {
            let answer = server.exchange(method, path, &[("origin", "https://elsewhere.example")], "").await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            assert_eq!(answer.body.is_empty(), method == "HEAD");
        }
    }
}

#[tokio::test]
async fn pages_of_any_origin_can_read_refusals() {
    let server = TestServer::with(SITES).await;
    for (method, path) in [("GET", "/parties/counter/evil.example"), ("POST", "/parties/page/example.org%2Fa")] {
        let answer = server.exchange(method, path, &[], "{}").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, "*"), "{method} {path}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.header("content-type").starts_with("text/plain"));
    }
}

#[tokio::test]
async fn preflights_allow_reading_only() {
    let server = TestServer::with(SITES).await;
    for path in ["/parties/page/example.org%2Fa", "/parties/counter/example.org"] {
        let answer = server.exchange("OPTIONS", path, &[("access-control-request-method", "POST")], "").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
        assert_eq!(answer.header("access-control-max-age"), "86400");
    }
}

#[tokio::test]
async fn only_the_exact_party_token_gives_access_to_unlisted_sites() {
    let server = TestServer::with(SITES).await;
    let update = r#"{"action":"update","id":"evil.example/a","connectionCount":2}"#;
    let post = async |headers: &[(&str, &str)]| {
        server.request("POST", "/parties/counter/evil.example", headers, update).await.0
    };
    for wrong in ["Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer Secret", "Basic secret", "secret"] {
        assert_eq!(post(&[("authorization", wrong)]).await, 403, "{wrong:?}");
    }
    assert_eq!(post(&[]).await, 403);
    assert_eq!(post(&[("authorization", "Bearer secret")]).await, 200);
    let (status, body) =
        server.request("GET", "/parties/counter/evil.example", &[("authorization", "Bearer secret")], "").await;
    assert_eq!((status, body.as_str()), (200, r#"{"pages":{"evil.example/a":2}}"#));
}

#[tokio::test]
async fn a_server_without_a_party_token_accepts_none() {
    let server = TestServer::start().await;
    for guess in ["Bearer", "Bearer ", "Bearer null", "Bearer None"] {
        let body = r#"{"action":"update","id":"a","connectionCount":2}"#;
        let headers = [("authorization", guess)];
        assert_eq!(server.request("POST", "/parties/counter/all-pages", &headers, body).await.0, 403, "{guess:?}");
    }
}
