//! Which links a page's viewers watch, and who hears of whom.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::time::Duration;

use connection_counter::{
    Counter, Page, Server,
    party::{Party, Request, Response, Result, Room, json as json_response},
};
use serde_json::{Value, json};
use support::{TestServer, wait_until};

/// The report of the counter, including pages that are only watched.
const COUNTER: &str = "/parties/counter/all-pages?detail";

#[tokio::test]
async fn the_first_counts_come_at_once_and_include_zeros() {
    // Nothing but the answer to a subscription can come before this interval is over.
    let server = TestServer::with(&["--update-interval-ms", "60000"]).await;
    let _ben = server.viewer("b").await;
    server.expect_counted("all-pages", "b", 1).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c", "d"]).await;
    assert_eq!(anna.next().await, json!({ "type": "update", "connections": { "b": 1, "c": 0, "d": 0 } }));
}

#[tokio::test]
async fn late_subscriber_gets_current_count() {
    let server = TestServer::with(&["--update-interval-ms", "60000"]).await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    let mut late = server.viewer("a").await;
    late.subscribe(&["b"]).await;
    assert_eq!(late.next().await, json!({ "type": "update", "connections": { "b": 0 } }));
}

#[tokio::test]
async fn subscribing_adds_to_earlier_links() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.subscribe(&["c"]).await;
    anna.expect_viewers("c", 0).await;
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    let _cleo = server.viewer("c").await;
    anna.expect_viewers("c", 1).await;
}

#[tokio::test]
async fn viewers_of_one_page_watch_different_links() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    let mut alex = server.viewer("a").await;
    alex.subscribe(&["c"]).await;
    alex.expect_viewers("c", 0).await;
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
    let _cleo = server.viewer("c").await;
    alex.expect_viewers("c", 1).await;
}

#[tokio::test]
async fn a_viewer_gets_only_counts_of_links_that_it_watches() {
    let server = TestServer::start().await;
    // Viewers that watch the same set get each update. A viewer that watches another set, or nothing, gets none.
    let mut watchers = [server.viewer("a").await, server.viewer("a").await];
    for watcher in &mut watchers {
        watcher.subscribe(&["b", "c"]).await;
        watcher.expect_viewers("c", 0).await;
    }
    let mut other = server.viewer("a").await;
    other.subscribe(&["d"]).await;
    other.expect_viewers("d", 0).await;
    let mut idle = server.viewer("a").await;
    let mut crowd = Vec::new();
    for count in 1..=20 {
        crowd.push(server.viewer("b").await);
        for watcher in &mut watchers {
            watcher.expect_viewers("b", count).await;
        }
    }
    // All of that came before the answer to this.
    for silent in [&mut other, &mut idle] {
        silent.updates.clear();
        silent.subscribe(&[""]).await;
        silent.expect_error("bad-link").await;
    }
    let news = watchers[0].updates.iter().skip(1);
    assert!(news.into_iter().all(|update| update["connections"].as_object().unwrap().keys().eq(["b"])));
}

#[tokio::test]
async fn one_unsubscribe_is_enough_for_a_link_subscribed_twice() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "b"]).await;
    anna.subscribe(&["b"]).await;
    anna.subscribe(&["c"]).await;
    anna.expect_viewers("c", 0).await;
    anna.unsubscribe(&["b"]).await;
    wait_until("one unsubscribe is enough", async || server.get_json(COUNTER).await["pages"]["b"].is_null()).await;
}

#[tokio::test]
async fn unsubscribed_links_get_no_more_updates() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("c", 0).await;
    anna.unsubscribe(&["b"]).await;
    wait_until("the counter forgets b", async || server.get_json(COUNTER).await["pages"]["b"].is_null()).await;
    let _ben = server.viewer("b").await;
    server.expect_counted("all-pages", "b", 1).await;
    let _cleo = server.viewer("c").await;
    // Updates arrive in order, so an update of b would have arrived by now.
    anna.expect_viewers("c", 1).await;
    assert_eq!(anna.counts["b"], 0);
}

