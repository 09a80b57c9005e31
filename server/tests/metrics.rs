//! The operator's address, with metrics for Prometheus.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::fs;

use support::{Binary, Client, wait_until};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// The value of a metric, with its labels.
async fn value(admin: &Client, metric: &str) -> Option<String> {
    let (_, text) = admin.get("/metrics").await;
    text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ').map(str::to_owned))
}

#[tokio::test]
async fn metrics_count_websockets_rooms_refusals_and_requests() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = Binary::with_admin(folder.path(), &["--max-rooms=2"]).await;
    let mut anna = server.viewer("example.org%2Fsecret").await;
    anna.subscribe(&["example.org/other"]).await;
    anna.expect_viewers("example.org/other", 0).await;
    assert_eq!(value(&admin, "connectioncounter_websockets").await.as_deref(), Some("1"));
    assert_eq!(value(&admin, "connectioncounter_websockets_opened_total").await.as_deref(), Some("1"));
    assert_eq!(value(&admin, r#"connectioncounter_rooms{party="page"}"#).await.as_deref(), Some("1"));
    assert_eq!(value(&admin, "connectioncounter_storage_writable").await.as_deref(), Some("1"));
    assert_eq!(value(&admin, "connectioncounter_ready").await.as_deref(), Some("1"));
    // One room too many.
    assert_eq!(server.get("/parties/page/third").await.0, 503);
    assert_eq!(value(&admin, r#"connectioncounter_refusals_total{reason="rooms"}"#).await.as_deref(), Some("1"));
    assert_eq!(value(&admin, r#"connectioncounter_requests_total{status="5xx"}"#).await.as_deref(), Some("1"));
    let (_, text) = admin.get("/metrics").await;
    assert!(text.ends_with("# EOF\n") && !text.contains("example") && !text.contains("127.0.0.1"), "{text}");
    anna.close().await;
    wait_until("nobody is there", async || value(&admin, "connectioncounter_websockets").await.as_deref() == Some("0"))
        .await;
}

#[tokio::test]
async fn metrics_count_links_refused_for_the_memory_of_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) =
        Binary::with_admin(folder.path(), &["--trusted-proxy=127.0.0.1", "--max-bytes-per-address=20000"]).await;
    let mut anna = server.try_viewer("a", &[("x-forwarded-for", "192.0.2.1")]).await.unwrap();
    let links: Vec<_> = (0..100).map(|number| format!("link-{number}")).collect();
    anna.subscribe(&links.iter().map(String::as_str).collect::<Vec<_>>()).await;
    wait_until("it is counted", async || {
        let refused = value(&admin, r#"connectioncounter_refusals_total{reason="address_memory"}"#).await;
        refused.is_some_and(|refused| refused != "0")
    })
    .await;
}

#[tokio::test]
async fn idle_connections_do_not_block_the_admin_address() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, admin) = Binary::with_admin(folder.path(), &[]).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(admin.address).await.unwrap());
    }
    assert_eq!(admin.get("/healthz").await.0, 200);
    // The connections that have been idle the longest were closed.
    let mut byte = [0];
    let read = tokio::time::timeout(support::DEADLINE, idle[0].read(&mut byte)).await.expect("the first was closed");
    assert!(!matches!(read, Ok(1..)));
    let answer = admin.exchange("POST", "/metrics", &[], "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn refused_tokens_are_logged_once_without_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) =
        Binary::with_admin(folder.path(), &["--admin-token=secret-one", "--party-token=secret-two"]).await;
    let wrong = [("authorization", "Bearer guess")];
    for _ in 0..3 {
        assert_eq!(admin.request("GET", "/metrics", &wrong, "").await.0, 401);
        assert_eq!(server.request("POST", "/parties/counter/all-pages", &wrong, "{}").await.0, 403);
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    for flag in ["--admin-token", "--party-token"] {
        let told = log.lines().filter(|line| line.contains("WARN") && line.contains(flag)).count();
        assert_eq!(told, 1, "{flag} is logged once a minute: {log}");
    }
    assert!(!log.contains("guess") && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn metrics_have_the_format_that_the_collector_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let (server, admin) = Binary::with_admin(folder.path(), &[]).await;
    for (accept, expected) in [
        ("*/*", "application/openmetrics-text"),
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5",
            "application/openmetrics-text",
        ),
        ("text/plain", "text/plain; version=0.0.4"),
    ] {
        let answer = admin.exchange("GET", "/metrics", &[("accept", accept)], "").await;
        assert!(answer.status == 200 && answer.header("content-type").starts_with(expected), "{accept}");
    }
    assert_eq!(admin.get("/healthz").await.0, 200);
    assert_eq!(admin.get("/parties/page/a").await.0, 404, "pages have another address");
    assert_eq!(server.get("/metrics").await.0, 404, "the public address has no metrics");
}

#[tokio::test]
async fn metrics_need_the_admin_token() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, admin) = Binary::with_admin(folder.path(), &["--admin-token=secret"]).await;
    assert_eq!(admin.get("/metrics").await.0, 401);
    let sent = [("authorization", "Bearer secret")];
    assert_eq!(admin.exchange("GET", "/metrics", &sent, "").await.status, 200);
}

#[tokio::test]
async fn an_admin_address_in_use_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = format!("--admin={}", taken.local_addr().unwrap());
    let output = Binary::command(folder.path(), &[&admin]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty() && said.contains("--admin"), "{said}");
}
