//! A room's connections: their data and tags, how they get messages and are closed, and how they stay open while their
//! room leaves memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use connection_counter::{
    Server,
    party::{Connection, Message, Party, Request, Response, Result, Room, json as json_response},
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{Client, TestServer, TestViewer, wait_until};
use tokio_tungstenite::tungstenite::Message as Frame;

/// Does what its connections ask for. `HIBERNATES` says whether it may leave memory while it has connections.
#[derive(Default)]
struct Hall<const HIBERNATES: bool> {
    /// How many messages it has had since it was loaded into memory.
    asked: u32,
    closes: Vec<Value>,
}

impl<const MAY_HIBERNATE: bool> Party for Hall<MAY_HIBERNATE> {
    const HIBERNATES: bool = MAY_HIBERNATE;

    fn connection_tags(&self, _: &Connection, request: &Request) -> Result<Vec<String>> {
        let tags = request.uri().query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("tags=")));
        Ok(tags.into_iter().flat_map(|tags| tags.split(',')).map(str::to_owned).collect())
    }

    async fn on_connect(&mut self, _: &mut Room, connection: &Connection, _: &Request) -> Result {
        connection.send(Message::text("\"welcome\""))
    }

    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        self.asked += 1;
        let Message::Text(text) = &message else {
            room.broadcast(&message, &[]);
            return Ok(());
        };
        match text.split_once(' ').unwrap_or((text, "")) {
            ("who", _) => {
                let tags: Vec<&str> = from.tags().collect();
                let state: Option<String> = from.state()?;
                from.send(Message::json(&json!([from.id(), from.uri().to_string(), tags, state, self.asked]))?)?;
            }
            ("keep", value) => from.set_state(&value)?,
            ("others", text) => room.broadcast(&Message::text(text), &[from]),
            ("tell", words) => {
                let (tag, text) = words.split_once(' ').unwrap();
                for connection in room.connections_with(tag) {
                    connection.send(Message::text(text))?;
                }
            }
            ("close", reason) => from.close(4321, reason)?,
            _ => {}
        }
        Ok(())
    }

    async fn on_error(&mut self, _: &mut Room, connection: &Connection, _: &str) -> Result {
        self.closes.push(json!([connection.id(), "error"]));
        Ok(())
    }

    async fn on_close(&mut self, room: &mut Room, connection: &Connection, code: u16, reason: &str) -> Result {
        self.closes.push(json!([connection.id(), code, reason, room.connections().count()]));
        Ok(())
    }

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        let ids: Vec<&str> = room.connections().map(Connection::id).collect();
        json_response(&json!({ "ids": ids, "closes": self.closes }))
    }
}

/// The rooms of a party that are in memory.
#[derive(Default)]
struct Census;

impl Party for Census {
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        let awake = |party| Ok::<_, connection_counter::Error>(room.parties().get(party)?.awake().len());
        json_response(&json!({ "hall": awake("hall")?, "light": awake("light")? }))
    }
}

async fn start() -> TestServer {
    let parties =
        || Server::builder().party::<Hall<false>>("hall").party::<Hall<true>>("light").party::<Census>("census");
    TestServer::of(parties, &["--room-idle-ms=50"]).await
}

/// A connection that has been greeted.
async fn enter(server: &Client, room: &str) -> TestViewer {
    let mut guest = server.connect(&format!("/parties/{room}"), &[]).await.unwrap();
    assert_eq!(guest.next().await, "welcome");
    guest
}

/// Id, URI, tags, state, and how many messages the room has had.
async fn who(guest: &mut TestViewer) -> Value {
    guest.send("who").await;
    guest.next().await
}

#[tokio::test]
async fn a_connection_has_the_id_and_uri_of_its_request() {
    let server = start().await;
    let mut named = enter(&server, "hall/a/sub%20path?_pk=anna%20b&x=1&_pk=other").await;
    assert_eq!(
        who(&mut named).await,
        json!(["anna b", "/parties/hall/a/sub%20path?_pk=anna%20b&x=1&_pk=other", [], null, 1])
    );
    let mut nameless = enter(&server, "hall/a").await;
    let mut other = enter(&server, "hall/a?_pk=").await;
    let ids = [who(&mut nameless).await[0].clone(), who(&mut other).await[0].clone()];
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.as_str().unwrap().len() == 36), "{ids:?}");
}

