//! A room with a door: who has no valid pass does not get in, and who talks too fast is not heard.

mod pace;
mod pass;

use std::process::ExitCode;

use connection_counter::{
    Config, Server,
    party::{Connection, Lobby, Message, Party, Request, Response, Result, Room, json, text},
};
use http::{StatusCode, header};
use pace::Pace;
use pass::{Login, Pass};
use url::form_urlencoded;

/// Where people with a pass talk.
struct Guarded(Pace);

impl Party for Guarded {
    fn new(_: &Room) -> Self {
        Self(Pace::default())
    }

    async fn on_before_connect(request: Request, _: &Lobby) -> std::result::Result<Request, Response> {
        // In the URL, because a browser sends no headers of ours with a WebSocket.
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let token = form_urlencoded::parse(query).find(|(key, _)| key == "pass");
        let pass = token.and_then(|(_, token)| Pass::check(&token));
        admit(request, pass)
    }

    async fn on_before_request(request: Request, _: &Lobby) -> std::result::Result<Request, Response> {
        let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let pass = bearer.and_then(|bearer| Pass::check(bearer.strip_prefix("Bearer ")?));
        admit(request, pass)
    }

    async fn on_connect(&mut self, _: &mut Room, connection: &Connection, request: &Request) -> Result {
        connection.set_state(&request.extensions().get::<Pass>().map(|pass| &pass.user))
    }

    async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
        let user: String = from.state()?.unwrap_or_default();
        if !self.0.allows(&user, room.now()) {
            // Told, not closed: the client would only come back.
            return from.send(Message::text("Slow down."));
        }
        if let Message::Text(text) = message {
            room.broadcast(&Message::text(format!("{user}: {text}")), &[]);
        }
        Ok(())
    }

    /// Who is here.
    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        let users = room.connections().filter_map(|connection| connection.state::<String>().ok()?);
        json(&users.collect::<Vec<_>>())
    }
}

/// The room finds the pass in the request's extensions. Nobody outside can forge those, as they could a header.
fn admit(mut request: Request, pass: Option<Pass>) -> std::result::Result<Request, Response> {
    let pass =
        pass.ok_or_else(|| text(StatusCode::UNAUTHORIZED, "show a valid pass; POST /parties/login/ann gives one"))?;
    request.extensions_mut().insert(pass);
    Ok(request)
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut config = Config::from_args();
    config.assets = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/parties/guarded").into());
    let server = Server::builder().party::<Guarded>("main").party::<Login>("login");
    connection_counter::main(server, config).await
}
