//! Who is counted, and when the count shows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::json;
use support::TestServer;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn viewers_see_each_other_come_and_leave() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("b", 0).await;
    let mut ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    ben.subscribe(&["a", "b"]).await;
    ben.expect_viewers("a", 1).await;
    ben.expect_viewers("b", 1).await;
    let second = server.viewer("b").await;
    anna.expect_viewers("b", 2).await;
    second.close().await;
    anna.expect_viewers("b", 1).await;
    ben.close().await;
    anna.expect_viewers("b", 0).await;
}

#[tokio::test]
async fn updates_contain_only_changed_counts() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c", "d"]).await;
    anna.expect_viewers("d", 0).await;
    anna.updates.clear();
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    assert_eq!(anna.updates, [serde_json::json!({ "type": "update", "connections": { "b": 1 } })]);
}

#[tokio::test]
async fn many_changes_are_sent_as_few_updates() {
    let server = TestServer::with(&["--update-interval-ms", "200"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    anna.updates.clear();
    let start = std::time::Instant::now();
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(server.viewer("b").await);
    }
    anna.expect_viewers("b", 100).await;
    // The first update comes at once, then at most one per interval. The counter and the page each wait an interval.
    let most = 2 + start.elapsed().as_millis() / 200;
    assert!(anna.updates.len() as u128 <= most, "{} updates in {:?}", anna.updates.len(), start.elapsed());
}

#[tokio::test]
async fn tabs_with_one_viewer_token_count_once_and_observers_never() {
    let server = TestServer::start().await;
    let _one = server.viewer("a?viewer=token").await;
    let two = server.viewer("a?viewer=token").await;
    let _other = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 2).await;
    two.close().await;
    server.expect_counted("all-pages", "a", 2).await;
    let _observer = server.viewer("a?observe").await;
    let _third = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 3).await;
}

#[tokio::test]
async fn two_connections_with_one_id_count_twice_until_one_closes() {
    let server = TestServer::start().await;
    let old = server.viewer("a?_pk=same").await;
    let mut new = server.viewer("a?_pk=same").await;
    server.expect_counted("all-pages", "a", 2).await;
    old.close().await;
    server.expect_counted("all-pages", "a", 1).await;
    new.subscribe(&["a"]).await;
    new.expect_viewers("a", 1).await;
}

#[tokio::test]
async fn all_spellings_of_a_page_share_one_room() {
    let server = TestServer::start().await;
    let mut reader = server.viewer("example.org%2F").await;
    reader.subscribe(&["EXAMPLE.org:443/a/?utm_source=x"]).await;
    reader.expect_viewers("example.org/a", 0).await;
    let _one = server.viewer("example.org%2Fa").await;
    let _two = server.viewer("Example.ORG%2Fb%2F..%2Fa%2Findex.html").await;
    reader.expect_viewers("example.org/a", 2).await;
}

#[tokio::test]
async fn a_viewer_that_answers_no_pings_is_counted_out() {
    let server = TestServer::with(&["--ping-interval-ms", "100", "--idle-timeout-ms", "400"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    // Its socket stays open, but nothing reads from it, so no ping is answered.
    let dead = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    anna.expect_viewers("b", 0).await;
    drop(dead);
}

#[tokio::test]
async fn a_viewer_that_answers_pings_stays_connected() {
    let server = TestServer::with(&["--ping-interval-ms", "50", "--idle-timeout-ms", "200"]).await;
    let mut anna = server.viewer("a").await;
    // Reading answers pings. No message arrives.
    anna.expect_silence(Duration::from_millis(800)).await;
    server.expect_counted("all-pages", "a", 1).await;
}

#[tokio::test]
async fn the_text_message_ping_is_answered_with_pong() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.socket.send(Message::text("ping")).await.unwrap();
    assert_eq!(anna.next().await, "pong");
}

#[tokio::test]
async fn a_message_sent_before_the_handshake_ends_is_read() {
    use tokio::io::AsyncWriteExt;
    let server = TestServer::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let handshake = "GET /parties/page/a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // A masked text frame with a zero mask, in the same packet as the handshake.
    let message = br#"{"type":"subscribe","links":["b"]}"#;
    let mut bytes = handshake.as_bytes().to_vec();
    bytes.extend([0x81, 0x80 | u8::try_from(message.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(message);
    stream.write_all(&bytes).await.unwrap();
    let start = std::time::Instant::now();
    while server.get_json("/parties/page/a").await["connections"]["b"].is_null() {
        assert!(start.elapsed() < support::DEADLINE, "the message was not read");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_counter_can_be_read_by_prefix_limit_and_detail() {
    let server = TestServer::start().await;
    let mut viewers = Vec::new();
    for page in ["example.org%2Fblog%2Fa", "example.org%2Fblog%2Fa", "example.org%2Fblog%2Fb", "example.org%2Fc"] {
        viewers.push(server.viewer(page).await);
    }
    let anna = &mut viewers[0];
    anna.subscribe(&["example.org/blog/quiet"]).await;
    anna.expect_viewers("example.org/blog/quiet", 0).await;
    server.expect_counted("example.org", "example.org/blog/a", 2).await;
    let asked = async |query: &str| server.get_json(&format!("/parties/counter/example.org?{query}")).await;
    let blog = json!({ "example.org/blog/a": 2, "example.org/blog/b": 1 });
    assert_eq!(asked("prefix=example.org%2Fblog").await, json!({ "pages": blog }));
    assert_eq!(asked("limit=1").await, json!({ "pages": { "example.org/blog/a": 2 }, "leftOut": 2 }));
    let quiet = json!({ "viewers": 0, "peak": 0, "peakAtMs": 0, "lastActivityMs": 0 });
    assert_eq!(asked("detail&limit=4").await["pages"]["example.org/blog/quiet"], quiet);
    let (status, sentence) = server.get("/parties/counter/example.org?limit=all").await;
    assert_eq!((status, sentence.as_str()), (400, "limit=all: give a number from 1 to 10000"));
}
