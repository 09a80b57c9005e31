//! A test for every limit of the server: what the other side sees, and that others are not affected.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::time::{Duration, Instant};

use clap::CommandFactory;
use connection_counter::{
    Counter, Page, Server,
    party::{Connection, Message, Party, Request, Response, Result, Room, json as json_response},
};
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use serde_json::json;
use support::{All, Binary, Client, TestServer, answer, wait_until};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    sync::Notify,
};
use tokio_tungstenite::tungstenite::{self, Message as Frame};

/// Only addresses behind a proxy are told apart. This machine's own address has no limits.
const PROXY: &str = "--trusted-proxy=127.0.0.1/32";
const TOKEN: &str = "--party-token=secret";

#[test]
fn every_limit_has_a_test_in_this_file() {
    let tests = include_str!("limits.rs");
    let command = All::command();
    let limits = command.get_arguments().filter(|arg| arg.get_help_heading() == Some("Limits"));
    let missing: Vec<_> =
        limits.filter_map(|arg| arg.get_long()).filter(|long| !tests.contains(&format!("\"--{long}="))).collect();
    assert_eq!(missing, [""; 0]);
}

/// The status with which a handshake is refused, and whether it says when to come back.
fn refusal(error: &tungstenite::Error) -> (u16, bool) {
    match error {
        tungstenite::Error::Http(response) => {
            (response.status().as_u16(), response.headers().contains_key("retry-after"))
        }
        error => panic!("no answer to the handshake: {error}"),
    }
}

#[tokio::test]
async fn more_connections_than_allowed_are_refused_with_503() {
    let server = TestServer::with(&["--max-connections=2"]).await;
    let mut viewers = Vec::new();
    wait_until("two are in", async || {
        viewers.extend(server.try_viewer("a", &[]).await);
        viewers.len() == 2
    })
    .await;
    let answer = server.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!((answer.status, answer.headers.contains_key("retry-after")), (503, true));
    drop(viewers);
    wait_until("there is room again", async || server.get("/healthz").await.0 == 200).await;
}

#[tokio::test]
async fn a_full_room_refuses_handshakes_with_503() {
    let server = TestServer::with(&["--max-connections-per-room=1"]).await;
    let first = server.viewer("a").await;
    assert_eq!(refusal(&server.try_viewer("a", &[]).await.err().unwrap()), (503, true));
    server.viewer("b").await;
    server.expect_counted("all-pages", "a", 1).await;
    first.close().await;
    server.viewer("a").await;
}

#[tokio::test]
async fn a_full_site_refuses_handshakes_with_503() {
    let server = TestServer::with(&["--max-connections-per-site=1"]).await;
    let first = server.viewer("one.example%2Fa").await;
    assert_eq!(refusal(&server.try_viewer("one.example%2Fb", &[]).await.err().unwrap()), (503, true));
    server.viewer("two.example%2Fa").await;
    drop(first);
    wait_until("there is room again", async || server.try_viewer("one.example%2Fb", &[]).await.is_ok()).await;
}

#[tokio::test]
async fn an_address_with_too_many_connections_gets_429() {
    let server = TestServer::with(&[PROXY, "--max-connections-per-address=2"]).await;
    let from = async |address: &str| server.try_viewer("a", &[("x-forwarded-for", address)]).await;
    let first = from("192.0.2.1").await.unwrap();
    let _second = from("192.0.2.1").await.unwrap();
    assert_eq!(refusal(&from("192.0.2.1").await.err().unwrap()), (429, true));
    // A client can add addresses on the left of the one that the proxy adds.
    assert_eq!(refusal(&from("192.0.2.7, 192.0.2.1").await.err().unwrap()), (429, true));
    let _other = from("192.0.2.2").await.unwrap();
    drop(first);
    wait_until("there is room again", async || from("192.0.2.1").await.is_ok()).await;
}

