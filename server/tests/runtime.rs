//! What the runtime promises to parties: gatekeepers, names, hooks that fail or panic, and rooms that leave memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use connection_counter::{
    Config, Error, Page, Server, StartupError,
    party::{
        Connection, Lobby, Message, Party, Request, Response, Result, Room, json as json_response, refusal_in_words,
        text,
    },
};
use futures_util::SinkExt;
use http::{HeaderValue, Method, StatusCode};
use serde_json::json;
use support::{Client, TestServer, wait_until};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::{self, Message as Frame};

/// A party that fails in the named hook. The name is in the URL of a connection or request, or in a message.
#[derive(Default)]
struct Clumsy {
    /// Requests since it was loaded into memory.
    requests: u32,
}

/// Whether a slow `on_connect` has returned.
static GREETED: AtomicBool = AtomicBool::new(false);

/// A value that the parties get from the server.
#[derive(Clone)]
struct Motto(&'static str);

impl Clumsy {
    /// Fails or panics if `how` says that this hook should.
    fn stumble(how: &str, hook: &str) -> Result {
        if how.contains(&format!("panic-{hook}")) {
            panic!("as asked");
        }
        if how.contains(&format!("fail-{hook}")) { Err(Error::Party("as asked".into())) } else { Ok(()) }
    }
}

impl Party for Clumsy {
    async fn on_before_connect(mut request: Request, lobby: &Lobby) -> Result<Request, Response> {
        match request.uri().query() {
            Some("deny") => Err(text(StatusCode::UNAUTHORIZED, format!("no one enters {}", lobby.room_id()))),
            Some("panic-gate") => panic!("as asked"),
            Some("deny-in-words") => {
                Err(refusal_in_words(&Error::refused(StatusCode::FORBIDDEN, "this is not served here")))
            }
            Some("second-protocol") => {
                request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("chat.v1"));
                request.headers_mut().insert("x-user", HeaderValue::from_static("anna"));
                Ok(request)
            }
            _ => {
                request.headers_mut().insert("x-user", HeaderValue::from_static("anna"));
                Ok(request)
            }
        }
    }

    async fn on_before_request(mut request: Request, lobby: &Lobby) -> Result<Request, Response> {
        Self::stumble(request.uri().query().unwrap_or_default(), "gate")?;
        if request.uri().query() == Some("motto") {
            return Err(text(StatusCode::OK, lobby.setting::<Motto>()?.0));
        }
        if request.uri().query() == Some("deny") {
            Err(Error::refused(StatusCode::PAYMENT_REQUIRED, "pay first"))?;
        }
        request.headers_mut().insert("x-user", HeaderValue::from_static("anna"));
        Ok(request)
    }

    async fn on_start(&mut self, room: &mut Room) -> Result {
        let starts: u32 = room.storage().get("starts").await?.unwrap_or(0) + 1;
        room.storage().put("starts", &starts)?;
        if room.id() == "fails-to-start" && starts < 3 { Err(Error::Party("not yet".into())) } else { Ok(()) }
    }

    async fn on_connect(&mut self, _: &mut Room, connection: &Connection, request: &Request) -> Result {
        Self::stumble(request.uri().query().unwrap_or_default(), "connect")?;
        if request.uri().query() == Some("slow") {
            tokio::time::sleep(Duration::from_millis(100)).await;
            GREETED.store(true, Ordering::Relaxed);
        }
        connection.send(Message::json(&request.headers()["x-user"].to_str().unwrap())?)
    }

    async fn on_message(&mut self, _: &mut Room, connection: &Connection, message: Message) -> Result {
        if let Message::Text(text) = &message {
            Self::stumble(text, "message")?;
        }
        connection.send(message)
    }

    async fn on_close(&mut self, _: &mut Room, connection: &Connection, _: u16, _: &str) -> Result {
        Self::stumble(connection.uri().query().unwrap_or_default(), "close")
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        Self::stumble(request.uri().path(), "request")?;
        if request.uri().path().ends_with("/motto") {
            return Ok(text(StatusCode::OK, room.setting::<Motto>()?.0));
        }
        if request.uri().path().ends_with("/refuse-request") {
            return Err(Error::refused(StatusCode::IM_A_TEAPOT, "no coffee here"));
        }
        self.requests += 1;
        let starts: u32 = room.storage().get("starts").await?.unwrap();
        let awake: Vec<String> =
            room.parties().get("clumsy")?.awake().iter().map(|stub| stub.room_id().to_owned()).collect();
        let diaries = room.parties().get("now").map_or(0, |diaries| diaries.awake().len());
        let user = request.headers()["x-user"].to_str().unwrap();
        json_response(&json!({
            "requests": self.requests, "starts": starts, "awake": awake, "user": user, "diaries": diaries,
            "method": request.method().as_str(), "body": String::from_utf8_lossy(request.body()),
        }))
    }
}

