//! Rooms reach each other with calls, messages and sockets. A call fails if it would make rooms wait for themselves.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::sync::LazyLock;

use connection_counter::{
    Server,
    party::{Connection, Lobby, Message, Party, Request, Response, Result, Room, json as json_response, text},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Client, TestServer, wait_until};
use tokio::sync::Barrier;

/// Two rooms wait here until both are about to call each other.
static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

/// `/parties/walker/a/b/c`: room a calls room b, and b calls room c.
#[derive(Default)]
struct Walker;

impl Party for Walker {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if request.uri().query() == Some("meet") {
            MEETING.wait().await;
        }
        let way = request.uri().path().splitn(5, '/').nth(4).unwrap_or_default();
        let (next, rest) = way.split_once('/').unwrap_or((way, ""));
        if next.is_empty() {
            return json_response(&room.id());
        }
        let mut call = Request::default();
        *call.uri_mut() = format!("/{rest}").parse().unwrap();
        room.parties().get("walker")?.room(next)?.fetch(call).await
    }
}

/// Returns the request in detail. Its gatekeeper refuses requests from outside.
#[derive(Default)]
struct Mirror;

impl Party for Mirror {
    async fn on_before_request(_: Request, _: &Lobby) -> Result<Request, Response> {
        Err(text(StatusCode::UNAUTHORIZED, "rooms only"))
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let header = request.headers().get("x-from").map(|value| value.to_str().unwrap());
        let (method, uri) = (request.method().as_str(), request.uri().to_string());
        let mut response = json_response(&json!([room.id(), method, uri, header, body]))?;
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        Ok(response)
    }
}

/// Calls the mirror, an unknown party, a bad room or a bad path, as the last part of the request's path says.
#[derive(Default)]
struct Asker;

impl Party for Asker {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let how = request.uri().path().rsplit('/').next().unwrap_or_default();
        let party = if how == "unknown" { "nothing" } else { "mirror" };
        let id = if how == "bad-room" { "" } else { "a b/ü" };
        if how == "listen" {
            let mut socket = room.parties().get(party)?.room(id)?.socket(Request::default()).await?;
            return json_response(&socket.recv().await?.is_some());
        }
        let uri = if how == "bad-path" { "*" } else { "/path?query=1" };
        let call = http::Request::builder().method(Method::PUT).uri(uri).header("x-from", "asker");
        room.parties().get(party)?.room(id)?.fetch(call.body("body".into()).unwrap()).await
    }
}

/// Records the messages that it gets. `/tell/100` makes it send a hundred messages to the room `notes`.
#[derive(Default)]
struct Teller {
    notes: Vec<u64>,
}

impl Party for Teller {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let mut words = request.uri().path().split('/').skip(4);
        match (words.next(), words.next()) {
            (Some("tell"), Some(count)) => {
                for number in 0..count.parse::<u64>().unwrap() {
                    let mut note = Request::default();
                    *note.uri_mut() = format!("/note/{number}").parse().unwrap();
                    room.parties().get("teller")?.room("notes")?.send(note)?;
                }
            }
            (Some("note"), Some(number)) => self.notes.push(number.parse().unwrap()),
            _ => {}
        }
        json_response(&self.notes)
    }
}

/// `/parties/phone/a` opens a connection to the room `b` of this party, sends a message, and returns the answer.
#[derive(Default)]
struct Phone {
    closes: Vec<(u16, String)>,
}

impl Party for Phone {
    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        let Message::Text(text) = message else { return Ok(()) };
        if text.as_str() == "call me" {
            let back = room.parties().get("phone")?.room("a")?.fetch(Request::default()).await;
            from.send(Message::text(back.map_or_else(|error| error.to_string(), |_| "you answered".to_owned())))?;
        }
        from.send(Message::text(format!("{} said {text} at {}", from.id(), from.uri())))?;
        from.close(4000, "enough")
    }

    async fn on_close(&mut self, _: &mut Room, _: &Connection, code: u16, reason: &str) -> Result {
        self.closes.push((code, reason.to_owned()));
        Ok(())
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if request.uri().path().ends_with("/closes") {
            return json_response(&self.closes);
        }
        let mut call = Request::default();
        *call.uri_mut() = "/sub?_pk=caller".parse().unwrap();
        let mut socket = room.parties().get("phone")?.room("b")?.socket(call).await?;
        let said = if request.uri().path().ends_with("/call-me") { "call me" } else { "hello" };
        socket.send(Message::text(said))?;
        let mut heard = Vec::new();
        while let Some(Message::Text(text)) = socket.recv().await? {
            heard.push(text.to_string());
        }
        json_response(&heard)
    }
}

fn parties() -> Server {
    Server::builder()
        .party::<Walker>("walker")
        .party::<Mirror>("mirror")
        .party::<Asker>("asker")
        .party::<Teller>("teller")
        .party::<Phone>("phone")
}

async fn start() -> TestServer {
    TestServer::of(parties, &[]).await
}

/// The status and text of a walk.
async fn walk(server: &Client, way: &str) -> (u16, String) {
    server.get(&format!("/parties/walker/{way}")).await
}

#[tokio::test]
async fn a_call_keeps_its_method_path_headers_and_body() {
    let server = start().await;
    let (status, body) = server.get("/parties/asker/x/ask").await;
    assert_eq!(status, 418, "{body}");
    let heard: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(heard, json!(["a b/ü", "PUT", "/parties/mirror/a%20b%2F%C3%BC/path?query=1", "asker", "body"]));
}

