//! Sets its alarm as a request says, and records each time it runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connection_counter::{
    Error,
    party::{Party, Request, Response, Result, Room, json},
};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::asked;

#[derive(Default)]
pub(crate) struct Clock;

/// What to do with the alarm.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    /// Milliseconds until the alarm. Without it, the alarm is deleted.
    ring_in: Option<u64>,
    /// How often the alarm fails before it succeeds.
    #[serde(default)]
    failures: u64,
    /// Milliseconds to wait before setting it.
    #[serde(default)]
    hesitate: u64,
}

/// What a room saw when its alarm ran.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ring {
    at_ms: u64,
    room: String,
    alarm_is_set: bool,
    sees_other_parties: bool,
}

impl Party for Clock {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if request.method() == Method::POST {
            let order: Order = asked(&request)?;
            tokio::time::sleep(Duration::from_millis(order.hesitate)).await;
            room.storage().put("failures", &order.failures)?;
            match order.ring_in {
                Some(milliseconds) => room.set_alarm(Duration::from_millis(milliseconds)),
                None => room.delete_alarm(),
            }
        }
        let rings: Vec<Ring> = room.storage().get("rings").await?.unwrap_or_default();
        json(&json!({ "rings": rings, "alarmIsSet": room.alarm().is_some() }))
    }

    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        let mut rings: Vec<Ring> = room.storage().get("rings").await?.unwrap_or_default();
        rings.push(Ring {
            at_ms: unix_ms(),
            room: room.id().to_owned(),
            alarm_is_set: room.alarm().is_some(),
            sees_other_parties: room.parties().get("main").is_ok(),
        });
        room.storage().put("rings", &rings)?;
        let failures: u64 = room.storage().get("failures").await?.unwrap_or(0);
        if failures == 0 {
            return Ok(());
        }
        room.storage().put("failures", &(failures - 1))?;
        Err(Error::Party("not yet".into()))
    }
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
