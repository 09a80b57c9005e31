//! How many connections each room has: the party `main` reports its own, the party `connections` keeps the numbers.

mod connections;

use std::process::ExitCode;

use connection_counter::{
    Config, Server,
    party::{Connection, Party, Request, Result, Room},
};
use connections::{Connections, Report};
use http::Method;

/// A room to join. It does not count; it says who comes and who goes.
struct Main;

impl Party for Main {
    fn new(_: &Room) -> Self {
        Self
    }

    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, _: &Request) -> Result {
        // Clients choose `connection.id()`, and one that comes back has the id of its dead self. This number is new.
        let connection_id = room.next_sequence().to_string();
        connection.set_state(&connection_id)?;
        report(room, &Report::Connect { connection_id, room_id: room.id().to_owned() })
    }

    async fn on_close(&mut self, room: &mut Room, connection: &Connection, _: u16, _: &str) -> Result {
        let Some(connection_id) = connection.state()? else { return Ok(()) };
        report(room, &Report::Disconnect { connection_id, room_id: room.id().to_owned() })
    }
}

fn report(room: &Room, report: &Report) -> Result {
    let mut request = Request::new(serde_json::to_vec(report)?.into());
    *request.method_mut() = Method::POST;
    // Not fetched but sent: nobody's handshake waits for the numbers, and what is sent arrives in order all the same.
    room.parties().get("connections")?.room("active-connections")?.send(request)
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut config = Config::from_args();
    config.assets = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/connections").into());
    let server = Server::builder().party::<Main>("main").party::<Connections>("connections");
    connection_counter::main(server, config).await
}