#[tokio::test]
async fn memory_of_one_address_is_limited_for_links_and_bodies() {
    let server = TestServer::with(&[PROXY, TOKEN, "--max-bytes-per-address=5000", "--room-idle-ms=1"]).await;
    let from = |address| [("x-forwarded-for", address)];
    let mut anna = server.try_viewer("a", &from("192.0.2.1")).await.unwrap();
    let links: Vec<_> = (0..10).map(|number| format!("link-{number}")).collect();
    anna.subscribe(&links.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let sentence = anna.expect_error("too-many-links").await;
    assert!(sentence.contains("from your address"), "{sentence}");
    anna.expect_viewers("link-0", 0).await;
    // Another connection of the same address has no memory left. Bodies count, too. Other addresses are not affected.
    let post = async |address: &'static str| {
        let headers = [("x-forwarded-for", address), ("authorization", "Bearer secret")];
        server.exchange("POST", "/parties/page/b", &headers, &" ".repeat(3000)).await
    };
    let refused = post("192.0.2.1").await;
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (429, true));
    assert_eq!(post("192.0.2.2").await.status, 400, "blanks are not JSON, but they were read");
    anna.close().await;
    wait_until("it is given back", async || post("192.0.2.1").await.status == 400).await;
    // So does an answer, until it is sent.
    let report = async |limit: u32| {
        server.exchange("GET", &format!("/parties/page/c?{limit}"), &from("192.0.2.4"), "").await.status
    };
    let mut dora = server.viewer("c").await;
    let long: Vec<_> = (0..9).map(|number| format!("{number}{}", "x".repeat(480))).collect();
    dora.subscribe(&long.iter().map(String::as_str).collect::<Vec<_>>()).await;
    dora.expect_viewers(&long[8], 0).await;
    for round in 0..5 {
        assert_eq!(report(round).await, 200, "it was given back");
    }
    dora.subscribe(&["more", &"y".repeat(480), &"z".repeat(480)]).await;
    dora.expect_viewers("more", 0).await;
    assert_eq!(report(9).await, 429, "an answer of more than 5 KB");
    // The same links count for each connection that watches them.
    let mut crowd = Vec::new();
    for _ in 0..3 {
        let mut viewer = server.try_viewer("a", &from("192.0.2.3")).await.unwrap();
        viewer.subscribe(&["link-1", "link-2", "link-3"]).await;
        viewer.expect_viewers("link-1", 0).await;
        crowd.push(viewer);
    }
    crowd[2].expect_error("too-many-links").await;
}

#[tokio::test]
async fn limits_per_address_do_not_apply_to_loopback() {
    let server = TestServer::with(&["--max-connections-per-address=1", "--handshake-burst=1"]).await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        // This is not a trusted proxy, so its header is ignored.
        viewers.push(server.try_viewer("a", &[("x-forwarded-for", "192.0.2.1")]).await.unwrap());
    }
    server.expect_counted("all-pages", "a", 5).await;
}

#[tokio::test]
async fn handshakes_of_one_address_are_limited_in_rate() {
    let server = TestServer::with(&[PROXY, "--handshake-burst=2", "--handshakes-per-second=2"]).await;
    let from = async |address: &str| server.handshake_status("/parties/page/a", &[("x-forwarded-for", address)]).await;
    let start = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(from("192.0.2.1").await);
    }
    // The burst, and what the rate has allowed meanwhile.
    let allowed = 2 + 1 + usize::try_from(start.elapsed().as_millis()).unwrap() * 2 / 1000;
    assert_eq!(statuses[..2], [101, 101]);
    assert!(statuses.iter().filter(|status| **status == 101).count() <= allowed, "{statuses:?}");
    assert!(statuses.iter().all(|status| [101, 429].contains(status)), "{statuses:?}");
    assert_eq!(from("192.0.2.2").await, 101);
    wait_until("the pace allows one more", async || from("192.0.2.1").await == 101).await;
}

#[tokio::test]
async fn requests_of_one_address_are_limited_in_rate() {
    let server = TestServer::with(&[PROXY, "--request-burst=2", "--requests-per-second=2", TOKEN]).await;
    let ask = async |path: &str, address: &str, token: &str| {
        let headers = [("x-forwarded-for", address), ("authorization", token)];
        server.exchange("GET", path, &headers, "").await
    };
    let start = Instant::now();
    let mut answers = Vec::new();
    for _ in 0..10 {
        answers.push(ask("/parties/page/a", "192.0.2.1", "").await);
    }
    // The burst, and what the rate has allowed meanwhile.
    let allowed = 2 + 1 + usize::try_from(start.elapsed().as_millis()).unwrap() * 2 / 1000;
    let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!((2..=allowed).contains(&served.len()), "{} were answered", served.len());
    assert!(
        refused.iter().all(|answer| answer.status == 429 && !answer.header("retry-after").is_empty()),
        "{refused:?}"
    );
    // Other addresses, unknown paths, handshakes and the operator's requests are not limited.
    assert_eq!(ask("/parties/page/a", "192.0.2.2", "").await.status, 200);
    assert_eq!(server.handshake_status("/parties/page/a", &[("x-forwarded-for", "192.0.2.1")]).await, 101);
    for _ in 0..10 {
        assert_eq!(ask("/healthz", "192.0.2.1", "").await.status, 200);
        assert_eq!(ask("/parties/page/a", "192.0.2.1", "Bearer secret").await.status, 200);
    }
    wait_until("the pace allows one more", async || ask("/parties/page/a", "192.0.2.1", "").await.status == 200).await;
}

