//! A chat room: messages to all or to one person, a colour in three bytes, moods, and a good night when nobody talks.

use std::{env, process::ExitCode, time::Duration};

use connection_counter::{Server, party::*};

/// How long nobody talks before the room says good night.
#[derive(Clone)]
struct Silence(Duration);

/// The room has no fields. What it knows of people is kept with their connections.
#[derive(Default)]
struct Chat;

impl Party for Chat {
    /// A room where no one talks needs no memory, however many connections it has. The next message wakes it.
    const HIBERNATES: bool = true;

    /// A person's name, from `?name=`, is a tag. With it a whisper finds all tabs of that person.
    fn connection_tags(&self, connection: &Connection, _: &Request) -> Result<Vec<String>> {
        Ok(query_value(connection.uri(), "name").into_iter().collect())
    }

    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        // This replaces the alarm of the message before.
        room.set_alarm(room.setting::<Silence>()?.0);
        let Message::Text(text) = &message else {
            room.broadcast(&message, &[from]);
            return Ok(());
        };
        // The state stays with the connection while the room sleeps. That person's next connection does not have it.
        let mood: String = from.state()?.unwrap_or_default();
        let name = from.tags().next().unwrap_or(from.id());
        let said = |words: &str| Message::text(format!("{name}{mood}: {words}"));
        if let Some(mood) = text.strip_prefix("/mood ") {
            from.set_state(&format!(" {mood}"))?;
        } else if let Some((name, words)) = text.strip_prefix('@').and_then(|text| text.split_once(' ')) {
            for connection in room.connections_with(name) {
                // A connection that is closing does not get it. The others still do.
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

fn main() -> ExitCode {
    let silence_ms = env::var("CHAT_SILENCE_MS").ok().and_then(|ms| ms.parse().ok());
    let silence = Silence(silence_ms.map_or(Duration::from_secs(60), Duration::from_millis));
    let server = Server::builder().party::<Chat>("chat").with(silence);
    server.assets(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/chat")).main()
}
