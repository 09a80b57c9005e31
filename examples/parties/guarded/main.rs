//! A room that lets in only clients with a valid pass, and limits how fast each user talks.

use std::{collections::HashMap, env, process::ExitCode, time};

use connection_counter::{Server, party::*};
use fernet::Fernet;
use http::StatusCode;

/// Seconds that a pass is valid. It is only needed to open a connection, so it need not last longer than that takes.
const LIFETIME: u64 = 30;
/// Messages that one user may send within [`WINDOW`]. It is enough for a quick exchange, and too few to flood the room.
const MESSAGES: u32 = 5;
const WINDOW: time::Duration = time::Duration::from_secs(10);

/// A room for users with a pass. For each user, it keeps when the window began and how many messages they sent in it, so a
/// second connection does not raise the limit.
#[derive(Default)]
struct Guarded(HashMap<String, (time::Instant, u32)>);

/// The user of a valid pass.
#[derive(Clone)]
struct User(String);

impl Party for Guarded {
    /// This also runs for connections. The pass is in the URL, because browsers do not let pages set headers of a WebSocket.
    async fn on_before_request(mut request: Request, lobby: &Lobby) -> Result<Request, Response> {
        let pass = query_value(request.uri(), "pass").unwrap_or_default();
        let Ok(user) = lobby.setting::<Fernet>()?.decrypt_with_ttl(&pass, LIFETIME) else {
            return Err(text(StatusCode::UNAUTHORIZED, "show a valid pass; POST /parties/login/ann gives one"));
        };
        // The room finds the user here. Unlike a header, nobody outside can forge it.
        request.extensions_mut().insert(User(String::from_utf8_lossy(&user).into_owned()));
        Ok(request)
    }

    async fn on_connect(&mut self, _: &mut Room, connection: &Connection, request: &Request) -> Result {
        connection.set_state(&request.extensions().get::<User>().map(|user| &user.0))
    }

    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        let user: String = from.state()?.unwrap_or_default();
        let now = room.now();
        self.0.retain(|_, (since, _)| now - *since < WINDOW);
        let (_, messages) = self.0.entry(user.clone()).or_insert((now, 0));
        *messages += 1;
        match message {
            // The user gets a message and stays connected, because a closed client would only reconnect.
            _ if *messages > MESSAGES => from.send(Message::text("Slow down."))?,
            Message::Text(text) => room.broadcast(&Message::text(format!("{user}: {text}")), &[]),
            Message::Binary(_) => {}
        }
        Ok(())
    }

    /// Lists the users who are connected.
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        json(&room.connections().filter_map(|connection| connection.state().ok()?).collect::<Vec<String>>())
    }
}

/// Gives a pass to anyone who asks with `POST /parties/login/ann`. A real login asks for a password first. It can also be a web
/// site in any language with the same key. A pass is a Fernet token, which is signed, dated and encrypted.
#[derive(Default)]
struct Login;

impl Party for Login {
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        Ok(text(StatusCode::OK, room.setting::<Fernet>()?.encrypt(room.id().as_bytes())))
    }
}

fn main() -> Result<ExitCode, &'static str> {
    // Without a key in the environment, this creates a secret one for this run.
    let key = env::var("GUARDED_KEY").unwrap_or_else(|_| Fernet::generate_key());
    let key = Fernet::new(&key).ok_or("GUARDED_KEY: give 32 random bytes as base64url")?;
    let server = Server::builder().party::<Guarded>("main").party::<Login>("login").with(key);
    Ok(server.assets(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/guarded")).main())
}