#[tokio::test]
async fn no_more_rooms_than_allowed_are_in_memory() {
    // One room for the page, one for its counter.
    let server = TestServer::with(&["--max-rooms=2", "--room-idle-ms=50"]).await;
    let first = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 1).await;
    assert_eq!(refusal(&server.try_viewer("b", &[]).await.err().unwrap()), (503, true));
    assert_eq!(server.get("/parties/page/c").await.0, 503);
    assert_eq!(server.handshake_status("/parties/page/a", &[]).await, 101);
    first.close().await;
    wait_until("there is room again", async || server.try_viewer("b", &[]).await.is_ok()).await;
}

#[tokio::test]
async fn requests_and_connections_cannot_use_up_all_rooms() {
    let server = workshop(&["--max-rooms=4", "--call-timeout-ms=500"]).await;
    // Requests may use one of the four rooms, and connections one more. The others are for the rooms that those need.
    assert_eq!(server.get("/parties/workshop/a/stuck").await.0, 504);
    assert_eq!(server.get("/parties/workshop/b/ok").await.0, 503);
    let mut anna = server.viewer("a").await;
    assert_eq!(refusal(&server.try_viewer("b", &[]).await.err().unwrap()), (503, true));
    anna.subscribe(&["a", "elsewhere.example/b"]).await;
    anna.expect_viewers("a", 1).await;
    anna.expect_viewers("elsewhere.example/b", 0).await;
}

#[tokio::test]
async fn a_room_that_only_answered_a_request_leaves_memory_early() {
    let server = workshop(&["--max-rooms=4", "--room-idle-ms=600000"]).await;
    for room in ["a", "b", "c"] {
        let path = format!("/parties/workshop/{room}/ok");
        wait_until("the one before has left", async || server.get(&path).await.0 == 200).await;
    }
}

#[tokio::test]
async fn a_link_is_counted_later_if_there_is_no_room_for_its_counter_yet() {
    let server = TestServer::with(&["--max-rooms=4", "--room-idle-ms=50"]).await;
    let mut anna = server.viewer("one.example%2Fa").await;
    // With the page and its own counter this uses up the limit.
    anna.subscribe(&["two.example/", "three.example/"]).await;
    anna.expect_viewers("two.example/", 0).await;
    anna.expect_viewers("three.example/", 0).await;
    anna.subscribe(&["four.example/"]).await;
    anna.expect_silence(Duration::from_millis(300)).await;
    anna.unsubscribe(&["two.example/"]).await;
    anna.expect_viewers("four.example/", 0).await;
}

#[tokio::test]
async fn counts_are_exact_although_the_mailbox_of_the_counter_fills_up() {
    let server = TestServer::with(&["--max-mailbox=1"]).await;
    let mut arrivals = Vec::new();
    for number in 0..30 {
        let client = *server;
        arrivals.push(tokio::spawn(async move { client.viewer(&format!("page-{number}")).await }));
    }
    let mut viewers = Vec::new();
    for arrival in arrivals {
        viewers.push(arrival.await.unwrap());
    }
    let all = async |viewers: u32| {
        // The counter may be too busy for this request, too.
        let (_, body) = server.get("/parties/counter/all-pages?detail").await;
        body.matches(&format!("\"viewers\":{viewers},")).count() == 30
    };
    wait_until("all are counted", async || all(1).await).await;
    drop(viewers);
    wait_until("all are counted out", async || all(0).await).await;
}

#[tokio::test]
async fn requests_to_a_room_with_a_full_mailbox_get_503() {
    let server = workshop(&["--max-mailbox=2", "--call-timeout-ms=1000"]).await;
    let requests: Vec<_> = (0..10).map(|_| spawn_get(&server, "/parties/workshop/a/stuck")).collect();
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(request.await.unwrap());
    }
    let waited = statuses.iter().filter(|status| **status == 504).count();
    // Two requests wait in the mailbox. A third one waits if the room took the first one before the others came.
    assert!((2..=3).contains(&waited), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 10 - waited, "{statuses:?}");
    assert_eq!(server.get("/parties/workshop/b/ok").await.0, 200);
}