/// Stores that it got a message, and answers whether it did.
#[derive(Default)]
struct Diary<const FORGETS: bool>;

impl<const FORGETFUL: bool> Party for Diary<FORGETFUL> {
    const FORGETS: bool = FORGETFUL;

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if request.method() == Method::POST {
            room.storage().put("told", &true)?;
        }
        json_response(&room.storage().get::<bool>("told").await?.unwrap_or_default())
    }
}

async fn start() -> TestServer {
    let parties = || Server::builder().party::<Clumsy>("clumsy").party::<Clumsy>("main");
    TestServer::of(parties, &["--room-idle-ms=50"]).await
}

/// The room's answer.
async fn ask(server: &Client, room: &str) -> serde_json::Value {
    server.get_json(&format!("/parties/clumsy/{room}")).await
}

/// The close code and reason of a refused connection.
async fn goodbye(server: &Client, path: &str) -> (u16, String) {
    let mut guest = server.connect(&format!("/parties/clumsy/{path}"), &[]).await.unwrap();
    let frame = guest.expect_close().await;
    (frame.code.into(), frame.reason.to_string())
}

#[tokio::test]
async fn a_refusal_by_an_on_before_hook_is_the_answer() {
    let server = start().await;
    match server.connect("/parties/clumsy/a?deny", &[]).await {
        Err(tungstenite::Error::Http(response)) => {
            assert_eq!(response.status(), 401);
            assert_eq!(response.body().as_deref(), Some(b"no one enters a".as_slice()));
        }
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(server.get("/parties/clumsy/a?deny").await, (402, "pay first".to_owned()));
    assert_eq!(ask(&server, "b").await["awake"], json!(["b"]), "the room was not started");
}

#[tokio::test]
async fn refusal_in_words_becomes_a_close_frame_with_the_reason() {
    let server = start().await;
    let (code, reason) = goodbye(&server, "a?deny-in-words").await;
    assert_eq!((code, reason.starts_with("this is not served here")), (1008, true), "{reason}");
    assert_eq!(ask(&server, "b").await["awake"], json!(["b"]), "the room was not started");
}

#[tokio::test]
async fn on_before_hooks_that_fail_or_panic_give_500() {
    let server = start().await;
    assert_eq!(server.get("/parties/clumsy/a?fail-gate").await, (500, "as asked".to_owned()));
    assert_eq!(server.get("/parties/clumsy/a?panic-gate").await.0, 500);
    assert_eq!(server.handshake_status("/parties/clumsy/a?panic-gate", &[]).await, 500);
    assert_eq!(ask(&server, "b").await["awake"], json!(["b"]), "the room was not started");
}

#[tokio::test]
async fn on_before_connect_can_choose_the_subprotocol() {
    let server = start().await;
    let offer = [("sec-websocket-protocol", "bearer.SECRET, chat.v1")];
    for (path, chosen) in [("a", "bearer.SECRET"), ("a?second-protocol", "chat.v1")] {
        let guest = server.connect(&format!("/parties/clumsy/{path}"), &offer).await.unwrap();
        assert_eq!(guest.response.headers()["sec-websocket-protocol"], chosen);
    }
}

#[tokio::test]
async fn headers_set_by_on_before_hooks_reach_the_room() {
    let server = start().await;
    let forged = [("x-user", "mallory")];
    let mut guest = server.connect("/parties/clumsy/a", &forged).await.unwrap();
    assert_eq!(guest.next().await, "anna");
    let answer = server.exchange("GET", "/parties/clumsy/a", &forged, "").await;
    assert_eq!(answer.json()["user"], "anna");
}

#[tokio::test]
async fn parties_can_read_values_given_to_server_with() {
    let with = || Server::builder().party::<Clumsy>("clumsy").with(Motto("not this")).with(Motto("boring first"));
    let server = TestServer::of(with, &[]).await;
    assert_eq!(server.get("/parties/clumsy/a/motto").await, (200, "boring first".to_owned()));
    assert_eq!(server.get("/parties/clumsy/a?motto").await, (200, "boring first".to_owned()));

    let without = TestServer::of(|| Server::builder().party::<Clumsy>("clumsy"), &[]).await;
    for path in ["/parties/clumsy/a/motto", "/parties/clumsy/a?motto"] {
        let (status, sentence) = without.get(path).await;
        assert!(status == 500 && sentence.contains("Motto") && sentence.contains("Server::with"), "{sentence}");
    }
}

#[tokio::test]
async fn a_program_can_set_the_assets_folder_and_the_flag_overrides_it() {
    let with_pages =
        || Server::builder().party::<Clumsy>("clumsy").assets(concat!(env!("CARGO_MANIFEST_DIR"), "/demo"));
    let server = TestServer::of(with_pages, &["--single-page"]).await;
    assert_eq!((server.get("/style.css").await.0, server.get("/Cargo.toml").await.0), (200, 404));
    let elsewhere = TestServer::of(with_pages, &["--assets", env!("CARGO_MANIFEST_DIR")]).await;
    assert_eq!((elsewhere.get("/style.css").await.0, elsewhere.get("/Cargo.toml").await.0), (404, 200));
}

#[tokio::test]
async fn every_method_reaches_the_room() {
    let server = start().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = server.exchange(method, "/parties/clumsy/a/deep/path?q", &[], "body").await;
        let json = answer.json();
        assert_eq!((&json["method"], &json["body"]), (&json!(method), &json!("body")));
    }
}

