//! Presence over a disk that does not answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::*;
use party::{AlarmClock, Kinds, Request, RoomKey, Rooms};
use storage::Db;

fn rooms(db: &Db) -> Rooms {
    let mut kinds = Kinds::default();
    kinds.add::<Page>("page").unwrap();
    kinds.add::<Counter>("counter").unwrap();
    let config = Arc::new(Config::default());
    let access = Access::new(&config).unwrap();
    Rooms::new(kinds, ::http::Extensions::new(), config, access, AlarmClock::empty(db.clone()), db.clone())
}

/// What the room answers to this path.
async fn get(rooms: &Rooms, room: &RoomKey, path: &'static str) -> Value {
    let mut request = Request::default();
    *request.uri_mut() = path.parse().unwrap();
    serde_json::from_slice(rooms.request(room, request).await.unwrap().body()).unwrap()
}

/// Asks again and again until the answer is this.
async fn wait_for(rooms: &Rooms, room: &RoomKey, path: &'static str, pointer: &str, expected: Value) {
    let start = Instant::now();
    loop {
        let answer = get(rooms, room, path).await;
        if answer.pointer(pointer) == Some(&expected) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{answer}: {pointer} is not {expected}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_counter_waits_for_no_disk_and_overwrites_no_past() {
    let folder = tempfile::tempdir().unwrap();
    let stored = |db: &Db| Storage::of_room(db.clone(), "counter", "all-pages");
    let past = json!({ "peak": 500, "peakAtMs": 1, "lastActivityMs": 1 });
    let before = Db::open(folder.path()).unwrap();
    stored(&before).put("page:a", &past).unwrap();
    stored(&before).put("page:not a history", &7).unwrap();
    before.close().await;

    let (db, answer) = Db::stuck();
    let rooms = rooms(&db);
    let [page, counter] =
        [("page", "a"), ("counter", "all-pages")].map(|(party, id)| rooms.room_key(party, id).unwrap());
    let viewer = rooms.connect(&page, "anna".into(), Request::default()).await.unwrap();
    wait_for(&rooms, &counter, "/", "/pages/a", json!(1)).await;
    answer(folder.path());
    wait_for(&rooms, &counter, "/?detail", "/pages/a/peak", json!(500)).await;
    drop(viewer);
    wait_for(&rooms, &counter, "/?detail", "/pages/a/viewers", json!(0)).await;
    db.close().await;

    let after = Db::open(folder.path()).unwrap();
    let history: Value = stored(&after).get("page:a").await.unwrap().unwrap();
    assert_eq!((&history["peak"], &history["peakAtMs"]), (&json!(500), &json!(1)));
    assert!(history["lastActivityMs"].as_u64() > Some(1), "{history}");
}
