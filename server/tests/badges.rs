//! Badges: the viewers of a page as a picture and as JSON, for places where no script runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use serde_json::json;
use support::{Answer, Client, TestServer, wait_until};

const BADGES: &[&str] = &["--badges", "--demo=false", "--site=example.org=www.example.org", "--party-token=secret"];
const ORIGIN: &[(&str, &str)] = &[("origin", "https://example.org")];

async fn ask(server: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.exchange(method, &format!("/badge/{path}"), headers, "").await
}

/// The text of a badge for screen readers.
async fn spoken(server: &Client, path: &str) -> String {
    let answer = ask(server, "GET", path, &[]).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text().split_once("<title>").unwrap().1.split_once("</title>").unwrap().0.to_owned()
}

#[tokio::test]
async fn badge_shows_the_viewers_of_a_page() {
    let server = TestServer::with(BADGES).await;
    assert_eq!(spoken(&server, "example.org/a.svg").await, "viewing now: 0");
    let _anna = server.try_viewer("example.org%2Fa", ORIGIN).await.unwrap();
    let _ben = server.try_viewer("example.org%2Fa", ORIGIN).await.unwrap();
    server.expect_counted("example.org", "example.org/a", 2).await;

    for path in ["example.org/a.svg", "example.org%2Fa.svg", "EXAMPLE.org/a/index.html.svg", "www.example.org/a.svg"] {
        assert_eq!(spoken(&server, path).await, "viewing now: 2", "{path}");
    }
    assert_eq!(spoken(&server, "example.org/a.svg?label=readers").await, "readers: 2");
    assert_eq!(spoken(&server, "example.org/a.svg?label=").await, "2");
    assert!(ask(&server, "GET", "example.org/a.svg", &[]).await.text().contains(">2</text>"));
    // The address also works below a path of a proxy.
    let below = server.get("/apps/live/badge/example.org/a.svg").await;
    assert!(below.0 == 200 && below.1.contains("viewing now: 2"), "{below:?}");
}

#[tokio::test]
async fn badges_work_for_start_pages_and_for_pages_with_a_query() {
    let server = TestServer::with(BADGES).await;
    let _list = server.try_viewer("example.org%2Flist%3Fpage=2", ORIGIN).await.unwrap();
    let _start = server.try_viewer("example.org%2F", ORIGIN).await.unwrap();
    let _bare = server.try_viewer("bare", ORIGIN).await.unwrap();
    server.expect_counted("example.org", "example.org/list?page=2", 1).await;
    server.expect_counted("example.org", "example.org/", 1).await;
    server.expect_counted("all-pages", "bare", 1).await;
    for path in
        ["example.org/list%3Fpage%3D2.svg", "example.org.svg", "example.org/.svg", "www.example.org.svg", "bare.svg"]
    {
        assert_eq!(spoken(&server, path).await, "viewing now: 1", "{path}");
    }
}

#[tokio::test]
async fn badges_have_the_headers_that_image_proxies_and_pages_need() {
    let server = TestServer::with(BADGES).await;
    let badge = ask(&server, "GET", "example.org/a.svg", &[]).await;
    for (name, value) in [
        ("content-type", "image/svg+xml"),
        ("cache-control", "no-cache"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
    ] {
        assert_eq!(badge.header(name), value, "{name}");
    }
    let head = ask(&server, "HEAD", "example.org/a.svg", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), "image/svg+xml");

    // An unchanged badge is not sent again. A new number is.
    let tag = badge.header("etag").to_owned();
    let known = [("if-none-match", tag.as_str())];
    let unchanged = ask(&server, "GET", "example.org/a.svg", &known).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(ask(&server, "GET", "example.org/a.svg?label=readers", &known).await.status, 200);
    let _anna = server.try_viewer("example.org%2Fa", ORIGIN).await.unwrap();
    server.expect_counted("example.org", "example.org/a", 1).await;
    assert_eq!(ask(&server, "GET", "example.org/a.svg", &known).await.status, 200);
}

