//! Reports what it sees of a connection, and sends back every message.

use connection_counter::party::{
    Connection, Message, Party, Request, Response, Result, Room, cors,
    http::{Method, StatusCode},
    json, text,
};
use serde_json::json;

#[derive(Default)]
pub(crate) struct Probe;

impl Party for Probe {
    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _request: &Request) -> Result {
        connection.send(Message::json(&json!({
            "party": room.name(),
            "room": room.id(),
            "id": connection.id(),
            "uri": connection.uri().to_string(),
            "connections": room.connections().count(),
        }))?)
    }

    async fn on_message(&mut self, _room: &mut Room, connection: &Connection, message: Message) -> Result {
        connection.send(message)
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        if request.method() == Method::OPTIONS {
            return Ok(cors(text(StatusCode::NO_CONTENT, "")));
        }
        Ok(cors(json(&json!({
            "party": room.name(),
            "room": room.id(),
            "method": request.method().as_str(),
            "uri": request.uri().to_string(),
            "body": String::from_utf8_lossy(request.body()),
        }))?))
    }
}
