//! Says what it sees of whoever comes, and echoes what it hears.

use connection_counter::party::{Connection, Message, Party, Request, Response, Result, Room, json, text};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

pub(crate) struct Probe;

impl Party for Probe {
    fn new(_: &Room) -> Self {
        Self
    }

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
            return Ok(preflight());
        }
        json(&json!({
            "party": room.name(),
            "room": room.id(),
            "method": request.method().as_str(),
            "uri": request.uri().to_string(),
            "body": String::from_utf8_lossy(request.body()),
        }))
    }
}

/// Lets pages of every origin send what they like.
fn preflight() -> Response {
    let mut response = text(StatusCode::NO_CONTENT, "");
    for name in [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static("*"));
    }
    response
}
