//! A room behind gatekeepers, and one whose hooks fail.

use connection_counter::{
    Error,
    party::{Connection, Lobby, Message, Party, Request, Response, Result, Room, json, query_value, text},
};
use http::{HeaderValue, StatusCode};
use serde_json::json;

/// Lets in clients with a token, and tells the room who they are.
#[derive(Default)]
pub(crate) struct Guarded;

/// The header in which the gatekeeper tells the room the user.
const USER: &str = "x-user";

impl Party for Guarded {
    async fn on_before_connect(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        admit(request, lobby)
    }

    async fn on_before_request(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        admit(request, lobby)
    }

    async fn on_connect(&mut self, _room: &mut Room, connection: &Connection, request: &Request) -> Result {
        connection.send(Message::json(&json!({ "user": user(request) }))?)
    }

    async fn on_request(&mut self, _room: &mut Room, request: Request) -> Result<Response> {
        json(&json!({ "user": user(&request) }))
    }
}

/// `?token=<user>`; the user `mallory` is banned.
fn admit(mut request: Request, lobby: &Lobby) -> Result<Request, Response> {
    match query_value(request.uri(), "token").as_deref().map(HeaderValue::from_str) {
        Some(Ok(user)) if user != "mallory" => {
            request.headers_mut().insert(USER, user);
            Ok(request)
        }
        Some(_) => Err(text(StatusCode::FORBIDDEN, "you are banned")),
        None => Err(text(StatusCode::UNAUTHORIZED, format!("{} needs a token", lobby.room_id()))),
    }
}

fn user(request: &Request) -> Option<&str> {
    request.headers().get(USER)?.to_str().ok()
}

/// Fails in the hook that `?in=` names.
#[derive(Default)]
pub(crate) struct Failing;

impl Party for Failing {
    async fn on_start(&mut self, room: &mut Room) -> Result {
        if room.id() == "never" { Err(boom("on_start")) } else { Ok(()) }
    }

    fn connection_tags(&self, _connection: &Connection, request: &Request) -> Result<Vec<String>> {
        let tags =
            if query_value(request.uri(), "in").as_deref() == Some("tags") { Connection::MAX_TAGS + 1 } else { 0 };
        Ok((0..tags).map(|tag| tag.to_string()).collect())
    }

    async fn on_connect(&mut self, _room: &mut Room, connection: &Connection, request: &Request) -> Result {
        connection.send(Message::text("before the failure"))?;
        match query_value(request.uri(), "in").as_deref() {
            Some("connect") => Err(boom("on_connect")),
            Some("json") => Ok(serde_json::from_str("no JSON")?),
            _ => Ok(()),
        }
    }

    async fn on_message(&mut self, _room: &mut Room, connection: &Connection, message: Message) -> Result {
        if message == Message::text("fail") { Err(boom("on_message")) } else { connection.send(message) }
    }

    async fn on_request(&mut self, _room: &mut Room, _request: Request) -> Result<Response> {
        Err(boom("on_request"))
    }
}

/// An error whose text is longer than fits into a close frame, with its 123rd byte inside a character.
fn boom(hook: &str) -> Error {
    Error::Party(format!("{hook} failed: {}", "é".repeat(100)).into())
}