#[tokio::test]
async fn shields_io_can_read_a_badge_as_json() {
    let server = TestServer::with(BADGES).await;
    let _anna = server.try_viewer("example.org%2Fa", ORIGIN).await.unwrap();
    server.expect_counted("example.org", "example.org/a", 1).await;
    let answer = ask(&server, "GET", "example.org/a.json?label=readers&color=ABC&style=flat-square", &[]).await;
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-cache"));
    let expected = json!({
        "schemaVersion": 1, "label": "readers", "message": "1", "color": "#abc", "labelColor": "#4a5550", "style": "flat-square",
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn badges_can_only_be_read_and_only_for_served_sites() {
    let server = TestServer::with(BADGES).await;
    let (status, reason) = server.get("/badge/other.org/a.svg").await;
    assert!(status == 403 && reason.contains("other.org may not use this server"), "{status} {reason}");
    for headers in [&[][..], &[("authorization", "Bearer secret")]] {
        assert_eq!(ask(&server, "POST", "example.org/a.svg", headers).await.status, 405);
    }
    assert_eq!(ask(&server, "OPTIONS", "example.org/a.svg", ORIGIN).await.header("access-control-allow-origin"), "*");
    assert_eq!(server.handshake_status("/badge/example.org/a.svg", ORIGIN).await, 403);
}

#[tokio::test]
async fn wrong_badge_addresses_get_an_error_that_says_why() {
    let server = TestServer::with(BADGES).await;
    for (path, expected, named) in [
        ("example.org/a", 404, ".svg"),
        ("example.org/a.png", 404, ".svg"),
        ("example.org/a.svg?color=red", 400, "color:"),
        ("example.org/list.svg?page=2", 400, "%3Fpage=2.svg"),
        (&format!("example.org/{}.svg", "x".repeat(600)), 400, "512"),
    ] {
        let (status, reason) = server.get(&format!("/badge/{path}")).await;
        assert!(status == expected && reason.contains(named), "{path}: {status} {reason}");
    }
}

#[tokio::test]
async fn badges_of_pages_without_viewers_start_no_rooms() {
    let server = TestServer::with(&[BADGES, &["--request-burst=1000", "--max-rooms=10"]].concat()).await;
    for page in 0..100 {
        assert_eq!(spoken(&server, &format!("example.org/{page}.svg")).await, "viewing now: 0");
    }
    assert_eq!(server.get_json("/parties/counter/example.org?detail").await["pages"], json!({}));
    // A hundred rooms would have used up the limit.
    let _anna = server.try_viewer("example.org%2Fa", ORIGIN).await.unwrap();
    wait_until("the badge shows it", async || spoken(&server, "example.org/a.svg").await == "viewing now: 1").await;
}

#[tokio::test]
async fn badge_requests_count_towards_the_request_limit() {
    let server = TestServer::with(
        &[BADGES, &["--request-burst=3", "--requests-per-second=1", "--trusted-proxy=127.0.0.1"]].concat(),
    )
    .await;
    let mut refused = 0;
    for _ in 0..10 {
        let answer = ask(&server, "GET", "example.org/a.svg", &[("x-forwarded-for", "203.0.113.7")]).await;
        refused += u32::from(answer.status == 429);
    }
    assert!(refused > 0, "ten requests in a row were all answered");
}

#[tokio::test]
async fn badges_are_404_without_the_flag() {
    let server = TestServer::start().await;
    let (status, reason) = server.get("/badge/example.org/a.svg").await;
    assert!(status == 404 && reason.contains("--badges"), "{status} {reason}");
    assert_eq!(server.get("/parties/badge/example.org/a.svg").await.0, 404);
}

#[tokio::test]
async fn a_counter_answers_with_the_viewers_of_one_page() {
    let server = TestServer::with(BADGES).await;
    let _anna = server.try_viewer("example.org%2Fcaf%C3%A9", ORIGIN).await.unwrap();
    server.expect_counted("example.org", "example.org/caf%C3%A9", 1).await;
    for (page, id, viewers) in
        [("example.org%2Fcaf%C3%A9", "example.org/caf%C3%A9", 1), ("example.org%2Fnone", "example.org/none", 0)]
    {
        let count = server.get_json(&format!("/parties/counter/example.org?page={page}")).await;
        assert_eq!(count, json!({ "id": id, "viewers": viewers }));
    }
    let (status, reason) = server.get("/parties/counter/example.org?page=other.org%2Fa").await;
    assert!(status == 400 && reason.contains("/parties/counter/other.org"), "{status} {reason}");
}