#[tokio::test]
async fn party_and_parties_main_lead_to_the_same_room() {
    let server = start().await;
    assert_eq!(server.get_json("/party/a").await["requests"], 1);
    assert_eq!(server.get_json("/parties/main/a").await["requests"], 2);
    assert_eq!(server.get_json("/party/a/sub").await["requests"], 3);
    assert_eq!(server.handshake_status("/party/a", &[]).await, 101);
}

#[tokio::test]
async fn the_handshake_waits_for_on_connect() {
    let server = start().await;
    let mut guest = server.connect("/parties/clumsy/a?slow", &[]).await.unwrap();
    assert!(GREETED.load(Ordering::Relaxed));
    assert_eq!(guest.next().await, "anna");
}

#[tokio::test]
async fn an_error_in_on_connect_closes_the_connection_with_its_text() {
    let server = start().await;
    let mut other = server.connect("/parties/clumsy/a", &[]).await.unwrap();
    assert_eq!(goodbye(&server, "a?fail-connect").await, (1011, "as asked".to_owned()));
    assert_eq!(other.next().await, "anna", "the other connection is not affected");
}

#[tokio::test]
async fn an_error_in_on_message_leaves_the_connection_open() {
    let server = start().await;
    let mut guest = server.connect("/parties/clumsy/a", &[]).await.unwrap();
    guest.next().await;
    guest.send("fail-message").await;
    guest.send("7").await;
    assert_eq!(guest.next().await, 7);
}

#[tokio::test]
async fn an_error_in_on_request_is_answered_with_500() {
    let server = start().await;
    assert_eq!(server.get("/parties/clumsy/a/fail-request").await, (500, "as asked".to_owned()));
    assert_eq!(ask(&server, "a").await["requests"], 1);
}

#[tokio::test]
async fn error_refused_in_on_request_sets_status_and_text() {
    let server = start().await;
    assert_eq!(server.get("/parties/clumsy/a/refuse-request").await, (418, "no coffee here".to_owned()));
}

#[tokio::test]
async fn a_failed_on_start_is_tried_again_at_the_next_use() {
    let server = start().await;
    assert_eq!(server.get("/parties/clumsy/fails-to-start").await, (500, "not yet".to_owned()));
    assert_eq!(goodbye(&server, "fails-to-start").await, (1011, "not yet".to_owned()));
    assert_eq!(ask(&server, "fails-to-start").await["starts"], 3);
}

#[tokio::test]
async fn a_panic_restarts_its_own_room_only() {
    let server = start().await;
    let mut guest = server.connect("/parties/clumsy/a", &[]).await.unwrap();
    let mut elsewhere = server.connect("/parties/clumsy/b", &[]).await.unwrap();
    assert_eq!(ask(&server, "a").await["requests"], 1);
    guest.send("panic-message").await;
    assert_eq!(guest.expect_close_code().await, 1011);
    let afresh = ask(&server, "a").await;
    assert_eq!((&afresh["requests"], &afresh["starts"]), (&json!(1), &json!(2)));
    assert_eq!(elsewhere.next().await, "anna");
    elsewhere.send("7").await;
    assert_eq!(elsewhere.next().await, 7);
    assert_eq!(server.handshake_status("/parties/clumsy/a", &[]).await, 101);
}

