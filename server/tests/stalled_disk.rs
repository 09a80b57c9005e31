//! Viewers are counted while the disk does not answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{any::Any, collections::BTreeMap, sync::Mutex};

use connection_counter::{
    Counter, Page, Server,
    party::{Party, Request, Response, Result, Room, json as json_response},
};
use serde_json::{Value, json};
use support::{TestServer, wait_until};

/// Stores what it is sent, each value under its key, and answers with all it has.
#[derive(Default)]
struct Store;

impl Party for Store {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if !request.body().is_empty() {
            let values: std::collections::BTreeMap<String, Value> = serde_json::from_slice(request.body())?;
            for (key, value) in values {
                room.storage().put(&key, &value)?;
            }
        }
        json_response(&room.storage().list::<Value>(Default::default()).await?)
    }
}

/// The guards that keep disks stopped, by the room that stopped one. Tests run in parallel, so there may be several.
static STALLED: Mutex<BTreeMap<String, Box<dyn Any + Send>>> = Mutex::new(BTreeMap::new());

/// PUT stops the server's disk, DELETE lets it go on.
#[derive(Default)]
struct Disk;

impl Party for Disk {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let mut stalled = STALLED.lock().unwrap();
        match request.method().as_str() {
            "PUT" => drop(stalled.insert(room.id().to_owned(), Box::new(room.storage().stall()))),
            _ => drop(stalled.remove(room.id())),
        }
        json_response(&())
    }
}

/// A server that shows what the counter has stored.
fn store() -> Server {
    Server::builder().party::<Store>("counter")
}

fn parties() -> Server {
    Server::builder().party::<Page>("page").party::<Counter>("counter").party::<Disk>("disk")
}

#[tokio::test]
async fn a_hanging_disk_does_not_delay_the_shutdown() {
    let mut server = TestServer::of(parties, &["--shutdown-timeout-ms=300"]).await;
    assert_eq!(server.request("PUT", "/parties/disk/end", &[], "").await.0, 200);
    let _viewer = server.viewer("a").await;
    let asked = std::time::Instant::now();
    server.stop().await;
    assert!(asked.elapsed() < std::time::Duration::from_secs(5), "it took {:?}", asked.elapsed());
    STALLED.lock().unwrap().remove("end");
}

#[tokio::test]
async fn readiness_names_a_disk_that_does_not_answer() {
    let server = TestServer::of(parties, &[]).await;
    assert_eq!(server.request("PUT", "/parties/disk/slow", &[], "").await.0, 200);
    wait_until("it is said", async || server.get("/readyz").await.1.contains("the disk has not answered for")).await;
    STALLED.lock().unwrap().remove("slow");
    wait_until("it is over", async || !server.get("/readyz").await.1.contains("the disk has not answered")).await;
}

const COUNTER: &str = "/parties/counter/all-pages";

#[tokio::test]
async fn a_counter_counts_without_the_disk_and_keeps_the_stored_peak() {
    let mut server = TestServer::of(store, &[]).await;
    let past = json!({
        "page:a": { "peak": 500, "peakAtMs": 1, "lastActivityMs": 1 },
        "page:not a history": 7,
    });
    assert_eq!(server.request("POST", COUNTER, &[], &past.to_string()).await.0, 200);
    server.restart_as(parties).await;

    assert_eq!(server.request("PUT", "/parties/disk/a", &[], "").await.0, 200);
    let viewer = server.viewer("a").await;
    server.expect_counted("all-pages", "a", 1).await;
    let detail = async |field: &str| server.get_json(&format!("{COUNTER}?detail")).await["pages"]["a"][field].clone();
    assert_eq!(detail("peak").await, 1, "the stored peak is not known yet");
    assert_eq!(server.request("DELETE", "/parties/disk/a", &[], "").await.0, 200);
    wait_until("the peak is known", async || detail("peak").await == 500).await;
    drop(viewer);
    wait_until("no one is here", async || detail("viewers").await == 0).await;

    server.restart_as(store).await;
    let stored = server.get_json(COUNTER).await;
    let rows: Vec<(String, Value)> = serde_json::from_value(stored).unwrap();
    let (_, history) = rows.iter().find(|(key, _)| key == "page:a").expect("it is kept");
    assert_eq!((&history["peak"], &history["peakAtMs"]), (&json!(500), &json!(1)));
    assert!(history["lastActivityMs"].as_u64() > Some(1), "{history}");
}
