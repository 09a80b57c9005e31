//! The party that keeps what belongs to a user: a room for each, closed to strangers.

use connection_counter::party::{Connection, Lobby, Message, Party, Request, Response, Result, Room, json, text};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// What others learn about a user.
#[derive(Deserialize, Serialize)]
pub(crate) struct Profile {
    pub(crate) user: String,
    pub(crate) colour: String,
}

pub(crate) struct User;

impl Party for User {
    fn new(_: &Room) -> Self {
        Self
    }

    // Only strangers pass the gatekeepers, and there is nothing here for them.
    async fn on_before_request(_: Request, _: &Lobby) -> std::result::Result<Request, Response> {
        Err(private())
    }

    async fn on_before_connect(_: Request, _: &Lobby) -> std::result::Result<Request, Response> {
        Err(private())
    }

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        json(&profile(room).await?)
    }

    /// A text is a colour; the profile is the answer.
    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        if let Message::Text(colour) = message {
            room.storage().put("colour", &colour.as_str())?;
            from.send(Message::json(&profile(room).await?)?)?;
        }
        Ok(())
    }
}

async fn profile(room: &Room) -> Result<Profile> {
    let colour = room.storage().get("colour").await?.unwrap_or_else(|| "gray".to_owned());
    Ok(Profile { user: room.id().to_owned(), colour })
}

fn private() -> Response {
    text(StatusCode::FORBIDDEN, "only the parties of this server get in here")
}
