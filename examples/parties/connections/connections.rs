//! The party that keeps the numbers: told by other parties with POST, read with GET, followed over a WebSocket.

use std::{collections::BTreeMap, sync::LazyLock, time::SystemTime};

use connection_counter::{
    ListOptions,
    party::{Connection, Lobby, Message, Party, Request, Response, Result, Room, json, text},
};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

/// Tells this run of the server from earlier ones.
static RUN: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// What a party tells of its connections: `{"type":"connect","connectionId":"7","roomId":"tea"}`.
#[derive(Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(crate) enum Report {
    Connect { connection_id: String, room_id: String },
    Disconnect { connection_id: String, room_id: String },
}

/// The room of each connection, by its key in storage. Numbers are counted anew each time, so none can drift.
pub(crate) struct Connections(BTreeMap<String, String>);

impl Party for Connections {
    fn new(_: &Room) -> Self {
        Self(BTreeMap::new())
    }

    /// Parties do not pass here when they report, so whoever tries to is a stranger.
    async fn on_before_request(request: Request, _: &Lobby) -> std::result::Result<Request, Response> {
        let refusal = || text(StatusCode::FORBIDDEN, "only the parties of this server report connections");
        if request.method() == Method::GET { Ok(request) } else { Err(refusal()) }
    }

    async fn on_start(&mut self, room: &mut Room) -> Result {
        // A room that slept finds its connections again. What an earlier run of the server left are ghosts.
        if room.storage().get("run").await? != Some(*RUN) {
            room.storage().delete_all().await?;
            room.storage().put("run", &*RUN)?;
        }
        let open = ListOptions { prefix: "open/", ..ListOptions::default() };
        self.0 = room.storage().list(open).await?.into_iter().collect();
        Ok(())
    }

    async fn on_connect(&mut self, _: &mut Room, connection: &Connection, _: &Request) -> Result {
        connection.send(Message::json(&self.per_room())?)
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if request.method() == Method::POST {
            // No room has a NUL in its id, so no two connections have one key.
            let key = |room_id: &str, connection_id: &str| format!("open/{room_id}\0{connection_id}");
            match serde_json::from_slice(request.body())? {
                Report::Connect { room_id, connection_id } => {
                    room.storage().put(&key(&room_id, &connection_id), &room_id)?;
                    self.0.insert(key(&room_id, &connection_id), room_id);
                }
                Report::Disconnect { room_id, connection_id } => {
                    room.storage().delete(&key(&room_id, &connection_id))?;
                    self.0.remove(&key(&room_id, &connection_id));
                }
            }
            room.broadcast(&Message::json(&self.per_room())?, &[]);
        }
        json(&self.per_room())
    }
}

impl Connections {
    fn per_room(&self) -> BTreeMap<&str, u32> {
        let mut connections = BTreeMap::new();
        self.0.values().for_each(|room_id| *connections.entry(room_id.as_str()).or_default() += 1);
        connections
    }
}
