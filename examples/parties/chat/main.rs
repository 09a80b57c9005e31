//! A chat room: words for all or for one, a colour in three bytes, moods, and a good night when it falls silent.

use std::{env, process::ExitCode, sync::LazyLock, time::Duration};

use connection_counter::{
    Config, Server,
    party::{Connection, Message, Party, Request, Result, Room},
};
use url::form_urlencoded;

/// How long a room is silent before it says good night.
static SILENCE: LazyLock<Duration> = LazyLock::new(|| {
    let ms = env::var("CHAT_SILENCE_MS").ok().and_then(|ms| ms.parse().ok());
    ms.map_or(Duration::from_secs(60), Duration::from_millis)
});

/// It has no fields: what it knows of people is kept with their connections.
struct Chat;

impl Party for Chat {
    /// So a room where no one talks needs no memory, however many are in it, and the next word wakes it.
    const HIBERNATES: bool = true;

    fn new(_: &Room) -> Self {
        Self
    }

    /// A person's name is a tag: by it, a whisper finds all tabs of that person. From `?name=`.
    fn connection_tags(&self, connection: &Connection, _: &Request) -> Result<Vec<String>> {
        let query = connection.uri().query().unwrap_or_default();
        let name = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "name");
        Ok(name.map(|(_, name)| name.into_owned()).into_iter().collect())
    }

    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        // Takes the place of the alarm set at the word before.
        room.set_alarm(*SILENCE);
        let Message::Text(text) = &message else {
            room.broadcast(&message, &[from]);
            return Ok(());
        };
        // State goes where the connection goes: through a sleep of the room, but not to that person's next connection.
        let mood: String = from.state()?.unwrap_or_default();
        let name = from.tags().next().unwrap_or(from.id());
        let said = |words: &str| Message::text(format!("{name}{mood}: {words}"));
        if let Some(mood) = text.strip_prefix("/mood ") {
            from.set_state(&format!(" {mood}"))?;
        } else if let Some((name, words)) = text.strip_prefix('@').and_then(|text| text.split_once(' ')) {
            for connection in room.connections_with(name) {
                // One that is just leaving does not hear it, which is no reason to keep it from the others.
                let _ = connection.send(said(words));
            }
        } else {
            room.broadcast(&said(text), &[from]);
        }
        Ok(())
    }

    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        room.broadcast(&Message::text("Good night."), &[]);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut config = Config::from_args();
    config.assets = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/chat").into());
    connection_counter::main(Server::builder().party::<Chat>("chat"), config).await
}
