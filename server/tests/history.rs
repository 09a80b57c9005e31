//! The history of a counter: the last day and the last 90 days.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{fs, path::Path};

use serde_json::Value;
use support::{Binary, Client, TestServer, wait_until};

/// The highest counts in the answer, by the minute and by the hour.
async fn highest(server: &Client, path: &str) -> [u64; 2] {
    let (status, body) = server.get(path).await;
    if status == 404 {
        return [0, 0];
    }
    let answer: Value = serde_json::from_str(&body).unwrap();
    let most = |span: &str| answer[span]["highest"].as_array().unwrap().iter().filter_map(Value::as_u64).max().unwrap();
    [most("minutes"), most("hours")]
}

const SITE: &str = "/parties/counter/example.org?history";
const PAGE: &str = "/parties/counter/example.org?history&page=example.org%2Fa%3Fid%3D1";

#[tokio::test]
async fn history_shows_the_highest_counts_of_a_site_and_of_a_page() {
    let server = TestServer::start().await;
    let _anna = server.viewer("example.org%2Fa%3Fid%3D1").await;
    let ben = server.viewer("example.org%2Fa%3Fid%3D1").await;
    let cleo = server.viewer("example.org%2Fb").await;
    server.expect_counted("example.org", "example.org/b", 1).await;
    server.expect_counted("example.org", "example.org/a?id=1", 2).await;
    ben.close().await;
    cleo.close().await;
    server.expect_counted("example.org", "example.org/b", 0).await;
    wait_until("the site had 3 viewers", async || highest(&server, SITE).await == [3, 3]).await;
    wait_until("the page had 2", async || highest(&server, PAGE).await == [2, 2]).await;
    assert_eq!(server.get_json(PAGE).await["page"], "example.org/a?id=1");
    assert_eq!(server.get_json(SITE).await["site"], "example.org");
    // No cache may keep the answer.
    let answer = server.exchange("GET", &format!("{SITE}&format=csv"), &[], "").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.text().lines().any(|line| line.ends_with("Z,60,3")), "{}", answer.text());
    assert_eq!(server.get("/parties/counter/example.org?history&page=example.org%2Fnever").await.0, 404);
    for (query, named) in [("format=xml", "format=xml"), ("page=%00", "page=%00")] {
        let (status, sentence) = server.get(&format!("{SITE}&{query}")).await;
        assert!(status == 400 && sentence.contains(named), "{sentence}");
    }
}

#[tokio::test]
async fn history_of_an_unlisted_site_is_refused() {
    let server = TestServer::with(&["--site=example.org", "--demo=false"]).await;
    assert_eq!(server.get("/parties/counter/example.org?history").await.0, 200);
    assert_eq!(server.get("/parties/counter/other.org?history").await.0, 403);
}

#[tokio::test]
async fn observers_are_not_in_the_history() {
    let server = TestServer::with(&["--site=example.org", "--demo=false"]).await;
    let origin = [("origin", "https://example.org")];
    let _anna = server.try_viewer("example.org%2Fa", &origin).await.unwrap();
    server.expect_counted("example.org", "example.org/a", 1).await;
    let mut crawler = server.connect("/parties/page/example.org%2Fa?observe", &origin).await.unwrap();
    let mut refused = server.try_viewer("example.org%2Fa", &[("origin", "https://evil.example")]).await.unwrap();
    refused.expect_end().await;
    crawler.subscribe(&["example.org/a"]).await;
    crawler.expect_viewers("example.org/a", 1).await;
    wait_until("the page has a history", async || highest(&server, SITE).await == [1, 1]).await;
}

#[tokio::test]
async fn stored_history_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Binary::start(&data, &[]);
    let _anna = server.viewer("example.org%2Fa%3Fid%3D1").await;
    let ben = server.viewer("example.org%2Fa%3Fid%3D1").await;
    wait_until("the page had 2", async || highest(&server, PAGE).await == [2, 2]).await;
    ben.close().await;
    // This is the last value of a row. All changed rows are written together.
    wait_until("it is on disk", async || holds(&data, ",2]") || holds(&data, "[2]")).await;
    server.kill();
    let server = Binary::start(&data, &[]);
    wait_until("it is read", async || server.get_json(SITE).await["stillReading"].is_null()).await;
    assert_eq!([highest(&server, SITE).await, highest(&server, PAGE).await], [[2, 2], [2, 2]]);
    // Counts after the restart are added to it.
    let _cleo = server.viewer("example.org%2Fb").await;
    let _dora = server.viewer("example.org%2Fb").await;
    let _emil = server.viewer("example.org%2Fb").await;
    wait_until("the site had 3", async || highest(&server, SITE).await == [3, 3]).await;
}

#[tokio::test]
async fn history_survives_a_normal_restart() {
    let mut server = TestServer::start().await;
    let anna = server.viewer("example.org%2Fa%3Fid%3D1").await;
    wait_until("it is counted", async || highest(&server, SITE).await == [1, 1]).await;
    drop(anna);
    server.restart().await;
    wait_until("it is known again", async || highest(&server, PAGE).await == [1, 1]).await;
}

#[tokio::test]
async fn an_open_server_forgets_old_sites_and_listed_sites_keep_their_history() {
    let flags = ["--cleanup-interval-ms=50", "--forget-after-ms=50"];
    let open = TestServer::with(&flags).await;
    open.viewer("example.org%2Fa%3Fid%3D1").await.close().await;
    wait_until("it is forgotten", async || highest(&open, SITE).await == [0, 0]).await;
    let listed = TestServer::with(&[flags.as_slice(), &["--site=example.org"]].concat()).await;
    let origin = [("origin", "https://example.org")];
    listed.try_viewer("example.org%2Fa%3Fid%3D1", &origin).await.unwrap().close().await;
    let pages = async || listed.get_json("/parties/counter/example.org?detail").await["pages"].clone();
    wait_until("the page is forgotten", async || pages().await == serde_json::json!({})).await;
    assert_eq!([highest(&listed, SITE).await, highest(&listed, PAGE).await], [[1, 1], [1, 1]]);
}

/// Whether any file of the database holds this text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        // Files come and go while a server runs.
        if path.is_dir() { holds(&path, text) } else { has(&fs::read(path).unwrap_or_default(), text) }
    })
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
