//! How a server stops: it says goodbye, keeps what is to be kept, and is gone in time.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    io,
    time::{Duration, Instant},
};

use connection_counter::{
    Server,
    party::{Party, Request, Response, Result, Room, json as json_response},
};
use serde_json::json;
use support::{Binary, TestServer, answer};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};

/// Longer than any test waits: who needs it up has not stopped in time.
const PATIENT: &str = "--shutdown-timeout-ms=60000";

/// The first half of a handshake, and the second.
const HANDSHAKE: [&[u8]; 2] = [
    b"GET /parties/page/a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n",
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
];

#[tokio::test]
async fn viewers_hear_that_it_goes_away() {
    let mut server = TestServer::with(&[PATIENT]).await;
    let mut viewers = Vec::new();
    for page in ["a", "a", "b", "example.org%2F"] {
        viewers.push(server.viewer(page).await);
    }
    server.begin_stop();
    for viewer in &mut viewers {
        let goodbye = viewer.expect_close().await;
        assert_eq!(u16::from(goodbye.code), 1001, "{}", goodbye.reason);
        viewer.expect_end().await;
    }
    server.stopped().await;
}

#[tokio::test]
async fn signals_stop_it_well() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut server = Binary::start(&data, &[PATIENT]);
        let mut anna = server.viewer("a").await;
        let mut ben = server.viewer("b").await;
        anna.subscribe(&["b"]).await;
        anna.expect_viewers("b", 1).await;
        server.signal(signal);
        assert_eq!(ben.expect_close_code().await, 1001);
        ben.expect_end().await;
        assert_eq!(anna.expect_close_code().await, 1001);
        anna.expect_end().await;
        let status = server.exit().await;
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
        // What was written the moment before is there, and no one is.
        let server = Binary::start(&data, &[]);
        let expected = json!({ "id": "a", "viewers": 0, "connections": { "b": 0 } });
        assert_eq!(server.get_json("/parties/page/a").await, expected);
    }
}

#[tokio::test]
async fn slow_clients_do_not_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Binary::start(folder.path(), &["--shutdown-timeout-ms=300"]);
    let _does_not_read = server.viewer("a").await;
    let _says_nothing = TcpStream::connect(server.address).await.unwrap();
    let mut half_a_request = TcpStream::connect(server.address).await.unwrap();
    half_a_request.write_all(HANDSHAKE[0]).await.unwrap();
    let start = Instant::now();
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn idle_connections_do_not_hold_it() {
    let mut server = TestServer::with(&[PATIENT, "--header-timeout-ms=60000"]).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut idle).await.unwrap().status, 200);
    server.stop().await;
    assert!(answer(&mut idle).await.is_none(), "it was closed");
}

#[tokio::test]
async fn no_one_is_let_in_while_stopping() {
    let mut server = TestServer::with(&[PATIENT]).await;
    let mut anna = server.viewer("a").await;
    let mut late = TcpStream::connect(server.address).await.unwrap();
    late.write_all(HANDSHAKE[0]).await.unwrap();
    // Answered, so the server has read the half before it.
    server.expect_health().await;
    server.begin_stop();
    assert_eq!(anna.expect_close_code().await, 1001);
    let refused = TcpStream::connect(server.address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    // Whose request was under way is told to come back, and does not hold up the stop.
    late.write_all(HANDSHAKE[1]).await.unwrap();
    assert_eq!(answer(&mut late).await.map(|answer| answer.status), Some(503));
    anna.expect_end().await;
    server.stopped().await;
}

#[tokio::test]
async fn requests_under_way_are_answered() {
    let mut server = TestServer::of(waiter, &[PATIENT]).await;
    let client = *server;
    let request = tokio::spawn(async move { client.get("/parties/waiter/a").await });
    STARTED.notified().await;
    server.begin_stop();
    GO_ON.notify_one();
    assert_eq!(request.await.unwrap(), (200, "\"done\"".to_owned()));
    server.stopped().await;
}

#[tokio::test]
async fn a_stuck_room_does_not_hold_it() {
    let mut server = TestServer::of(waiter, &["--shutdown-timeout-ms=200", "--call-timeout-ms=200"]).await;
    assert_eq!(server.get("/parties/waiter/stuck").await.0, 504);
    server.stop().await;
}

#[tokio::test]
async fn the_folder_can_be_reopened_at_once() {
    let mut server = TestServer::with(&[PATIENT]).await;
    for number in 0..5 {
        let link = format!("link-{number}");
        let (mut anna, ben) = (server.viewer("a").await, server.viewer(&link).await);
        anna.subscribe(&[&link]).await;
        anna.expect_viewers(&link, 1).await;
        anna.close().await;
        ben.close().await;
        server.restart().await;
    }
    let links = server.get_json("/parties/page/a").await["connections"].clone();
    assert_eq!(links.as_object().unwrap().len(), 5, "{links}");
}

/// Two moments of the one request that waits.
static STARTED: Notify = Notify::const_new();
static GO_ON: Notify = Notify::const_new();

fn waiter() -> Server {
    Server::builder().party::<Waiter>("waiter")
}

/// Takes its time.
#[derive(Default)]
struct Waiter;

impl Party for Waiter {
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        if room.id() == "stuck" {
            std::future::pending::<()>().await;
        }
        STARTED.notify_one();
        GO_ON.notified().await;
        json_response(&"done")
    }
}