#[tokio::test]
async fn a_client_whose_messages_fill_the_mailbox_is_closed_with_1013() {
    let server = workshop(&["--max-mailbox=2"]).await;
    let mut anna = server.connect("/parties/workshop/a", &[]).await.unwrap();
    for _ in 0..5 {
        anna.send("stuck").await;
    }
    assert_eq!(anna.expect_close_code().await, 1013);
}

#[tokio::test]
async fn more_calls_between_rooms_than_allowed_get_503() {
    let server = workshop(&["--max-calls=1", "--call-timeout-ms=20000"]).await;
    let held = spawn_get(&server, "/parties/workshop/a/call/b/held");
    wait_until("the call is under way", async || awake(&server).await.contains("\"b\"")).await;
    let (status, sentence) = server.get("/parties/workshop/c/call/d/ok").await;
    assert_eq!((status, sentence.as_str()), (503, "too many calls between rooms; try again later"));
    HELD.notify_one();
    assert_eq!(held.await.unwrap(), 200);
    assert_eq!(server.get("/parties/workshop/c/call/d/ok").await.0, 200);
}

#[tokio::test]
async fn a_message_with_too_many_links_subscribes_to_none() {
    let server = TestServer::with(&["--max-links-per-message=2"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c", "d"]).await;
    let sentence = anna.expect_error("too-many-links").await;
    assert!(sentence.contains("nothing was subscribed"), "{sentence}");
    assert_eq!(server.get_json("/parties/page/a").await["connections"], json!({}));
    anna.subscribe(&["b", "c"]).await;
    anna.subscribe(&["d"]).await;
    anna.expect_viewers("d", 0).await;
}

#[tokio::test]
async fn links_beyond_the_limit_of_a_connection_are_refused() {
    let server = TestServer::with(&["--max-links-per-connection=2"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.subscribe(&["c", "d"]).await;
    anna.expect_viewers("b", 0).await;
    anna.expect_error("too-many-links").await;
    // Its links do not count again, and a link that is given up makes room for another.
    anna.subscribe(&["b", "c"]).await;
    anna.unsubscribe(&["b"]).await;
    anna.subscribe(&["d"]).await;
    anna.expect_viewers("d", 0).await;
    let mut alex = server.viewer("a").await;
    alex.subscribe(&["x", "y"]).await;
    alex.expect_viewers("y", 0).await;
}

#[tokio::test]
async fn links_beyond_the_limit_of_a_room_are_refused() {
    let server = TestServer::with(&["--max-links-per-room=2"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("c", 0).await;
    let mut alex = server.viewer("a").await;
    alex.subscribe(&["c", "d"]).await;
    assert_eq!(alex.next().await["connections"], json!({ "c": 0 }));
    alex.expect_error("too-many-links").await;
    // Links that no one watches any more make room for others.
    anna.close().await;
    server.expect_counted("all-pages", "a", 1).await;
    alex.subscribe(&["d"]).await;
    alex.expect_viewers("d", 0).await;
}

#[tokio::test]
async fn a_full_site_refuses_new_links_but_counts_all_viewers() {
    let server = TestServer::with(&["--max-pages-per-site=2"]).await;
    let mut anna = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 1).await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    anna.subscribe(&["c", "a"]).await;
    anna.expect_viewers("a", 1).await;
    // Links without viewers are refused now. Pages with viewers always count.
    let _ben = server.viewer("b").await;
    let _cleo = server.viewer("c").await;
    server.expect_counted("all-pages", "c", 1).await;
    anna.expect_viewers("b", 1).await;
    assert_eq!(anna.counts.get("c"), None);
    let _elsewhere = server.viewer("example.org%2Fa").await;
    server.expect_counted("example.org", "example.org/a", 1).await;
}

#[tokio::test]
async fn a_site_beyond_its_bytes_forgets_pages_that_no_one_views_or_watches() {
    let mut server = TestServer::with(&["--max-bytes-per-site=3000", "--update-interval-ms=1"]).await;
    let mut watcher = server.viewer("watcher").await;
    watcher.subscribe(&["page-0"]).await;
    watcher.expect_viewers("page-0", 0).await;
    for number in 0..20 {
        server.viewer(&format!("page-{number}")).await.close().await;
    }
    let known = async |server: &TestServer| -> Vec<String> {
        let report = server.get_json("/parties/counter/all-pages?detail").await;
        report["pages"].as_object().unwrap().keys().cloned().collect()
    };
    let has = |pages: &[String], page: &str| pages.iter().any(|known| known == page);
    let mut pages = Vec::new();
    wait_until("the last page is known", async || {
        pages = known(&server).await;
        has(&pages, "page-19")
    })
    .await;
    // Eight pages would take more than 3000 bytes. Viewed or watched pages stay, even if no one viewed them lately.
    assert!(pages.len() < 12, "{pages:?}");
    assert!(has(&pages, "watcher") && has(&pages, "page-0") && !has(&pages, "page-1"), "{pages:?}");
    // They are also deleted from the disk.
    drop(watcher);
    server.restart().await;
    let pages = known(&server).await;
    assert!(has(&pages, "page-19") && !has(&pages, "page-1"), "{pages:?}");
}

#[tokio::test]
async fn a_too_long_message_closes_the_connection_with_1009() {
    let server = TestServer::with(&["--max-message-bytes=100"]).await;
    let message = |bytes: usize| format!(r#"{{"type":"subscribe","links":["b"],"x":"{:x<1$}"}}"#, "", bytes - 41);
    let mut anna = server.viewer("a").await;
    assert_eq!(message(100).len(), 100);
    anna.send(message(100)).await;
    anna.expect_viewers("b", 0).await;
    anna.send(message(101)).await;
    assert_eq!(anna.expect_close_code().await, 1009);
}

#[tokio::test]
async fn limits_that_cost_counts_are_in_the_log_with_their_flags() {
    let limits = [
        "--max-message-bytes=200",
        "--max-links-per-message=2",
        "--max-links-per-connection=1",
        "--max-pages-per-site=1",
    ];
    let (server, log) = Binary::with_log(&limits);
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c", "d"]).await;
    anna.expect_error("too-many-links").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_error("too-many-links").await;
    anna.send("x".repeat(201)).await;
    assert_eq!(anna.expect_close_code().await, 1009);
    for flag in limits {
        let flag = flag.split('=').next().unwrap();
        wait_until(flag, async || log.text().contains(flag)).await;
    }
}

#[tokio::test]
async fn a_too_long_message_in_many_frames_closes_the_connection_with_1009() {
    use tungstenite::protocol::frame::{
        Frame as Part,
        coding::{Data, OpCode},
    };
    let server = TestServer::with(&["--max-message-bytes=100"]).await;
    let mut anna = server.viewer("a").await;
    for (idx, part) in [[b'x'; 60], [b'x'; 60]].into_iter().enumerate() {
        let data = if idx == 0 { Data::Text } else { Data::Continue };
        anna.socket.send(Frame::Frame(Part::message(part.to_vec(), OpCode::Data(data), false))).await.unwrap();
    }
    assert_eq!(anna.expect_close_code().await, 1009);
}

#[tokio::test]
async fn messages_beyond_the_burst_are_read_at_the_allowed_rate() {
    let server = TestServer::with(&["--message-burst=5", "--messages-per-second=20"]).await;
    let mut anna = server.viewer("a").await;
    let start = Instant::now();
    for _ in 0..15 {
        anna.socket.feed(Frame::text("ping")).await.unwrap();
    }
    anna.socket.flush().await.unwrap();
    for _ in 0..15 {
        assert_eq!(anna.next().await, "pong");
    }
    // All of them arrive. Those beyond the burst are read at the allowed rate.
    assert!(start.elapsed() >= Duration::from_millis(10 * 1000 / 20 - 50), "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_is_too_fast_is_not_taken_for_silent() {
    let paced = ["--message-burst=1", "--messages-per-second=5", "--ping-interval-ms=200", "--idle-timeout-ms=500"];
    let server = TestServer::with(&paced).await;
    let mut anna = server.viewer("a").await;
    for _ in 0..12 {
        anna.socket.feed(Frame::text("ping")).await.unwrap();
    }
    anna.socket.flush().await.unwrap();
    for _ in 0..12 {
        assert_eq!(anna.next().await, "pong");
    }
}

#[tokio::test]
async fn a_client_that_was_too_fast_and_hangs_up_is_not_counted_any_more() {
    let server = TestServer::with(&["--message-burst=5", "--messages-per-second=1"]).await;
    for frame in [Frame::Pong("".into()), Frame::text("ping")] {
        let mut anna = server.viewer("a").await;
        server.expect_counted("all-pages", "a", 1).await;
        for _ in 0..500 {
            anna.socket.feed(frame.clone()).await.unwrap();
        }
        anna.socket.flush().await.unwrap();
        drop(anna);
        let left = Instant::now();
        server.expect_counted("all-pages", "a", 0).await;
        assert!(left.elapsed() < Duration::from_secs(3), "{:?}", left.elapsed());
    }
}

#[tokio::test]
async fn pings_pongs_and_unknown_messages_count_towards_the_rate() {
    let server = TestServer::with(&["--message-burst=5", "--messages-per-second=1"]).await;
    let unknown = Frame::text(r#"{"type":"?"}"#);
    for frame in [Frame::Ping("x".into()), Frame::Pong("x".into()), unknown] {
        let mut anna = server.viewer("a").await;
        for _ in 0..100 {
            anna.socket.feed(frame.clone()).await.unwrap();
        }
        anna.socket.feed(Frame::text("ping")).await.unwrap();
        anna.socket.flush().await.unwrap();
        let start = Instant::now();
        while let Some(said) = anna.next_within(Duration::from_secs(1)).await {
            assert_ne!(said, "pong", "after 100 of {frame:?} and {:?}", start.elapsed());
        }
    }
}

#[tokio::test]
async fn the_message_burst_refills_at_the_allowed_rate() {
    let server = TestServer::with(&["--message-burst=2", "--messages-per-second=50"]).await;
    let mut anna = server.viewer("a").await;
    for _ in 0..20 {
        anna.send("ping").await;
        assert_eq!(anna.next().await, "pong");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_closed_with_1013() {
    let server = workshop(&["--max-send-queue-bytes=1000"]).await;
    let mut anna = server.connect("/parties/workshop/a", &[]).await.unwrap();
    // A single message may always be sent. Several are too much for a client that does not read. The first one fills
    // the operating system's buffers.
    anna.send("say 10000000").await;
    assert_eq!(anna.next().await.as_str().map(str::len), Some(10_000_000));
    for _ in 0..3 {
        anna.send("say 10000000").await;
    }
    let goodbye = anna.expect_close().await;
    assert_eq!((u16::from(goodbye.code), goodbye.reason.as_str()), (1013, "the client reads its messages too slowly"));
}

#[tokio::test]
async fn a_too_long_body_gets_413() {
    let server = workshop(&["--max-body-bytes=1000"]).await;
    let status = async |bytes: usize| server.request("POST", "/parties/workshop/a/ok", &[], &"x".repeat(bytes)).await.0;
    assert_eq!(status(1000).await, 200);
    assert_eq!(status(1001).await, 413);
    // A chunked request does not say its length.
    let chunked = b"POST /parties/workshop/a/ok HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n";
    let request = [chunked.as_slice(), &[b'x'; 1001], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(server.raw(&request).await.unwrap().status, 413);
}

#[tokio::test]
async fn incomplete_headers_end_the_connection_after_the_timeout() {
    let server = TestServer::with(&["--header-timeout-ms=100"]).await;
    let start = Instant::now();
    assert!(server.raw(b"GET /healthz HTTP/1.1\r\nhost:").await.is_none_or(|answer| answer.status == 408));
    assert!(start.elapsed() < Duration::from_secs(5), "the default was in force");
}

#[tokio::test]
async fn slow_first_requests_do_not_hold_up_others() {
    let server = TestServer::with(&["--header-timeout-ms=60000"]).await;
    let mut slow = Vec::new();
    // There are more of them than turns, and none of them ever sends more.
    for _ in 0..300 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost:").await.unwrap();
        slow.push(stream);
    }
    let start = Instant::now();
    assert_eq!(server.get("/healthz").await.0, 200);
    assert!(start.elapsed() < Duration::from_secs(5), "others waited {:?} for a turn", start.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_keep_alive_time() {
    let server = TestServer::with(&["--header-timeout-ms=100", "--keep-alive-ms=600"]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap().status, 200);
        // Longer than the headers may take.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(answer(&mut stream).await.is_none(), "it is closed when nothing more is asked");
}

#[tokio::test]
async fn a_connection_past_its_lifetime_gets_an_answer_before_it_is_closed() {
    let server = TestServer::with(&["--http-lifetime-ms=200"]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut ask = async || {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        answer(&mut stream).await.unwrap()
    };
    assert_eq!(ask().await.header("connection"), "");
    tokio::time::sleep(Duration::from_millis(400)).await;
    // A proxy that sends a request now gets an answer, and no reset.
    assert_eq!(ask().await.header("connection"), "close");
}

#[tokio::test]
async fn reused_connections_are_never_closed_without_an_answer() {
    // Connections often pass their lifetime, but are never idle for too long.
    let server = TestServer::with(&["--http-lifetime-ms=200", "--keep-alive-ms=10000"]).await;
    let start = Instant::now();
    let (mut asked, mut connected) = (0, 0);
    while start.elapsed() < Duration::from_secs(2) {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        connected += 1;
        loop {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            asked += 1;
            let answer = answer(&mut stream).await.unwrap_or_else(|| panic!("request {asked} met a closed connection"));
            if answer.header("connection") == "close" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..80))).await;
        }
    }
    assert!(connected > 1, "{asked} requests, and no connection got old");
}

#[tokio::test]
async fn headers_may_arrive_in_pieces() {
    let server = TestServer::start().await;
    let long = "x".repeat(6_000);
    let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\ncookie: {long}\r\n\r\n");
    for bytes in [1_000, 4_095, 4_096, 4_097, request.len() - 1] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let (first, second) = request.as_bytes().split_at(bytes);
        stream.write_all(first).await.unwrap();
        // The server has answered this, so it has seen what was sent before.
        server.expect_health().await;
        stream.write_all(second).await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap().status, 200, "{bytes} bytes at first");
    }
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in b"\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n" {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(answer(&mut slow).await.unwrap().status, 200);
    // This client sends no more, but reads the answer.
    let mut half_closed = TcpStream::connect(server.address).await.unwrap();
    half_closed.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    half_closed.shutdown().await.unwrap();
    assert_eq!(answer(&mut half_closed).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_arrives_too_slowly_gets_413() {
    let server = workshop(&["--body-timeout-ms=100"]).await;
    let start = Instant::now();
    let request = b"POST /parties/workshop/a/ok HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf";
    assert_eq!(server.raw(request).await.unwrap().status, 413);
    assert!(start.elapsed() < Duration::from_secs(5), "the default was in force");
}

#[tokio::test]
async fn a_request_is_refused_before_its_body_has_arrived() {
    // The time limit is longer than the test, so only a refusal can come before it.
    let server = TestServer::with(&["--body-timeout-ms=600000"]).await;
    let head = "POST /parties/page/a HTTP/1.1\r\nhost: x\r\ncontent-length: 131072\r\n";
    assert_eq!(server.raw(format!("{head}\r\nhalf").as_bytes()).await.unwrap().status, 403);
    // A client that sends `Expect: 100-continue` is refused at once, and not asked to go on.
    assert_eq!(server.raw(format!("{head}expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap().status, 403);
    // A client that has sent everything reads the answer, and gets no reset.
    let whole = format!("{head}\r\n{}", "x".repeat(131_072));
    assert_eq!(server.raw(whole.as_bytes()).await.unwrap().status, 403);
}

#[tokio::test]
async fn bodies_that_are_too_large_together_get_503() {
    const BODY: usize = 1000;
    let server = workshop(&["--max-body-bytes=1000", "--max-body-bytes-in-all=10000"]).await;
    let head = format!("POST /parties/workshop/a/ok HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY}\r\n\r\n");
    let mut slow = Vec::new();
    for _ in 0..11 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&[b'x'; BODY - 1]).await.unwrap();
        slow.push(stream);
    }
    // The eleventh body does not fit. Any of them may be given up for it.
    let (status, first) = {
        let answers = slow.iter_mut().map(|stream| Box::pin(async move { answer(stream).await.unwrap().status }));
        let (status, first, _) = futures_util::future::select_all(answers).await;
        (status, first)
    };
    assert_eq!(status, 503);
    slow.remove(first);
    for mut stream in slow {
        stream.write_all(b"x").await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped_after_the_http_lifetime() {
    let server = TestServer::with(&["--http-lifetime-ms=300", "--keep-alive-ms=100"]).await;
    let mut anna = server.viewer("a").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    // This client sends requests again and again, and never reads an answer.
    let request = "GET /live.js HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
    wait_until("it is dropped", async || match stream.try_write(request.as_bytes()) {
        Ok(_) => false,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    })
    .await;
    // WebSockets are not limited. This one is older.
    anna.subscribe(&["a"]).await;
    anna.expect_viewers("a", 1).await;
}

#[tokio::test]
async fn the_server_pings_after_the_ping_interval() {
    let server = TestServer::with(&["--ping-interval-ms=50"]).await;
    let mut anna = server.viewer("a").await;
    let frame = tokio::time::timeout(support::DEADLINE, anna.socket.next()).await.unwrap();
    assert!(matches!(frame, Some(Ok(Frame::Ping(_)))), "{frame:?}");
}

#[tokio::test]
async fn a_viewer_that_is_silent_past_the_idle_timeout_is_counted_out() {
    let server = TestServer::with(&["--ping-interval-ms=50", "--idle-timeout-ms=200"]).await;
    let _silent = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 1).await;
    server.expect_counted("all-pages", "a", 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_after_the_write_timeout() {
    let queue = "--max-send-queue-bytes=33554432";
    let server = workshop(&[queue, "--write-timeout-ms=100"]).await;
    // The operating system's buffers for a client that does not read are kept small.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let address = format!("ws://{}/parties/workshop/a", server.address);
    let (mut slow, _) = tokio_tungstenite::client_async(address, stream).await.unwrap();
    assert_eq!(server.get_json("/parties/workshop/a/ok").await["connections"], 1);
    for _ in 0..16 {
        slow.send(Frame::text("say 2000000")).await.unwrap();
    }
    wait_until("the slow reader is dropped", async || {
        server.get_json("/parties/workshop/a/ok").await["connections"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_room_that_does_not_answer_in_time_gives_504() {
    let server = workshop(&["--call-timeout-ms=100"]).await;
    assert_eq!(server.get("/parties/workshop/a/stuck").await.0, 504);
    assert_eq!(server.get("/parties/workshop/a/ok").await.0, 504, "the room is still stuck");
    assert_eq!(server.handshake_status("/parties/workshop/a", &[]).await, 504);
    let (status, sentence) = server.get("/parties/workshop/b/call/c/stuck").await;
    assert_eq!((status, sentence.as_str()), (504, "the room did not answer within 100ms"));
}

#[tokio::test]
async fn an_empty_room_leaves_memory_after_the_idle_time() {
    let server = workshop(&["--room-idle-ms=50"]).await;
    assert_eq!(server.get("/parties/workshop/a/ok").await.0, 200);
    assert!(awake(&server).await.contains("\"a\""));
    wait_until("the room leaves memory", async || !awake(&server).await.contains("\"a\"")).await;
}

#[tokio::test]
async fn silent_viewers_do_not_delay_the_stop_beyond_the_shutdown_timeout() {
    let mut server = TestServer::with(&["--shutdown-timeout-ms=100"]).await;
    let _does_not_read = server.viewer("a").await;
    let start = Instant::now();
    server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(5), "the default was in force");
}

async fn workshop(args: &[&str]) -> TestServer {
    let parties = || Server::builder().party::<Page>("page").party::<Counter>("counter").party::<Workshop>("workshop");
    TestServer::of(parties, args).await
}

/// The status of an answer, without waiting for it now.
fn spawn_get(server: &Client, path: &'static str) -> tokio::task::JoinHandle<u16> {
    let client = *server;
    tokio::spawn(async move { client.get(path).await.0 })
}

/// The rooms of the workshop that are in memory, as JSON.
async fn awake(server: &Client) -> String {
    server.get_json("/parties/workshop/another/ok").await["awake"].to_string()
}

/// A party that does what a request says: hang, wait, call another room, or send much.
#[derive(Default)]
struct Workshop;

/// Releases the room that waits for it.
static HELD: Notify = Notify::const_new();

impl Party for Workshop {
    async fn on_message(&mut self, _: &mut Room, connection: &Connection, message: Message) -> Result {
        let Message::Text(text) = message else { return Ok(()) };
        match text.split_once(' ') {
            Some((_, bytes)) => connection.send(Message::text("x".repeat(bytes.parse().unwrap()))),
            None => std::future::pending().await,
        }
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let path: Vec<&str> = request.uri().path().split('/').skip(4).collect();
        match path[..] {
            ["stuck"] => std::future::pending().await,
            ["held"] => {
                HELD.notified().await;
                json_response(&"let go")
            }
            ["call", target, word] => {
                let mut request = Request::default();
                *request.uri_mut() = format!("/{word}").parse().unwrap();
                room.parties().get("workshop")?.room(target)?.fetch(request).await
            }
            ["ok"] => {
                let awake = room.parties().get("workshop")?.awake();
                let awake: Vec<&str> = awake.iter().map(|stub| stub.room_id()).collect();
                json_response(&json!({ "connections": room.connections().count(), "awake": awake }))
            }
            _ => Ok(connection_counter::party::text(StatusCode::NOT_FOUND, "no such word")),
        }
    }
}
