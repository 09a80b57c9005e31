//! What belongs to a user: the party `user` has a room for each, which the party `main` reaches by request and by socket.

use std::process::ExitCode;

use connection_counter::{Server, party::*};
use http::StatusCode;
use serde_json::Value;

/// A room where users meet, each in a favourite colour, which is the same in every such room.
#[derive(Default)]
struct Main;

impl Party for Main {
    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _: &Request) -> Result {
        // From `?user=`, and believed: the example `guarded` asks for proof.
        let user = query_value(connection.uri(), "user").unwrap_or_else(|| "nobody".into());
        connection.set_state(&user)?;
        // As it is made, a request is a GET of the room itself.
        let profile = user_room(room, &user)?.fetch(Request::default()).await?;
        room.broadcast(&Message::json(&serde_json::from_slice::<Value>(profile.body())?)?, &[]);
        Ok(())
    }

    async fn on_message(&mut self, room: &mut Room, from: &Connection, colour: Message) -> Result {
        let user: String = from.state()?.unwrap_or_default();
        // A socket is for more than one question; it closes when it is dropped.
        let mut socket = user_room(room, &user)?.socket(Request::default()).await?;
        socket.send(colour)?;
        // None if the other room closed the socket instead.
        if let Some(profile) = socket.recv().await? {
            room.broadcast(&profile, &[]);
        }
        Ok(())
    }
}

fn user_room(room: &Room, user: &str) -> Result<Stub> {
    room.parties().get("user")?.room(user)
}

/// What belongs to one user.
#[derive(Default)]
struct User;

impl Party for User {
    /// Only strangers pass the gatekeeper, and there is nothing here for them.
    async fn on_before_request(_: Request, _: &Lobby) -> Result<Request, Response> {
        Err(text(StatusCode::FORBIDDEN, "only the parties of this server get in here"))
    }

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        json(&profile(room).await?)
    }

    /// A text is a colour; the profile is the answer.
    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        let Message::Text(colour) = message else { return Ok(()) };
        room.storage().put("colour", &colour.as_str())?;
        from.send(Message::json(&profile(room).await?)?)
    }
}

/// What others learn about a user.
async fn profile(room: &Room) -> Result<Value> {
    let colour: Option<String> = room.storage().get("colour").await?;
    Ok(serde_json::json!({ "user": room.id(), "colour": colour.as_deref().unwrap_or("gray") }))
}

fn main() -> ExitCode {
    let server = Server::builder().party::<Main>("main").party::<User>("user");
    server.assets(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/user")).main()
}
