//! How a server stops: it closes its connections, writes its data, and ends in time.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    io,
    os::unix::net::UnixDatagram,
    process::Stdio,
    time::{Duration, Instant},
};

use connection_counter::{
    Server,
    party::{Party, Request, Response, Result, Room, json as json_response},
};
use futures_util::StreamExt;
use serde_json::json;
use support::{Binary, TestServer, answer};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};
use tokio_tungstenite::tungstenite::Message;

/// This is longer than any test waits. A server that needs all of it has not stopped in time.
const PATIENT: &str = "--shutdown-timeout-ms=60000";

/// The first half of a handshake, and the second.
const HANDSHAKE: [&[u8]; 2] = [
    b"GET /parties/page/a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n",
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
];

#[tokio::test]
async fn a_stopping_server_closes_all_viewers_with_1012() {
    let mut server = TestServer::with(&[PATIENT]).await;
    let mut viewers = Vec::new();
    for page in ["a", "a", "b", "example.org%2F"] {
        viewers.push(server.viewer(page).await);
    }
    server.begin_stop();
    for viewer in &mut viewers {
        let goodbye = viewer.expect_close().await;
        assert_eq!(u16::from(goodbye.code), 1012, "{}", goodbye.reason);
        viewer.expect_end().await;
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_stopping_server_closes_1000_viewers_a_second_and_sends_no_counts() {
    const CROWD: usize = 400;
    let mut server = TestServer::with(&[PATIENT]).await;
    let mut viewers = Vec::new();
    for _ in 0..CROWD {
        let mut viewer = server.viewer("a").await;
        viewer.subscribe(&["a"]).await;
        viewers.push(viewer);
    }
    for viewer in &mut viewers {
        viewer.expect_viewers("a", CROWD as u64).await;
    }
    let start = Instant::now();
    server.begin_stop();
    let left = futures_util::future::join_all(viewers.iter_mut().map(|viewer| async move {
        let first = viewer.socket.next().await;
        assert!(matches!(&first, Some(Ok(Message::Close(Some(close)))) if u16::from(close.code) == 1012), "{first:?}");
        let told_after = start.elapsed();
        viewer.expect_end().await;
        told_after
    }))
    .await;
    // A thousand are closed in a second, so the last one is closed after nearly 400 ms.
    let last = left.iter().max().unwrap();
    assert!(*last >= Duration::from_millis(390), "all had left after {last:?}");
    server.stopped().await;
}

#[tokio::test]
async fn term_int_quit_and_hup_stop_the_server_and_its_data_is_stored() {
    for signal in ["TERM", "INT", "QUIT", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut server = Binary::start(&data, &[PATIENT]);
        let mut anna = server.viewer("a").await;
        let mut ben = server.viewer("b").await;
        anna.subscribe(&["b"]).await;
        // These are for other servers, and end nothing.
        server.signal("USR1");
        server.signal("USR2");
        anna.expect_viewers("b", 1).await;
        server.signal(signal);
        assert_eq!(ben.expect_close_code().await, 1012);
        ben.expect_end().await;
        assert_eq!(anna.expect_close_code().await, 1012);
        anna.expect_end().await;
        let status = server.exit().await;
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
        // Values that were written just before are stored, and there are no viewers.
        let server = Binary::start(&data, &[]);
        let expected = json!({ "id": "a", "viewers": 0, "connections": { "b": 0 } });
        assert_eq!(server.get_json("/parties/page/a").await, expected);
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_server_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Binary::start(folder.path(), &[PATIENT]);
    let _does_not_read = server.viewer("a").await;
    server.signal("TERM");
    support::wait_until("it is stopping", async || TcpStream::connect(server.address).await.is_err()).await;
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(1));
}

#[tokio::test]
async fn a_draining_server_is_not_ready_and_still_serves() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Binary::start(folder.path(), &[PATIENT, "--drain-ms=2000", "--max-connections=500"]);
    let mut anna = server.viewer("a").await;
    assert_eq!(server.get("/readyz").await, (200, r#"{"status":"ready"}"#.to_owned()));
    assert_eq!(health(server.address).code(), Some(0));
    let start = Instant::now();
    server.signal("TERM");
    support::wait_until("it is not ready", async || server.get("/readyz").await.0 == 503).await;
    assert!(server.get("/readyz").await.1.contains("stopping"));
    assert_eq!(health(server.address).code(), Some(1));
    // Everything else goes on in that time.
    let mut ben = server.viewer("a").await;
    for viewer in [&mut anna, &mut ben] {
        viewer.expect_close_code().await;
        viewer.expect_end().await;
    }
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(server.exit().await.code(), Some(0));
    assert_eq!(health(server.address).code(), Some(1), "no one answers");
}

/// The exit status of `connection-counter health` for this server.
fn health(address: std::net::SocketAddr) -> std::process::ExitStatus {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_connection-counter"));
    let command = command.args(["health", "--listen", &address.to_string()]);
    // The answer is the exit code. That the output cannot be written changes nothing.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    command.stdout(full).stderr(Stdio::null()).status().unwrap()
}

#[tokio::test]
async fn a_low_limit_of_open_files_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let server = Binary::start(folder.path(), &["--max-connections=100000000"]);
    let readiness = server.get_json("/readyz").await;
    assert_eq!(readiness["status"], "degraded");
    assert!(readiness["reasons"][0].as_str().unwrap().contains("open files"), "{readiness}");
}

#[tokio::test]
async fn systemd_is_notified_and_its_socket_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let notified = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    notified.set_read_timeout(Some(support::DEADLINE)).unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();

    let mut command = with_sockets(folder.path(), socket.try_clone().unwrap().into(), 1);
    command.env("NOTIFY_SOCKET", folder.path().join("notify")).stderr(Stdio::null());
    let mut server = Binary::spawn(&mut command);
    assert_eq!(server.address, address, "the socket is the one it was given");
    assert_eq!(heard(&notified), "READY=1");
    server.expect_health().await;

    server.signal("TERM");
    assert_eq!(heard(&notified), "STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000");
    assert_eq!(server.exit().await.code(), Some(0));
    // A client that connects while no server runs waits in the socket. The next server answers it.
    assert!(TcpStream::connect(address).await.is_ok());
}

/// A command that starts the server as systemd does: sockets are the descriptors from 3 on, and the process knows its own id.
fn with_sockets(folder: &std::path::Path, socket: std::os::fd::OwnedFd, number: u32) -> std::process::Command {
    let mut command = std::process::Command::new("sh");
    let script = format!("LISTEN_PID=$$ LISTEN_FDS={number} exec \"$0\" --data \"$1\" 3<&0 4<&0 </dev/null");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_connection-counter")]).arg(folder.join("data"));
    command.stdin(Stdio::from(socket));
    command
}

#[test]
fn sockets_of_systemd_that_cannot_be_served_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let tcp = |address: &str| std::os::fd::OwnedFd::from(std::net::TcpListener::bind(address).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let unix = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    for (socket, number, hints) in [
        (tcp("127.0.0.1:0"), 2, ["holds 2", "leave one ListenStream="]),
        (unix.into(), 1, ["cannot use the socket that systemd holds", "ListenStream=127.0.0.1:1999"]),
        (connected.into(), 1, ["it does not listen", "Accept=no"]),
        (tcp("0.0.0.0:0"), 1, ["other machines can reach 0.0.0.0:", "--site"]),
    ] {
        let output = with_sockets(folder.path(), socket, number).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(hints.iter().all(|hint| said.contains(hint)), "{said}");
        assert!(!folder.path().join("data").exists(), "nothing was touched");
    }
}

/// The next message to systemd.
fn heard(notified: &UnixDatagram) -> String {
    let mut word = [0; 64];
    let length = notified.recv(&mut word).unwrap();
    String::from_utf8(word[..length].to_vec()).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn slow_clients_do_not_delay_the_stop_beyond_the_timeout() {
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
async fn idle_connections_do_not_delay_the_stop() {
    let mut server = TestServer::with(&[PATIENT, "--header-timeout-ms=60000"]).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut idle).await.unwrap().status, 200);
    server.stop().await;
    assert!(answer(&mut idle).await.is_none(), "it was closed");
}

#[tokio::test]
async fn a_stopping_server_refuses_new_connections_and_handshakes() {
    let mut server = TestServer::with(&[PATIENT]).await;
    let mut anna = server.viewer("a").await;
    let mut late = TcpStream::connect(server.address).await.unwrap();
    late.write_all(HANDSHAKE[0]).await.unwrap();
    // The server has answered this, so it has also read the half of a handshake that was sent before.
    server.expect_health().await;
    server.begin_stop();
    assert_eq!(anna.expect_close_code().await, 1012);
    // This may take a moment: a process that another test starts holds our sockets until it runs its own program.
    support::wait_until("new connections are refused", async || {
        let refused = TcpStream::connect(server.address).await.err();
        refused.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
    .await;
    // The client whose handshake was under way gets status 503, and does not delay the stop.
    late.write_all(HANDSHAKE[1]).await.unwrap();
    assert_eq!(answer(&mut late).await.map(|answer| answer.status), Some(503));
    anna.expect_end().await;
    server.stopped().await;
}

#[tokio::test]
async fn requests_under_way_are_answered_before_the_stop() {
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
async fn a_stuck_room_does_not_delay_the_stop() {
    let mut server = TestServer::of(waiter, &["--shutdown-timeout-ms=200", "--call-timeout-ms=200"]).await;
    assert_eq!(server.get("/parties/waiter/stuck").await.0, 504);
    server.stop().await;
}

#[tokio::test]
async fn a_server_can_restart_on_its_data_folder_at_once() {
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

/// Signals of the one request that waits: it has started, and it may go on.
static STARTED: Notify = Notify::const_new();
static GO_ON: Notify = Notify::const_new();

fn waiter() -> Server {
    Server::builder().party::<Waiter>("waiter")
}

/// Answers once `GO_ON` is notified. Its room `stuck` never answers.
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