#[tokio::test]
async fn a_connection_keeps_its_state() {
    let server = start().await;
    let mut anna = enter(&server, "hall/a?_pk=anna").await;
    let mut ben = enter(&server, "hall/a?_pk=ben").await;
    anna.send("keep secret").await;
    assert_eq!(who(&mut anna).await[3], "secret");
    assert_eq!(who(&mut ben).await[3], Value::Null);
    // A value that is too large is refused, and the old one stays.
    anna.send(format!("keep {}", "x".repeat(3000))).await;
    assert_eq!(who(&mut anna).await[3], "secret");
}

#[tokio::test]
async fn connections_are_found_by_tag() {
    let server = start().await;
    let mut anna = enter(&server, "hall/a?_pk=anna&tags=red,blue").await;
    let mut ben = enter(&server, "hall/a?_pk=ben&tags=blue").await;
    let mut cleo = enter(&server, "hall/a?_pk=cleo").await;
    assert_eq!(who(&mut anna).await[2], json!(["red", "blue"]));
    cleo.send("tell red 1").await;
    cleo.send("tell blue 2").await;
    // An id is also a tag.
    cleo.send("tell cleo 3").await;
    assert_eq!([anna.next().await, anna.next().await, ben.next().await, cleo.next().await], [1, 2, 2, 3]);
}

#[tokio::test]
async fn too_many_tags_are_refused() {
    let server = start().await;
    let tags = |count: usize, bytes: usize| vec!["t".repeat(bytes); count].join(",");
    enter(&server, &format!("hall/a?tags={}", tags(9, 256))).await;
    for tags in [tags(10, 1), tags(1, 257), tags(2, 0)] {
        let mut guest = server.connect(&format!("/parties/hall/a?tags={tags}"), &[]).await.unwrap();
        let goodbye = guest.expect_close().await;
        assert_eq!(u16::from(goodbye.code), 1011, "{}", goodbye.reason);
    }
    assert_eq!(server.get_json("/parties/hall/a").await["ids"], json!([]));
}

#[tokio::test]
async fn a_broadcast_can_exclude_a_connection() {
    let server = start().await;
    let mut anna = enter(&server, "hall/a").await;
    let mut ben = enter(&server, "hall/a").await;
    let mut elsewhere = enter(&server, "hall/b").await;
    anna.send("others 7").await;
    assert_eq!(ben.next().await, 7);
    anna.socket.send(Frame::binary(vec![0, 255])).await.unwrap();
    for guest in [&mut anna, &mut ben] {
        assert_eq!(guest.socket.next().await.unwrap().unwrap(), Frame::binary(vec![0, 255]));
    }
    assert_eq!(who(&mut elsewhere).await[4], 1, "another room got nothing");
}

#[tokio::test]
async fn a_broadcast_reaches_the_others_when_one_connection_is_dead() {
    let server = start().await;
    let mut anna = enter(&server, "hall/a").await;
    let dead = enter(&server, "hall/a").await;
    let mut ben = enter(&server, "hall/a").await;
    drop(dead);
    anna.send("others 7").await;
    assert_eq!(ben.next().await, 7);
}

#[tokio::test]
async fn two_connections_can_have_the_same_id() {
    let server = start().await;
    let old = enter(&server, "hall/a?_pk=same").await;
    let mut new = enter(&server, "hall/a?_pk=same").await;
    let mut ben = enter(&server, "hall/a?_pk=ben").await;
    assert_eq!(server.get_json("/parties/hall/a").await["ids"], json!(["same", "same", "ben"]));
    drop(old);
    wait_until("the old one is gone", async || {
        server.get_json("/parties/hall/a").await["ids"] == json!(["same", "ben"])
    })
    .await;
    ben.send("tell same 1").await;
    assert_eq!(new.next().await, 1);
}

