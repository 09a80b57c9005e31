//! The defects of PartyKit's connection-counter example, with a test for each. None may come back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::time::Duration;

use connection_counter::{
    Counter, Page, Server,
    party::{Party, Request, Response, Result, Room},
};
use serde_json::{Value, json};
use support::{Client, TestServer, wait_until};

/// The header of a client with the party token.
const TOKEN: &[(&str, &str)] = &[("authorization", "Bearer secret")];
const WITH_TOKEN: &[&str] = &["--party-token", "secret"];
/// Viewers that do not read cannot answer a close frame. The stopping server need not wait for them.
const IMPATIENT: &[&str] = &["--shutdown-timeout-ms", "100"];

/// Everything that anyone can see of the pages a and b.
async fn everything(server: &Client) -> [Value; 3] {
    [
        server.get_json("/parties/counter/all-pages?detail").await,
        server.get_json("/parties/page/a").await,
        server.get_json("/parties/page/b").await,
    ]
}

#[tokio::test]
async fn forged_requests_change_nothing() {
    let server = TestServer::with(WITH_TOKEN).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    server.expect_counted("all-pages", "a", 1).await;
    let before = everything(&server).await;
    let paths = ["counter/all-pages", "counter/all-pages/sub", "page/a", "page/a?detail", "page/b/x/y"];
    let bodies = [
        r#"{"action":"update","id":"b","connectionCount":999999}"#,
        r#"{"action":"update","connections":{"b":999999}}"#,
        r#"{"action":"subscribe","subscriberId":"a","subscribeToRoomIds":["x","y"]}"#,
        r#"{"action":"unsubscribe","subscriberId":"a","unsubscribeFromRoomIds":["b"]}"#,
        r#"{"action":"resync"}"#,
    ];
    let mut answers = Vec::new();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for path in paths {
            for body in bodies {
                let wrong_token = [("authorization", "Bearer guess")];
                let answer = server.request(method, &format!("/parties/{path}"), &wrong_token, body).await;
                answers.push((method, path, body, answer.0));
            }
        }
    }
    answers.retain(|(.., status)| *status != 403);
    assert_eq!(answers, []);
    assert_eq!(everything(&server).await, before);
    anna.expect_silence(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn cleanup_keeps_subscribers_of_quiet_pages() {
    let server = TestServer::with(&["--cleanup-interval-ms", "50", "--forget-after-ms", "0"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["quiet"]).await;
    anna.expect_viewers("quiet", 0).await;
    for page in ["quiet", "unwatched"] {
        let visitor = server.viewer(page).await;
        server.expect_counted("all-pages", page, 1).await;
        visitor.close().await;
        server.expect_counted("all-pages", page, 0).await;
    }
    let known =
        async |page: &str| server.get_json("/parties/counter/all-pages?detail").await["pages"][page].is_object();
    wait_until("a clean-up has run", async || !known("unwatched").await).await;
    assert!(known("quiet").await && known("a").await, "watched and viewed pages stay");
    let _ben = server.viewer("quiet").await;
    anna.expect_viewers("quiet", 1).await;
}

#[tokio::test]
async fn a_page_without_viewers_ends_its_subscriptions() {
    let server = TestServer::with(&["--cleanup-interval-ms", "50"]).await;
    for number in 0..20 {
        let mut passer_by = server.viewer(&format!("page-{number}")).await;
        passer_by.subscribe(&["popular"]).await;
        passer_by.expect_viewers("popular", 0).await;
        passer_by.close().await;
    }
    // A page that never had viewers is listed only while a page is subscribed to it.
    let listed = async || server.get_json("/parties/counter/all-pages?detail").await["pages"]["popular"].is_object();
    wait_until("no one is subscribed", async || !listed().await).await;
    // The page forgets the link, too, at its next clean-up.
    let remembered = async || server.get_json("/parties/page/page-0").await["connections"]["popular"].is_number();
    wait_until("the link is forgotten", async || !remembered().await).await;
}

#[tokio::test]
async fn successful_requests_are_answered_with_200() {
    let server = TestServer::with(WITH_TOKEN).await;
    let post = async |path, body: Value| server.exchange("POST", path, TOKEN, &body.to_string()).await;
    let update =
        post("/parties/counter/all-pages", json!({ "action": "update", "id": "b", "connectionCount": 3 })).await;
    assert_eq!((update.status, update.text()), (200, r#"{"success":true}"#.to_owned()));
    let subscribe = json!({ "action": "subscribe", "subscriberId": "a", "subscribeToRoomIds": ["b", "c"] });
    let counts = post("/parties/counter/all-pages", subscribe).await;
    assert_eq!((counts.status, counts.json()), (200, json!({ "b": 3, "c": 0 })));
    let unsubscribe = json!({ "action": "unsubscribe", "subscriberId": "a", "unsubscribeFromRoomIds": ["b"] });
    assert_eq!(post("/parties/counter/all-pages", unsubscribe).await.json(), json!({ "success": true }));
    let told = post("/parties/page/a", json!({ "action": "update", "connections": { "c": 1 } })).await;
    assert_eq!((told.status, told.json()), (200, json!({ "success": true })));
}

#[tokio::test]
async fn links_of_two_viewers_of_a_page_do_not_replace_each_other() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("c", 0).await;
    let mut alex = server.viewer("a").await;
    alex.subscribe(&["d"]).await;
    alex.expect_viewers("d", 0).await;
    assert_eq!(server.get_json("/parties/page/a").await["connections"], json!({ "b": 0, "c": 0, "d": 0 }));
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
}

#[tokio::test]
async fn an_update_contains_only_the_page_that_changed() {
    let server = TestServer::start().await;
    let links: Vec<String> = (0..200).map(|number| format!("page-{number}")).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let mut anna = server.viewer("a").await;
    anna.subscribe(&links).await;
    anna.expect_viewers("page-199", 0).await;
    let _ben = server.viewer("page-7").await;
    assert_eq!(anna.next().await, json!({ "type": "update", "connections": { "page-7": 1 } }));
}

#[tokio::test]
async fn the_handshake_does_not_wait_for_counters() {
    // A client that must wait for the counter gets status 504 instead of 101.
    let server = TestServer::of(with_stuck_site, &["--call-timeout-ms", "2000"]).await;
    let mut anna = server.viewer("stuck.example%2Fa").await;
    anna.subscribe(&["stuck.example/b"]).await;
    assert_eq!(server.handshake_status("/parties/page/stuck.example%2Fa", &[]).await, 101);
}

#[tokio::test]
async fn a_stuck_counter_does_not_hold_up_other_sites() {
    let server = TestServer::of(with_stuck_site, &[]).await;
    let mut anna = server.viewer("stuck.example%2Fa").await;
    anna.subscribe(&["stuck.example/b", "example.org/b"]).await;
    anna.expect_viewers("example.org/b", 0).await;
    let _ben = server.viewer("example.org%2Fb").await;
    anna.expect_viewers("example.org/b", 1).await;
}

/// The built-in parties, but the counter of one site never answers.
fn with_stuck_site() -> Server {
    Server::builder().party::<Page>("page").party::<StuckForOne>("counter")
}

#[derive(Default)]
struct StuckForOne(Counter);

impl Party for StuckForOne {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if room.id() == "stuck.example" {
            std::future::pending::<()>().await;
        }
        self.0.on_request(room, request).await
    }

    async fn on_tick(&mut self, room: &mut Room) -> Result {
        self.0.on_tick(room).await
    }
}

#[tokio::test]
async fn a_report_with_an_older_sequence_number_is_ignored() {
    let server = TestServer::with(WITH_TOKEN).await;
    let report = async |count: u32, sequence: u64| {
        let body = json!({ "action": "update", "id": "b", "connectionCount": count, "sequence": sequence });
        server.request("POST", "/parties/counter/all-pages", TOKEN, &body.to_string()).await.0
    };
    assert_eq!([report(5, 20).await, report(9, 10).await], [200, 200]);
    server.expect_counted("all-pages", "b", 5).await;
    assert_eq!(report(6, 21).await, 200);
    server.expect_counted("all-pages", "b", 6).await;
}

#[tokio::test]
async fn an_update_with_an_older_sequence_number_does_not_replace_newer_counts() {
    let server = TestServer::with(WITH_TOKEN).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("b", 0).await;
    let tell = async |counts: Value, sequence: u64| {
        let body = json!({ "action": "update", "connections": counts, "sequence": sequence });
        server.request("POST", "/parties/page/a", TOKEN, &body.to_string()).await.0
    };
    // This is higher than all numbers that the counter has used.
    assert_eq!(tell(json!({ "b": 7 }), 1_000_000).await, 200);
    assert_eq!(tell(json!({ "b": 3, "c": 4 }), 999_999).await, 200);
    anna.expect_viewers("c", 4).await;
    assert_eq!(anna.counts["b"], 7);
}

#[tokio::test]
async fn a_connection_lost_without_a_close_frame_is_counted_out() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    let ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    // There is no close frame, as after a browser's crash.
    drop(ben);
    anna.expect_viewers("b", 0).await;
}

#[tokio::test]
async fn malformed_messages_and_bodies_get_an_error() {
    let server = TestServer::with(WITH_TOKEN).await;
    let mut anna = server.viewer("a").await;
    anna.send("{not json").await;
    anna.expect_error("bad-message").await;
    for path in ["/parties/counter/all-pages", "/parties/page/a"] {
        for body in ["{not json", "", "[]", r#"{"action":"no such action"}"#, r#"{"action":"update","id":7}"#] {
            let (status, sentence) = server.request("POST", path, TOKEN, body).await;
            assert_eq!(status, 400, "{body}: {sentence}");
        }
    }
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
}

#[tokio::test]
async fn counts_that_are_not_whole_numbers_are_400() {
    let server = TestServer::with(WITH_TOKEN).await;
    for count in ["-1", "1.5", "4294967296", "\"3\"", "null", "{}"] {
        let body = format!(r#"{{"action":"update","id":"b","connectionCount":{count}}}"#);
        assert_eq!(server.request("POST", "/parties/counter/all-pages", TOKEN, &body).await.0, 400, "{count}");
    }
    assert_eq!(server.get_json("/parties/counter/all-pages").await, json!({ "pages": {} }));
}

#[tokio::test]
async fn links_beyond_the_limit_of_a_connection_are_refused() {
    let server = TestServer::with(&["--max-links-per-connection", "3"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c", "d", "e", "f"]).await;
    let sentence = anna.expect_error("too-many-links").await;
    assert!(sentence.starts_with("2 links"), "{sentence}");
    anna.expect_viewers("d", 0).await;
    assert_eq!(server.get_json("/parties/page/a").await["connections"], json!({ "b": 0, "c": 0, "d": 0 }));
}

#[tokio::test]
async fn more_links_than_fit_into_one_stored_value_survive_a_restart() {
    let mut server = TestServer::with(&[IMPATIENT, &["--party-token", "secret"]].concat()).await;
    // 340 ids of 500 bytes: more than the 128 KiB of one stored value, in messages of less than 16 KiB.
    let ids: Vec<String> = (0..340).map(|number| format!("{number:0>500}")).collect();
    let mut anna = server.viewer("a").await;
    for links in ids.chunks(20) {
        anna.subscribe(&links.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    anna.expect_viewers(&ids[339], 0).await;
    // Links are stored once they have had a viewer.
    for links in ids.chunks(100) {
        let connections: Value = links.iter().map(|id| (id.clone(), json!(1))).collect();
        let body = json!({ "action": "update", "connections": connections }).to_string();
        assert_eq!(server.request("POST", "/parties/page/a", TOKEN, &body).await.0, 200);
    }
    server.restart().await;
    let links = server.get_json("/parties/page/a").await["connections"].clone();
    assert_eq!(links.as_object().unwrap().len(), 340);
}

#[tokio::test]
async fn ids_with_spaces_symbols_and_unicode_are_counted() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    for (link, room) in [
        ("example.org/straße/ü?q=1&p=2", "example.org%2Fstra%C3%9Fe%2F%C3%BC%3Fq%3D1%26p%3D2"),
        ("[::1]:8080/x", "%5B%3A%3A1%5D%3A8080%2Fx"),
        ("naïve 🙂", "na%C3%AFve%20%F0%9F%99%82"),
        ("__proto__", "__proto__"),
        ("<img src=x>", "%3Cimg%20src%3Dx%3E"),
        ("100%", "100%25"),
    ] {
        let id = server.get_json(&format!("/parties/page/{room}")).await["id"].as_str().unwrap().to_owned();
        anna.subscribe(&[link]).await;
        anna.expect_viewers(&id, 0).await;
        let _there = server.viewer(room).await;
        anna.expect_viewers(&id, 1).await;
    }
}

#[tokio::test]
async fn no_viewers_are_counted_after_a_restart() {
    let mut server = TestServer::with(IMPATIENT).await;
    let mut crowd = Vec::new();
    for _ in 0..5 {
        crowd.push(server.viewer("b").await);
    }
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 5).await;
    server.restart().await;
    assert_eq!(server.get_json("/parties/counter/all-pages").await["pages"], json!({}));
    let detail = server.get_json("/parties/counter/all-pages?detail").await;
    assert_eq!((&detail["pages"]["b"]["viewers"], &detail["pages"]["b"]["peak"]), (&json!(0), &json!(5)));
    assert_eq!(server.get_json("/parties/page/b").await["viewers"], 0);
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
}
