//! What belongs to a user: the party `user` has a room for each, which the party `main` reaches by request and by socket.

mod user;

use std::process::ExitCode;

use connection_counter::{
    Config, Server,
    party::{Connection, Message, Party, Request, Result, Room, Stub},
};
use url::form_urlencoded;
use user::{Profile, User};

/// A room where users meet, each in a favourite colour, which is the same in every such room.
struct Main;

impl Party for Main {
    fn new(_: &Room) -> Self {
        Self
    }

    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _: &Request) -> Result {
        // From `?user=`, and believed: the example `guarded` asks for proof.
        let query = connection.uri().query().unwrap_or_default();
        let user = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "user");
        let user = user.map_or_else(|| "nobody".into(), |(_, user)| user);
        connection.set_state(&user)?;
        // As it is made, a request is a GET of the room itself.
        let answer = user_room(room, &user)?.fetch(Request::default()).await?;
        let profile: Profile = serde_json::from_slice(answer.body())?;
        room.broadcast(&Message::json(&profile)?, &[]);
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

#[tokio::main]
async fn main() -> ExitCode {
    let mut config = Config::from_args();
    config.assets = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/user").into());
    let server = Server::builder().party::<Main>("main").party::<User>("user");
    connection_counter::main(server, config).await
}