#[tokio::test]
async fn a_room_can_close_a_connection_with_code_and_reason() {
    let server = start().await;
    // This connection keeps the room in memory.
    let _witness = enter(&server, "hall/a").await;
    let mut anna = enter(&server, "hall/a?_pk=anna").await;
    anna.send("close because").await;
    let goodbye = anna.expect_close().await;
    assert_eq!((u16::from(goodbye.code), goodbye.reason.as_str()), (4321, "because"));
    anna.expect_end().await;
    expect_closes(&server, json!([["anna", 4321, "because", 1]])).await;
    let mut ben = enter(&server, "hall/a?_pk=ben").await;
    ben.send(format!("close {}", "ü".repeat(100))).await;
    // The reason is cut to fit into a close frame, between two characters.
    assert_eq!(ben.expect_close().await.reason.as_str(), "ü".repeat(61));
}

#[tokio::test]
async fn on_close_runs_once_for_each_connection_that_ends() {
    let server = start().await;
    let _witness = enter(&server, "hall/a").await;
    enter(&server, "hall/a?_pk=polite").await.close().await;
    // Only the witness is left by then.
    expect_closes(&server, json!([["polite", 1005, "", 1]])).await;
    drop(enter(&server, "hall/a?_pk=crashed").await);
    expect_closes(&server, json!([["polite", 1005, "", 1], ["crashed", "error"], ["crashed", 1006, "", 1]])).await;
}

async fn expect_closes(server: &Client, closes: Value) {
    wait_until(&format!("the room has seen {closes}"), async || {
        let seen = server.get_json("/parties/hall/a").await["closes"].clone();
        assert!(seen.as_array().unwrap().len() <= closes.as_array().unwrap().len(), "{seen}");
        // The reason of a broken connection comes from the operating system.
        let known =
            |entry: &Value| if entry[1] == 1006 { json!([entry[0], 1006, "", entry[3]]) } else { entry.clone() };
        seen.as_array().unwrap().iter().map(known).collect::<Value>() == closes
    })
    .await;
}

#[tokio::test]
async fn a_room_with_connections_stays_in_memory() {
    let server = start().await;
    let mut anna = enter(&server, "hall/a").await;
    assert_eq!(who(&mut anna).await[4], 1);
    let _light = enter(&server, "light/a").await;
    // This is longer than the idle time: a room of the other kind has left memory by then.
    wait_until("the other room has left", async || server.get_json("/parties/census/x").await["light"] == 0).await;
    assert_eq!(who(&mut anna).await[4], 2, "it remembers");
}

#[tokio::test]
async fn a_room_that_left_memory_keeps_its_connections() {
    let server = start().await;
    let mut anna = enter(&server, "light/a/sub?_pk=anna&tags=red").await;
    let mut ben = enter(&server, "light/a?_pk=ben").await;
    anna.send("keep secret").await;
    assert_eq!(who(&mut anna).await[4], 2);
    wait_until("the room has left memory", async || server.get_json("/parties/census/x").await["light"] == 0).await;
    assert_eq!(who(&mut anna).await, json!(["anna", "/parties/light/a/sub?_pk=anna&tags=red", ["red"], "secret", 1]));
    ben.send("tell red 7").await;
    assert_eq!(anna.next().await, 7);
    wait_until("the room has left memory", async || server.get_json("/parties/census/x").await["light"] == 0).await;
    // A close wakes the room, too.
    ben.close().await;
    wait_until("ben is gone", async || server.get_json("/parties/light/a").await["ids"] == json!(["anna"])).await;
}

#[tokio::test]
async fn connections_of_rooms_out_of_memory_get_a_close_frame_at_shutdown() {
    let mut server = start().await;
    let mut anna = enter(&server, "light/a").await;
    wait_until("the room has left memory", async || server.get_json("/parties/census/x").await["light"] == 0).await;
    server.begin_stop();
    assert_eq!(anna.expect_close_code().await, 1012);
    anna.expect_end().await;
    server.stopped().await;
}
