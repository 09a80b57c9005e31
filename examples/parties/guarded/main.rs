//! A room with a door: who has no valid pass does not get in, and who talks too fast is not heard.

use std::{collections::HashMap, env, process::ExitCode, time};

use connection_counter::{Server, party::*};
use fernet::Fernet;
use http::StatusCode;

/// Seconds. A pass opens a connection and is then of no use, so it need not live longer than that takes.
const LIFETIME: u64 = 30;
/// Messages that one user may send within [`WINDOW`]: enough for a quick exchange, too few to drown it.
const MESSAGES: u32 = 5;
const WINDOW: time::Duration = time::Duration::from_secs(10);

/// Where people with a pass talk. For each user, since when they talk and how often they did: a second connection is no
/// second allowance.
#[derive(Default)]
struct Guarded(HashMap<String, (time::Instant, u32)>);

/// Who has shown a valid pass.
#[derive(Clone)]
struct User(String);

impl Party for Guarded {
    /// Connections come by here, too. The pass is in the URL, because a browser sends no headers of ours with those.
    async fn on_before_request(mut request: Request, lobby: &Lobby) -> Result<Request, Response> {
        let pass = query_value(request.uri(), "pass").unwrap_or_default();
        let Ok(user) = lobby.setting::<Fernet>()?.decrypt_with_ttl(&pass, LIFETIME) else {
            return Err(text(StatusCode::UNAUTHORIZED, "show a valid pass; POST /parties/login/ann gives one"));
        };
        // The room finds the user there. Nobody outside can forge that, as they could a header.
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
            // Told, not closed: the client would only come back.
            _ if *messages > MESSAGES => from.send(Message::text("Slow down."))?,
            Message::Text(text) => room.broadcast(&Message::text(format!("{user}: {text}")), &[]),
            Message::Binary(_) => {}
        }
        Ok(())
    }

    /// Who is here.
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        json(&room.connections().filter_map(|connection| connection.state().ok()?).collect::<Vec<String>>())
    }
}

/// Gives a pass to whoever asks: `POST /parties/login/ann`. A real one asks for a password first, or is a web site that
/// has the same key, in any language: a pass is a Fernet token, signed, dated and sealed.
#[derive(Default)]
struct Login;

impl Party for Login {
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        Ok(text(StatusCode::OK, room.setting::<Fernet>()?.encrypt(room.id().as_bytes())))
    }
}

fn main() -> Result<ExitCode, &'static str> {
    // Without a key of its own it takes one that no one knows and that ends with this run.
    let key = env::var("GUARDED_KEY").unwrap_or_else(|_| Fernet::generate_key());
    let key = Fernet::new(&key).ok_or("GUARDED_KEY: give 32 random bytes as base64url")?;
    let server = Server::builder().party::<Guarded>("main").party::<Login>("login").with(key);
    Ok(server.assets(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/guarded")).main())
}