#[tokio::test]
async fn unsubscribing_leaves_others_subscribed() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    let mut alex = server.viewer("a").await;
    alex.subscribe(&["b"]).await;
    alex.expect_viewers("b", 0).await;
    // Unsubscribing twice, or from links that were never subscribed, does no harm.
    alex.unsubscribe(&["b", "b", "x", ""]).await;
    alex.subscribe(&["c"]).await;
    alex.expect_viewers("c", 0).await;
    let _ben = server.viewer("b").await;
    anna.expect_viewers("b", 1).await;
}

#[tokio::test]
async fn subscribing_again_gets_fresh_counts() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    anna.unsubscribe(&["b"]).await;
    let _ben = server.viewer("b").await;
    server.expect_counted("all-pages", "b", 1).await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 1).await;
}

#[tokio::test]
async fn a_subscription_ends_when_its_last_watcher_leaves() {
    let server = TestServer::start().await;
    let watched = async || server.get_json(COUNTER).await["pages"]["b"].is_object();
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    let mut alex = server.viewer("a").await;
    alex.subscribe(&["b"]).await;
    alex.expect_viewers("b", 0).await;
    anna.close().await;
    server.expect_counted("all-pages", "a", 1).await;
    assert!(watched().await, "one viewer still watches b");
    // This connection ends without a close frame, as in a crash.
    drop(alex);
    wait_until("the counter forgets b", async || !watched().await).await;
}

#[tokio::test]
async fn viewers_who_ask_for_the_same_links_can_leave_them_one_by_one() {
    let server = TestServer::start().await;
    // Nobody views d, so its counter knows it only while it is watched.
    let watched = async || server.get_json(COUNTER).await["pages"]["d"].is_object();
    let mut viewers = Vec::new();
    for _ in 0..3 {
        let mut viewer = server.viewer("a").await;
        viewer.subscribe(&["d", "c", "b"]).await;
        assert_eq!(viewer.next().await["connections"].as_object().unwrap().len(), 3);
        viewers.push(viewer);
    }
    let [mut anna, mut alex, amy] = <[_; 3]>::try_from(viewers).ok().unwrap();
    anna.unsubscribe(&["b"]).await;
    let mut ben = server.viewer("b").await;
    alex.expect_viewers("b", 1).await;
    amy.close().await;
    ben.subscribe(&["a"]).await;
    ben.expect_viewers("a", 2).await;
    // Those who watched both links are not the last who ask for them.
    let mut late = server.viewer("a").await;
    late.subscribe(&["d", "c", "b"]).await;
    late.expect_viewers("b", 1).await;
    alex.close().await;
    ben.expect_viewers("a", 2).await;
    let _cleo = server.viewer("c").await;
    late.expect_viewers("c", 1).await;
    anna.expect_viewers("c", 1).await;
    late.close().await;
    ben.expect_viewers("a", 1).await;
    assert!(watched().await, "one viewer still watches d");
    anna.close().await;
    wait_until("the counter forgets d", async || !watched().await).await;
}

#[tokio::test]
async fn links_to_other_sites_are_counted_there() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("one.example%2Fa").await;
    anna.subscribe(&["two.example/b", "one.example/a", "bare"]).await;
    for (page, viewers) in [("two.example/b", 0), ("one.example/a", 1), ("bare", 0)] {
        anna.expect_viewers(page, viewers).await;
    }
    let _ben = server.viewer("two.example%2Fb").await;
    anna.expect_viewers("two.example/b", 1).await;
    server.expect_counted("two.example", "two.example/b", 1).await;
    server.expect_counted("one.example", "one.example/a", 1).await;
    assert!(server.get_json("/parties/counter/one.example").await["pages"]["two.example/b"].is_null());
}

