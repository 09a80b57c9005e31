//! After a panic in a built-in party, all counts are right again within a moment.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use connection_counter::{
    Counter, Page, Server,
    party::{Connection, Lobby, Message, Party, Request, Response, Result, Room, RoomId},
};
use http::Method;
use serde_json::json;
use support::{Client, TestServer, wait_until};

const TOKEN: &[(&str, &str)] = &[("authorization", "Bearer secret")];

/// A built-in party that panics at a `PUT` of an operator.
#[derive(Default)]
struct Fragile<P>(P);

impl<P: Party + Sync> Party for Fragile<P> {
    fn room_id(id: &str) -> Result<RoomId> {
        P::room_id(id)
    }

    async fn on_before_connect(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        P::on_before_connect(request, lobby).await
    }

    async fn on_before_request(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        P::on_before_request(request, lobby).await
    }

    async fn on_start(&mut self, room: &mut Room) -> Result {
        self.0.on_start(room).await
    }

    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, request: &Request) -> Result {
        self.0.on_connect(room, connection, request).await
    }

    async fn on_message(&mut self, room: &mut Room, connection: &Connection, message: Message) -> Result {
        self.0.on_message(room, connection, message).await
    }

    async fn on_close(&mut self, room: &mut Room, connection: &Connection, code: u16, reason: &str) -> Result {
        self.0.on_close(room, connection, code, reason).await
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        assert!(request.method() != Method::PUT, "as asked");
        self.0.on_request(room, request).await
    }

    async fn on_tick(&mut self, room: &mut Room) -> Result {
        self.0.on_tick(room).await
    }

    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        self.0.on_alarm(room).await
    }
}

async fn start(args: &[&str]) -> TestServer {
    let parties = || Server::builder().party::<Fragile<Page>>("page").party::<Fragile<Counter>>("counter");
    TestServer::of(parties, &[&["--party-token=secret"], args].concat()).await
}

async fn make_panic(server: &Client, room: &str) {
    assert_eq!(server.request("PUT", &format!("/parties/{room}"), TOKEN, "").await.0, 500);
}

#[tokio::test]
async fn counts_and_subscriptions_are_restored_after_a_counter_panics() {
    let server = start(&[]).await;
    let _ben = server.viewer("b").await;
    let _other = server.viewer("b").await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("b", 2).await;
    make_panic(&server, "counter/all-pages").await;
    for (page, viewers) in [("a", 1), ("b", 2), ("c", 0)] {
        server.expect_counted("all-pages", page, viewers).await;
    }
    // Subscriptions are restored, too.
    let _cleo = server.viewer("c").await;
    anna.expect_viewers("c", 1).await;
}

#[tokio::test]
async fn a_counter_that_panicked_recovers_although_idle_rooms_leave_memory() {
    // With this setting the counter leaves memory soon.
    let server = start(&["--room-idle-ms=50"]).await;
    let _ben = server.viewer("b").await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("b", 1).await;
    make_panic(&server, "counter/all-pages").await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    server.expect_counted("all-pages", "b", 1).await;
    let _cleo = server.viewer("c").await;
    anna.expect_viewers("c", 1).await;
}

#[tokio::test]
async fn viewers_get_no_wrong_counts_when_a_counter_panics() {
    let server = start(&[]).await;
    let pages: Vec<String> = (0..10).map(|number| format!("page-{number}")).collect();
    let mut anna = server.viewer("a").await;
    anna.subscribe(&pages.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut there = Vec::new();
    for page in &pages {
        there.push(server.viewer(page).await);
        anna.expect_viewers(page, 1).await;
    }
    anna.updates.clear();
    make_panic(&server, "counter/all-pages").await;
    for page in &pages {
        server.expect_counted("all-pages", page, 1).await;
    }
    let _one_more = server.viewer("page-0").await;
    anna.expect_viewers("page-0", 2).await;
    assert_eq!(anna.updates, [json!({ "type": "update", "connections": { "page-0": 2 } })]);
}

#[tokio::test]
async fn peaks_are_kept_when_a_counter_panics() {
    let server = start(&[]).await;
    let _one = server.viewer("a").await;
    let two = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 2).await;
    two.close().await;
    server.expect_counted("all-pages", "a", 1).await;
    make_panic(&server, "counter/all-pages").await;
    server.expect_counted("all-pages", "a", 1).await;
    assert_eq!(server.get_json("/parties/counter/all-pages?detail").await["pages"]["a"]["peak"], 2);
}

#[tokio::test]
async fn viewers_of_a_page_that_panicked_are_counted_when_they_reconnect() {
    let server = start(&[]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    let mut ben = server.viewer("b").await;
    ben.subscribe(&["a"]).await;
    ben.expect_viewers("a", 1).await;
    make_panic(&server, "page/a").await;
    assert_eq!(anna.expect_close_code().await, 1011);
    anna.expect_end().await;
    ben.expect_viewers("a", 0).await;
    let mut anna = server.viewer("a").await;
    ben.expect_viewers("a", 1).await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 1).await;
}

#[tokio::test]
async fn a_page_that_panicked_has_no_subscriptions() {
    let server = start(&[]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    make_panic(&server, "page/a").await;
    anna.expect_end().await;
    // A page that never had viewers is listed only while a page is subscribed to it.
    wait_until("no one is subscribed to b", async || {
        server.get_json("/parties/counter/all-pages?detail").await["pages"]["b"].is_null()
    })
    .await;
    assert_eq!(server.get_json("/parties/page/a").await["connections"], json!({}));
}
