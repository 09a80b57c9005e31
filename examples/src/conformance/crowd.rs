//! Connections with tags and state, in a room that leaves memory whenever it is idle.

use connection_counter::party::{Connection, Message, Party, Request, Result, Room, query_value};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Crowd {
    /// How often the room was loaded into memory.
    starts: u64,
}

/// What a connection can ask for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Command {
    /// Sends a text to everyone except the connections with these ids.
    Say { text: String, without: Vec<String> },
    /// Sends everyone this many bytes.
    Pour(usize),
    /// Ids of the connections with this tag.
    Find(String),
    /// Keeps a value with the connection.
    Keep(Value),
    /// Returns what the room and the connection know.
    Recall,
}

impl Party for Crowd {
    const HIBERNATES: bool = true;

    async fn on_start(&mut self, room: &mut Room) -> Result {
        self.starts = room.storage().get("starts").await?.unwrap_or(0) + 1;
        room.storage().put("starts", &self.starts)?;
        Ok(())
    }

    /// `?tags=a.b` gives the connection the tags a and b.
    fn connection_tags(&self, _connection: &Connection, request: &Request) -> Result<Vec<String>> {
        Ok(query_value(request.uri(), "tags")
            .map_or_else(Vec::new, |tags| tags.split('.').map(str::to_owned).collect()))
    }

    async fn on_message(&mut self, room: &mut Room, connection: &Connection, message: Message) -> Result {
        let Message::Text(command) = message else { return Ok(()) };
        let answer = match serde_json::from_str(&command)? {
            Command::Say { text, without } => {
                let without: Vec<_> = without.iter().flat_map(|id| room.connections_with(id)).collect();
                room.broadcast(&Message::json(&json!({ "said": text }))?, &without);
                return Ok(());
            }
            Command::Pour(bytes) => {
                room.broadcast(&Message::Binary(vec![0; bytes].into()), &[]);
                return Ok(());
            }
            Command::Find(tag) => {
                json!({ "found": room.connections_with(&tag).map(Connection::id).collect::<Vec<_>>() })
            }
            Command::Keep(value) => {
                let error = connection.set_state(&value).err().map(|error| error.to_string());
                json!({ "error": error, "state": connection.state::<Value>()? })
            }
            Command::Recall => json!({
                "starts": self.starts,
                "uri": connection.uri().to_string(),
                "tags": connection.tags().collect::<Vec<_>>(),
                "state": connection.state::<Value>()?,
            }),
        };
        connection.send(Message::json(&answer)?)
    }

    async fn on_close(&mut self, room: &mut Room, connection: &Connection, code: u16, reason: &str) -> Result {
        let left =
            json!({ "left": connection.id(), "code": code, "reason": reason, "stay": room.connections().count() });
        room.broadcast(&Message::json(&left)?, &[]);
        Ok(())
    }
}