#[tokio::test]
async fn a_room_serves_again_after_a_panic_in_any_hook() {
    let server = start().await;
    let mut guest = server.connect("/parties/clumsy/a", &[]).await.unwrap();
    guest.next().await;
    assert_eq!(server.get("/parties/clumsy/a/panic-request").await.0, 500);
    assert_eq!(guest.expect_close_code().await, 1011);
    assert_eq!(goodbye(&server, "a?panic-connect").await.0, 1011);
    let mut guest = server.connect("/parties/clumsy/a", &[]).await.unwrap();
    assert_eq!(guest.next().await, "anna");
    drop(server.connect("/parties/clumsy/a?panic-close", &[]).await.unwrap());
    assert_eq!(guest.expect_close_code().await, 1011);
    wait_until("the room serves again", async || server.get("/parties/clumsy/a").await.0 == 200).await;
    server.expect_health().await;
}

#[tokio::test]
async fn an_idle_room_leaves_memory_and_starts_again_when_needed() {
    let server = start().await;
    assert_eq!(ask(&server, "a").await["starts"], 1);
    let awake = async || ask(&server, "b").await["awake"].as_array().unwrap().contains(&json!("a"));
    wait_until("the room has left memory", async || !awake().await).await;
    let back = ask(&server, "a").await;
    assert_eq!((&back["requests"], &back["starts"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn binary_messages_arrive_whole() {
    use futures_util::StreamExt;
    let server = start().await;
    let mut guest = server.connect("/parties/clumsy/a", &[]).await.unwrap();
    guest.next().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(16 * 1024).collect();
    guest.socket.send(Frame::binary(bytes.clone())).await.unwrap();
    assert_eq!(guest.socket.next().await.unwrap().unwrap(), Frame::binary(bytes));
}

#[tokio::test]
async fn a_party_that_forgets_loses_its_data_only_at_a_server_start() {
    let parties = || {
        let server = Server::builder().party::<Diary<true>>("now").party::<Diary<false>>("now-and-then");
        server.party::<Clumsy>("clumsy")
    };
    let mut server = TestServer::of(parties, &["--room-idle-ms=10"]).await;
    for diary in ["now/a", "now/b", "now-and-then/a"] {
        server.exchange("POST", &format!("/parties/{diary}"), &[], "").await;
    }
    let asleep = async || server.get_json("/parties/clumsy/a").await["diaries"] == json!(0);
    wait_until("all have left memory", asleep).await;
    for diary in ["now/a", "now/b", "now-and-then/a"] {
        assert_eq!(server.get_json(&format!("/parties/{diary}")).await, true, "{diary} was only asleep");
    }
    server.restart().await;
    for (diary, told) in [("now/a", false), ("now/b", false), ("now-and-then/a", true)] {
        assert_eq!(server.get_json(&format!("/parties/{diary}")).await, told, "{diary}");
    }
}

/// Why a server with these parties does not start.
async fn refusal(server: Server) -> StartupError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.data = folder.path().to_owned();
    server.run(listener, config, std::future::pending()).await.unwrap_err()
}

#[tokio::test]
async fn bad_party_names_stop_the_start() {
    for name in ["", "Page", "my party", "a/b", "ü"] {
        let error = refusal(Server::builder().party::<Page>(name)).await;
        assert!(matches!(error, StartupError::Party { name: bad, .. } if bad == name), "{error}");
    }
    let error = refusal(Server::builder().party::<Page>("a").party::<Clumsy>("b").party::<Clumsy>("a")).await;
    assert!(matches!(error, StartupError::Party { name: "a", .. }), "{error}");
    assert!(matches!(refusal(Server::builder()).await, StartupError::NoParty));
}

/// A party that never starts.
#[derive(Default)]
struct Hopeless;

static STARTS: AtomicU32 = AtomicU32::new(0);

impl Party for Hopeless {
    async fn on_start(&mut self, _: &mut Room) -> Result {
        STARTS.fetch_add(1, Ordering::Relaxed);
        panic!("as always");
    }
}

#[tokio::test]
async fn a_room_whose_start_fails_waits_longer_before_each_try() {
    let server = TestServer::of(|| Server::builder().party::<Hopeless>("hopeless"), &[]).await;
    let start = Instant::now();
    assert_eq!(server.get("/parties/hopeless/a").await.0, 500);
    // After half a second, and then after one second.
    wait_until("it has tried three times", async || STARTS.load(Ordering::Relaxed) == 3).await;
    assert!(start.elapsed() >= Duration::from_millis(1400), "{:?}", start.elapsed());
}
