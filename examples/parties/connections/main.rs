//! How many connections each room has. The party `main` reports its own, and the party `connections` keeps the numbers.

use std::{collections::BTreeMap, process::ExitCode};

use connection_counter::{ListOptions, Server, party::*};
use serde::Deserialize;

/// A room that clients join. It does not count. It reports who joins and who leaves.
#[derive(Default)]
struct Main;

impl Party for Main {
    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _: &Request) -> Result {
        report(room, connection, "connect")
    }

    async fn on_close(&mut self, room: &mut Room, connection: &Connection, _: u16, _: &str) -> Result {
        report(room, connection, "disconnect")
    }
}

fn report(room: &Room, connection: &Connection, what: &str) -> Result {
    // The report uses the key, because clients choose the id, and a client that reconnects has the id of its old connection.
    let report = serde_json::json!({ "type": what, "connectionId": connection.key().to_string(), "roomId": room.id() });
    // The report is sent without waiting for an answer, so that no handshake waits. Reports still arrive in order.
    room.parties().get("connections")?.room("active-connections")?.send(post(&report)?)
}

/// A report about a connection: `{"type":"connect","connectionId":"7","roomId":"tea"}`. Connection ids are unique.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Report {
    Connect { connection_id: String, room_id: String },
    Disconnect { connection_id: String },
}

/// Stores the room of each connection. It has no fields, so it loses nothing when it leaves memory.
#[derive(Default)]
struct Connections;

impl Party for Connections {
    /// When the server starts no one is connected, whatever was stored before.
    const FORGETS: bool = true;

    /// Reports from other rooms skip this gatekeeper, so every POST here is from a stranger.
    async fn on_before_request(request: Request, _: &Lobby) -> Result<Request, Response> {
        let refusal = || text(http::StatusCode::FORBIDDEN, "only the parties of this server report connections");
        if request.method() == http::Method::GET { Ok(request) } else { Err(refusal()) }
    }

    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _: &Request) -> Result {
        connection.send(Message::json(&numbers(room).await?)?)
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if request.method() == http::Method::POST {
            match serde_json::from_slice(request.body())? {
                Report::Connect { connection_id, room_id } => room.storage().put(&connection_id, &room_id)?,
                Report::Disconnect { connection_id } => room.storage().delete(&connection_id)?,
            }
            room.broadcast(&Message::json(&numbers(room).await?)?, &[]);
        }
        json(&numbers(room).await?)
    }
}

/// The numbers are counted each time. Numbers that are counted up and down would become wrong.
async fn numbers(room: &Room) -> Result<BTreeMap<String, u32>> {
    let mut numbers = BTreeMap::new();
    for (_, room_id) in room.storage().list(ListOptions::default()).await? {
        *numbers.entry(room_id).or_default() += 1;
    }
    Ok(numbers)
}

fn main() -> ExitCode {
    let server = Server::builder().party::<Main>("main").party::<Connections>("connections");
    server.assets(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/connections")).main()
}
