//! The exact bytes of every message. A round trip would not notice a renamed field. These tests do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

use std::fmt::Debug;

use connection_counter_protocol::{
    CounterReport, CounterRequest, PageCount, PageDetail, PageId, PageMessage, PageReport, PageRequest, ViewerMessage,
    wire,
};
use serde::{Serialize, de::DeserializeOwned};

#[track_caller]
fn bytes<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T, json: &str) {
    assert_eq!(serde_json::to_string(message).unwrap(), json);
    assert_eq!(&serde_json::from_str::<T>(json).unwrap(), message);
}

fn id(text: &str) -> PageId {
    PageId::parse(text).unwrap()
}

#[test]
fn viewer_messages_have_the_expected_json() {
    let links = || vec!["b".to_owned(), "example.org/c".to_owned()];
    bytes(&ViewerMessage::Subscribe { links: links() }, r#"{"type":"subscribe","links":["b","example.org/c"]}"#);
    bytes(&ViewerMessage::Unsubscribe { links: links() }, r#"{"type":"unsubscribe","links":["b","example.org/c"]}"#);
}

#[test]
fn page_messages_have_the_expected_json() {
    let connections = [(id("b"), 3), (id("a"), 0)].into();
    bytes(&PageMessage::Update { connections }, r#"{"type":"update","connections":{"a":0,"b":3}}"#);
    let error = PageMessage::Error { code: "bad-link".into(), message: "no".into() };
    bytes(&error, r#"{"type":"error","code":"bad-link","message":"no"}"#);
}

#[test]
fn counter_requests_have_the_expected_json() {
    bytes(
        &CounterRequest::Update { id: id("a"), connection_count: 2, sequence: None },
        r#"{"action":"update","id":"a","connectionCount":2}"#,
    );
    bytes(
        &CounterRequest::Update { id: id("a"), connection_count: 2, sequence: Some(7) },
        r#"{"action":"update","id":"a","connectionCount":2,"sequence":7}"#,
    );
    bytes(
        &CounterRequest::Subscribe { subscriber_id: id("a"), subscribe_to_room_ids: vec![id("b")] },
        r#"{"action":"subscribe","subscriberId":"a","subscribeToRoomIds":["b"]}"#,
    );
    bytes(
        &CounterRequest::Unsubscribe { subscriber_id: id("a"), unsubscribe_from_room_ids: vec![id("b")] },
        r#"{"action":"unsubscribe","subscriberId":"a","unsubscribeFromRoomIds":["b"]}"#,
    );
    bytes(&CounterRequest::Forget { subscriber_id: id("a") }, r#"{"action":"forget","subscriberId":"a"}"#);
}

#[test]
fn page_requests_have_the_expected_json() {
    bytes(
        &PageRequest::Update { connections: [(id("b"), 3)].into(), sequence: Some(8) },
        r#"{"action":"update","connections":{"b":3},"sequence":8}"#,
    );
    bytes(&PageRequest::Resync, r#"{"action":"resync"}"#);
}

#[test]
fn reports_have_the_expected_json() {
    let connections = [(id("b"), 3)].into();
    bytes(&PageCount { id: id("a"), viewers: 1 }, r#"{"id":"a","viewers":1}"#);
    bytes(&PageReport { id: id("a"), viewers: 1, connections }, r#"{"id":"a","viewers":1,"connections":{"b":3}}"#);
    bytes(&CounterReport { pages: [(id("a"), 1)].into(), left_out: 0, still_reading: false }, r#"{"pages":{"a":1}}"#);
    bytes(
        &CounterReport { pages: [(id("a"), 1)].into(), left_out: 2, still_reading: true },
        r#"{"pages":{"a":1},"leftOut":2,"stillReading":true}"#,
    );
    let detail = PageDetail { viewers: 1, peak: 2, peak_at_ms: 3, last_activity_ms: 4 };
    bytes(
        &CounterReport { pages: [(id("a"), detail)].into(), left_out: 0, still_reading: false },
        r#"{"pages":{"a":{"viewers":1,"peak":2,"peakAtMs":3,"lastActivityMs":4}}}"#,
    );
}

#[test]
fn newer_messages_are_read_as_unknown() {
    let message: ViewerMessage = serde_json::from_str(r#"{"type":"wave","hands":2}"#).unwrap();
    assert_eq!(message, ViewerMessage::Unknown);
    let message: PageMessage = serde_json::from_str(r#"{"type":"wave","hands":2}"#).unwrap();
    assert_eq!(message, PageMessage::Unknown);
    let message: ViewerMessage = serde_json::from_str(r#"{"type":"subscribe","links":[],"mood":"new"}"#).unwrap();
    assert_eq!(message, ViewerMessage::Subscribe { links: vec![] });
}

#[test]
fn malformed_messages_are_refused() {
    for json in [
        "",
        "null",
        "7",
        "[]",
        "{}",
        r#"{"type":7}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","links":"b"}"#,
        r#"{"type":"subscribe","links":[7]}"#,
        r#"{"type":"subscribe","links":{"b":1}}"#,
        r#"{"type":"subscribe","links":["b"]"#,
        r#"{"type":"subscribe","links":["b"]}{}"#,
    ] {
        assert!(serde_json::from_str::<ViewerMessage>(json).is_err(), "{json}");
    }
    for json in [
        r#"{"action":"update","id":"a","connectionCount":-1}"#,
        r#"{"action":"update","id":"a","connectionCount":"<b>hi</b>"}"#,
        r#"{"action":"update","id":"a","connectionCount":4294967296}"#,
        r#"{"action":"update","id":"","connectionCount":1}"#,
        r#"{"action":"update","connectionCount":1}"#,
        r#"{"action":"subscribe","subscriberId":"a"}"#,
        r#"{"action":"reset"}"#,
    ] {
        assert!(serde_json::from_str::<CounterRequest>(json).is_err(), "{json}");
    }
    assert!(serde_json::from_str::<PageMessage>(r#"{"type":"update","connections":{"b":-1}}"#).is_err());
    assert!(serde_json::from_str::<PageRequest>(r#"{"action":"update","connections":[1]}"#).is_err());
}

#[test]
fn the_constants_of_wire_match_the_types() {
    let subscribe = serde_json::to_value(ViewerMessage::Subscribe { links: vec!["b".into()] }).unwrap();
    assert_eq!((&subscribe[wire::TYPE], &subscribe[wire::LINKS][0]), (&wire::SUBSCRIBE.into(), &"b".into()));
    let unsubscribe = serde_json::to_value(ViewerMessage::Unsubscribe { links: vec![] }).unwrap();
    assert_eq!(unsubscribe[wire::TYPE], wire::UNSUBSCRIBE);
    let update = serde_json::to_value(PageMessage::Update { connections: [(id("b"), 3)].into() }).unwrap();
    assert_eq!((&update[wire::TYPE], &update[wire::CONNECTIONS]["b"]), (&wire::UPDATE.into(), &3.into()));
    let error = serde_json::to_value(PageMessage::Error { code: "c".into(), message: "m".into() }).unwrap();
    assert_eq!(error[wire::TYPE], wire::ERROR);
    assert_eq!((&error[wire::CODE], &error[wire::MESSAGE]), (&"c".into(), &"m".into()));
}
