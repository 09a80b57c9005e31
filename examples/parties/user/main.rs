//! A room for each user: the party `user` has one for each, and the party `main` reaches it with requests and sockets.

use std::process::ExitCode;

use connection_counter::{Server, party::*};
use http::StatusCode;
use serde_json::Value;

/// A room where users meet. Each user has the same favourite colour in every such room.
#[derive(Default)]
struct Main;

impl Party for Main {
    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _: &Request) -> Result {
        // The name comes from `?user=` and is not checked. The example `guarded` asks for proof.
        let user = query_value(connection.uri(), "user").unwrap_or_else(|| "nobody".into());
        connection.set_state(&user)?;
        // The default request is a GET of the room itself.
        let profile = user_room(room, &user)?.fetch(Request::default()).await?;
        room.broadcast(&Message::json(&serde_json::from_slice::<Value>(profile.body())?)?, &[]);
        Ok(())
    }

    async fn on_message(&mut self, room: &mut Room, from: &Connection, colour: Message) -> Result {
        let user: String = from.state()?.unwrap_or_default();
        // Use a socket for several messages. It closes when it is dropped.
        let mut socket = user_room(room, &user)?.socket(Request::default()).await?;
        socket.send(colour)?;
        // `None` if the other room has closed the socket.
        if let Some(profile) = socket.recv().await? {
            room.broadcast(&profile, &[]);
        }
        Ok(())
    }
}

fn user_room(room: &Room, user: &str) -> Result<Stub> {
    room.parties().get("user")?.room(user)
}

/// The data of one user.
#[derive(Default)]
struct User;

impl Party for User {
    /// Only requests from outside run the gatekeeper, and this party refuses them all.
    async fn on_before_request(_: Request, _: &Lobby) -> Result<Request, Response> {
        Err(text(StatusCode::FORBIDDEN, "only the parties of this server get in here"))
    }

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        json(&profile(room).await?)
    }

    /// A text sets the colour. The answer is the profile.
    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        let Message::Text(colour) = message else { return Ok(()) };
        room.storage().put("colour", &colour.as_str())?;
        from.send(Message::json(&profile(room).await?)?)
    }
}

/// What others may know about a user.
async fn profile(room: &Room) -> Result<Value> {
    let colour: Option<String> = room.storage().get("colour").await?;
    Ok(serde_json::json!({ "user": room.id(), "colour": colour.as_deref().unwrap_or("gray") }))
}

fn main() -> ExitCode {
    let server = Server::builder().party::<Main>("main").party::<User>("user");
    server.assets(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/user")).main()
}