#[tokio::test]
async fn calls_between_rooms_skip_on_before_request() {
    let server = start().await;
    assert_eq!(server.get("/parties/mirror/a%20b%2F%C3%BC/path").await, (401, "rooms only".to_owned()));
    let status = server.handshake_status("/parties/mirror/a%20b%2F%C3%BC/path", &[]).await;
    assert_eq!(status, 401, "by default, `on_before_connect` calls `on_before_request`");
    assert_eq!(server.get("/parties/asker/x/ask").await.0, 418);
}

#[tokio::test]
async fn waiting_for_a_silent_room_ends_with_the_call_timeout() {
    let server = TestServer::of(parties, &["--call-timeout-ms=200"]).await;
    // This call skips the gatekeeper. Otherwise there would be nothing to wait for.
    assert_eq!(server.get("/parties/asker/x/listen").await.0, 504);
    wait_until("the room gives up", async || server.get("/parties/asker/x/ask").await.0 == 418).await;
}

#[tokio::test]
async fn calls_to_unknown_parties_bad_rooms_or_bad_paths_fail() {
    let server = start().await;
    for (how, hint) in
        [("unknown", "\"nothing\" not found"), ("bad-room", "empty"), ("bad-path", "\"*\" is not a path")]
    {
        let (status, sentence) = server.get(&format!("/parties/asker/x/{how}")).await;
        assert!(status >= 400 && sentence.contains(hint), "{how}: {status} {sentence}");
    }
}

#[tokio::test]
async fn a_room_that_waits_on_a_socket_cannot_be_called_back() {
    let server = start().await;
    let heard = server.get_json("/parties/phone/a/call-me").await;
    let refusal = heard[0].as_str().unwrap();
    assert!(refusal.contains("phone/b → phone/a → phone/b"), "{refusal}");
}

#[tokio::test]
async fn calls_can_pass_through_many_rooms() {
    let server = start().await;
    assert_eq!(walk(&server, "a/b/c/d/e/f").await, (200, "\"f\"".to_owned()));
    // Calls in both directions are not a circle if one ends before the other begins.
    assert_eq!(walk(&server, "a/b").await.0, 200);
    assert_eq!(walk(&server, "b/a").await.0, 200);
}

#[tokio::test]
async fn a_room_that_calls_itself_gets_an_error() {
    let server = start().await;
    let (status, sentence) = walk(&server, "a/a").await;
    assert_eq!(status, 500);
    assert!(sentence.ends_with("walker/a → walker/a"), "{sentence}");
    assert_eq!(walk(&server, "a/b").await.0, 200, "the room still answers");
}

#[tokio::test]
async fn a_call_back_to_a_room_that_waits_for_it_fails() {
    let server = start().await;
    for (way, chain) in
        [("a/b/a", "walker/b → walker/a → walker/b"), ("a/b/c/a", "walker/c → walker/a → walker/b → walker/c")]
    {
        let (status, sentence) = walk(&server, way).await;
        assert_eq!(status, 500);
        assert!(sentence.ends_with(chain), "{sentence}");
    }
    assert_eq!(walk(&server, "b/a").await.0, 200, "the rooms still answer");
}

#[tokio::test]
async fn one_of_two_rooms_that_call_each_other_fails_at_once() {
    let server = start().await;
    let one = walk(&server, "a/b?meet");
    let other = walk(&server, "b/a?meet");
    let (one, other) = tokio::join!(one, other);
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    // One of them fails at once, because the other already waits. It does not wait for the deadline.
    assert_eq!(statuses, [200, 500], "{one:?} {other:?}");
    assert!(one.1.contains("→") || other.1.contains("→"), "{one:?} {other:?}");
}

#[tokio::test]
async fn many_calls_between_the_same_rooms_all_end() {
    let server = start().await;
    // The last three always call a room that already waits.
    let ways = ["a/b/c", "b/c/a", "c/a/b", "a/c", "c/b", "b/a", "a/a", "a/b/a", "b/c/a/b"];
    let calls: Vec<_> = (0..180)
        .map(|number| {
            let client = *server;
            let way = ways[number % ways.len()];
            tokio::spawn(async move { (way, walk(&client, way).await) })
        })
        .collect();
    for call in calls {
        let (way, (status, sentence)) = call.await.unwrap();
        let comes_back = ways[6..].contains(&way);
        assert!((status == 200 && !comes_back) || sentence.contains("→"), "{way}: {status} {sentence}");
    }
    assert_eq!(walk(&server, "a/b/c").await.0, 200, "no room still waits");
}

#[tokio::test]
async fn messages_arrive_in_order() {
    let server = start().await;
    assert_eq!(server.get("/parties/teller/a/tell/200").await.0, 200);
    let expected: Vec<u64> = (0..200).collect();
    wait_until("all have arrived", async || server.get_json("/parties/teller/notes").await == json!(expected)).await;
}

#[tokio::test]
async fn a_room_can_send_messages_to_itself() {
    let server = start().await;
    assert_eq!(server.get("/parties/teller/notes/tell/3").await.0, 200);
    wait_until("all have arrived", async || server.get_json("/parties/teller/notes").await == json!([0, 1, 2])).await;
}

#[tokio::test]
async fn rooms_open_sockets_to_each_other() {
    let server = start().await;
    assert_eq!(
        server.get_json("/parties/phone/a").await,
        json!(["caller said hello at /parties/phone/b/sub?_pk=caller"])
    );
    wait_until("the other room knows that it is over", async || {
        server.get_json("/parties/phone/b/closes").await == json!([[4000, "enough"]])
    })
    .await;
}

#[tokio::test]
async fn a_room_cannot_open_a_socket_to_itself() {
    let server = start().await;
    let (status, sentence) = server.get("/parties/phone/b").await;
    assert_eq!(status, 500);
    assert!(sentence.ends_with("phone/b → phone/b"), "{sentence}");
}