#[tokio::test]
async fn bad_links_are_refused_and_the_others_are_accepted() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "", "bad host/x", "\u{7}", "c"]).await;
    let sentence = anna.expect_error("bad-link").await;
    assert!(sentence.contains("3 refused"), "{sentence}");
    anna.expect_viewers("b", 0).await;
    anna.expect_viewers("c", 0).await;
}

#[tokio::test]
async fn unknown_types_and_fields_are_ignored() {
    let server = TestServer::start().await;
    let mut anna = server.viewer("a").await;
    anna.send(r#"{"type":"from-the-future","links":7}"#).await;
    anna.send(r#"{"type":"subscribe","links":["b"],"priority":{"deep":[1]}}"#).await;
    assert_eq!(anna.next().await, json!({ "type": "update", "connections": { "b": 0 } }));
}

#[tokio::test]
async fn counts_are_exact_after_a_crowd_moves_to_another_page() {
    let server = TestServer::start().await;
    let mut reader = server.viewer("reader").await;
    reader.subscribe(&["a", "b"]).await;
    let mut crowd = Vec::new();
    for _ in 0..30 {
        crowd.push(server.viewer("a").await);
    }
    reader.expect_viewers("a", 30).await;
    for viewer in crowd {
        let _on_b_for_a_moment = server.viewer("b").await;
        viewer.close().await;
    }
    reader.expect_viewers("a", 0).await;
    reader.expect_viewers("b", 0).await;
}

#[tokio::test]
async fn an_update_does_not_start_a_page_that_left_memory() {
    // If the room were started by mistake, it would stay long enough for the test to see it.
    let server = TestServer::of(with_census, &["--room-idle-ms", "300"]).await;
    let awake = async || server.get_json("/parties/census/x").await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    anna.close().await;
    wait_until("a has left memory", async || awake().await == json!([])).await;
    let _ben = server.viewer("b").await;
    server.expect_counted("all-pages", "b", 1).await;
    assert_eq!(awake().await, json!(["b"]));
}

#[tokio::test]
async fn a_counter_stays_in_memory_while_it_counts_viewers() {
    let server = TestServer::of(with_census, &["--room-idle-ms=50"]).await;
    let _ben = server.viewer("b").await;
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b", "c"]).await;
    anna.expect_viewers("b", 1).await;
    // A room that was used later than the counter leaves memory. The counter does not.
    assert_eq!(server.get("/parties/page/used-later").await.0, 200);
    wait_until("an idle room has left memory", async || {
        let awake = server.get_json("/parties/census/x").await;
        !awake.as_array().unwrap().contains(&json!("used-later"))
    })
    .await;
    server.expect_counted("all-pages", "b", 1).await;
    let _cleo = server.viewer("c").await;
    anna.expect_viewers("c", 1).await;
}

#[tokio::test]
async fn a_page_that_left_memory_keeps_its_links() {
    let server = TestServer::of(with_census, &["--room-idle-ms", "50"]).await;
    let mut anna = server.viewer("a").await;
    let ben = server.viewer("b").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 1).await;
    anna.close().await;
    ben.close().await;
    wait_until("a has left memory", async || server.get_json("/parties/census/x").await == json!([])).await;
    assert_eq!(server.get_json("/parties/page/a").await["connections"], json!({ "b": 0 }));
    let mut alex = server.viewer("a").await;
    let _ben = server.viewer("b").await;
    server.expect_counted("all-pages", "b", 1).await;
    // No viewer has subscribed to b yet, so no update is sent.
    alex.expect_silence(Duration::from_millis(200)).await;
    alex.subscribe(&["b"]).await;
    alex.expect_viewers("b", 1).await;
}

/// The built-in parties, and one that knows which page rooms are awake.
fn with_census() -> Server {
    Server::builder().party::<Page>("page").party::<Counter>("counter").party::<Census>("census")
}

#[derive(Default)]
struct Census;

impl Party for Census {
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        let awake = room.parties().get("page")?.awake();
        json_response(&awake.iter().map(|stub| Value::from(stub.room_id())).collect::<Vec<_>>())
    }
}
