//! The alarm of a room: it survives restarts, can be replaced, and runs again if it failed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::time::Duration;

use connection_counter::{
    Error, Server,
    party::{Party, Request, Response, Result, Room, json as json_response},
};
use serde_json::{Value, json};
use support::{TestServer, wait_until};

const HOUR: &str = "3600000";

/// Sets, deletes or fails its alarm as the path says, and returns how often it ran.
#[derive(Default)]
struct Clock;

impl Party for Clock {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let mut words = request.uri().path().split('/').skip(4);
        match (words.next(), words.next()) {
            (Some("set"), Some(delay_ms)) => room.set_alarm(Duration::from_millis(delay_ms.parse().unwrap())),
            (Some(how @ ("fail" | "panic")), Some(times)) => room.storage().put(how, &times.parse::<u64>().unwrap())?,
            (Some("delete"), _) => room.delete_alarm(),
            _ => {}
        }
        let rings: u64 = room.storage().get("rings").await?.unwrap_or(0);
        json_response(&json!({ "rings": rings, "set": room.alarm().is_some() }))
    }

    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        let rings: u64 = room.storage().get("rings").await?.unwrap_or(0) + 1;
        room.storage().put("rings", &rings)?;
        let panics: u64 = room.storage().get("panic").await?.unwrap_or(0);
        assert!(rings > panics, "as asked");
        let failures: u64 = room.storage().get("fail").await?.unwrap_or(0);
        if rings > failures { Ok(()) } else { Err(Error::Party("not yet".into())) }
    }
}

async fn start() -> TestServer {
    TestServer::of(|| Server::builder().party::<Clock>("clock"), &["--room-idle-ms", "50"]).await
}

/// Sends a request to a clock, and returns its answer.
async fn ask(server: &TestServer, path: &str) -> Value {
    server.get_json(&format!("/parties/clock/{path}")).await
}

async fn expect_rings(server: &TestServer, clock: &str, rings: u64) {
    wait_until(&format!("{clock} has rung {rings} times"), async || ask(server, clock).await["rings"] == rings).await;
}

#[tokio::test]
async fn an_alarm_wakes_a_sleeping_room() {
    let server = start().await;
    assert_eq!(ask(&server, "a/set/200").await, json!({ "rings": 0, "set": true }));
    expect_rings(&server, "a", 1).await;
    assert_eq!(ask(&server, "a").await, json!({ "rings": 1, "set": false }));
}

#[tokio::test]
async fn alarms_are_kept_across_a_restart() {
    let mut server = start().await;
    ask(&server, "a/set/1000").await;
    ask(&server, "b/set/3600000").await;
    server.restart().await;
    assert_eq!(ask(&server, "b").await, json!({ "rings": 0, "set": true }));
    expect_rings(&server, "a", 1).await;
}

#[tokio::test]
async fn an_alarm_missed_while_stopped_rings_at_once() {
    let mut server = start().await;
    ask(&server, "a/set/1").await;
    ask(&server, "b/set/400").await;
    server.stop().await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    server.run().await;
    expect_rings(&server, "b", 1).await;
    expect_rings(&server, "a", 1).await;
}

#[tokio::test]
async fn an_alarm_that_rang_does_not_ring_again_after_a_restart() {
    let mut server = start().await;
    ask(&server, "a/set/0").await;
    expect_rings(&server, "a", 1).await;
    server.restart().await;
    ask(&server, "later/set/200").await;
    expect_rings(&server, "later", 1).await;
    assert_eq!(ask(&server, "a").await, json!({ "rings": 1, "set": false }));
}

#[tokio::test]
async fn setting_an_alarm_again_replaces_it() {
    let mut server = start().await;
    ask(&server, "a/set/300").await;
    ask(&server, &format!("a/set/{HOUR}")).await;
    ask(&server, &format!("sooner/set/{HOUR}")).await;
    ask(&server, "sooner/set/400").await;
    expect_rings(&server, "sooner", 1).await;
    assert_eq!(ask(&server, "a").await, json!({ "rings": 0, "set": true }));
    // The replacement is also stored on disk.
    server.restart().await;
    assert_eq!(ask(&server, "a").await, json!({ "rings": 0, "set": true }));
    assert_eq!(ask(&server, "sooner").await, json!({ "rings": 1, "set": false }));
}

#[tokio::test]
async fn a_deleted_alarm_does_not_ring() {
    let mut server = start().await;
    ask(&server, "a/set/300").await;
    assert_eq!(ask(&server, "a/delete").await, json!({ "rings": 0, "set": false }));
    ask(&server, "later/set/400").await;
    expect_rings(&server, "later", 1).await;
    server.restart().await;
    assert_eq!(ask(&server, "a").await, json!({ "rings": 0, "set": false }));
}

#[tokio::test]
async fn the_longest_possible_delay_is_kept_across_a_restart() {
    let mut server = start().await;
    ask(&server, &format!("a/set/{}", u64::MAX)).await;
    server.restart().await;
    assert_eq!(ask(&server, "a").await, json!({ "rings": 0, "set": true }));
}

#[tokio::test]
async fn an_alarm_that_fails_or_panics_rings_again() {
    let server = start().await;
    for how in ["fail", "panic"] {
        ask(&server, &format!("{how}/{how}/1")).await;
        ask(&server, &format!("{how}/set/0")).await;
    }
    for how in ["fail", "panic"] {
        expect_rings(&server, how, 1).await;
        assert_eq!(ask(&server, how).await["set"], true, "it will run again");
    }
    for how in ["fail", "panic"] {
        expect_rings(&server, how, 2).await;
        assert_eq!(ask(&server, how).await["set"], false);
    }
}

#[tokio::test]
async fn a_failed_alarm_rings_again_after_a_restart() {
    let mut server = start().await;
    ask(&server, "a/fail/1").await;
    ask(&server, "a/set/0").await;
    expect_rings(&server, "a", 1).await;
    server.restart().await;
    expect_rings(&server, "a", 2).await;
}

#[tokio::test]
async fn each_room_has_its_own_alarm() {
    let server = start().await;
    for room in ["a", "b", "c"] {
        ask(&server, &format!("{room}/set/100")).await;
    }
    for room in ["a", "b", "c"] {
        expect_rings(&server, room, 1).await;
    }
}
