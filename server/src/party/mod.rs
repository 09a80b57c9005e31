//! A party: a kind of room with its own code. `page` and `counter` are the two built in.
//!
//! Parties know rooms, connections, requests and messages; how those travel is none of their business.

pub(crate) mod alarm;
mod calls;
mod connection;
mod kinds;
mod room;
mod rooms;
mod stub;

use std::future::{Future, ready};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

pub use connection::{Connection, Message};
pub use room::Room;
pub use stub::{Lobby, Parties, PartyStub, Socket, Stub};

pub(crate) use alarm::AlarmClock;
pub(crate) use connection::{Outgoing, cut_reason};
pub(crate) use kinds::Kinds;
pub(crate) use rooms::{Attached, RoomKey, Rooms, connection_id};
/// Lets other rooms have their turn.
pub(crate) use tokio::task::yield_now;

use crate::error::Error;

/// An HTTP request with its whole body: from outside, or from another room through a [`Stub`].
pub type Request = http::Request<Bytes>;

/// An HTTP response with its whole body.
pub type Response = http::Response<Bytes>;

/// A kind of room: implement it to write a party of your own.
///
/// Each room is one value of the type, and an actor: its events run one after another, and nothing else touches its
/// fields. Every hook has a default. A hook that fails is logged; what it fails means is said at each. A hook that
/// panics ends the room: its connections are closed with code 1011, and the next event starts it afresh.
///
/// ```
/// use connection_counter::party::{Connection, Message, Party, Result, Room};
///
/// /// Everyone hears what anyone says.
/// struct Chat;
///
/// impl Party for Chat {
///     fn new(_: &Room) -> Self {
///         Self
///     }
///
///     async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
///         room.broadcast(&message, &[from]);
///         Ok(())
///     }
/// }
/// ```
pub trait Party: Sized + Send + 'static {
    /// Whether an idle room leaves memory although it has connections: for parties whose fields are only a copy of what
    /// is in storage and in their connections' state. The connections live on, with id, URL, tags and state, and the next
    /// event starts the room again. Without connections every idle room leaves memory.
    const HIBERNATES: bool = false;

    /// The one spelling of a room's id, given as it stands in a URL after one percent-decode. By default as it is:
    /// 1 to 512 bytes without control characters.
    ///
    /// # Errors
    /// Answered with status 400; the room is not started.
    fn room_id(id: &str) -> Result<String> {
        rooms::plain_room_id(id)
    }

    /// Gatekeeper, run before a WebSocket from outside reaches the room. The request it returns is what
    /// [`on_connect`](Self::on_connect) sees, so it may add headers. `Err` is the answer to give instead.
    fn on_before_connect(
        request: Request,
        lobby: &Lobby,
    ) -> impl Future<Output = std::result::Result<Request, Response>> + Send {
        let _ = lobby;
        ready(Ok(request))
    }

    /// Gatekeeper, run before a request from outside reaches the room; requests of other rooms skip it. `Err` is the
    /// answer to give instead.
    fn on_before_request(
        request: Request,
        lobby: &Lobby,
    ) -> impl Future<Output = std::result::Result<Request, Response>> + Send {
        let _ = lobby;
        ready(Ok(request))
    }

    /// Makes the room's value, in memory only. What it remembers is read in [`on_start`](Self::on_start).
    fn new(room: &Room) -> Self;

    /// Runs once before any other hook, each time the room comes (back) to memory.
    ///
    /// # Errors
    /// The event that started the room fails with it, and the next one tries again.
    fn on_start(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }

    /// By what a connection can be found again with [`Room::connections_with`]: at most nine tags of 1 to 256 bytes. Its
    /// id is always one more. Runs before [`on_connect`](Self::on_connect).
    ///
    /// # Errors
    /// As for `on_connect`.
    fn connection_tags(&self, connection: &Connection, request: &Request) -> Result<Vec<String>> {
        let _ = (connection, request);
        Ok(Vec::new())
    }

    /// A connection is here. The handshake is answered when this returns; what it sends arrives right after.
    ///
    /// # Errors
    /// The handshake is answered, then the connection is closed with code 1011 and the error's text.
    fn on_connect(
        &mut self,
        room: &mut Room,
        connection: &Connection,
        request: &Request,
    ) -> impl Future<Output = Result> + Send {
        let _ = (room, connection, request);
        ready(Ok(()))
    }

    /// A connection said something. The text `ping` never comes here: it is answered with `pong` on the way.
    ///
    /// # Errors
    /// Logged; the connection lives on.
    fn on_message(
        &mut self,
        room: &mut Room,
        connection: &Connection,
        message: Message,
    ) -> impl Future<Output = Result> + Send {
        let _ = (room, connection, message);
        ready(Ok(()))
    }

    /// A connection is gone, for whatever reason; exactly once for each that [`on_connect`](Self::on_connect) saw,
    /// unless the room panicked meanwhile. The room's connections no longer contain it. `code` is 1006 when it went without a goodbye.
    ///
    /// # Errors
    /// Logged.
    fn on_close(
        &mut self,
        room: &mut Room,
        connection: &Connection,
        code: u16,
        reason: &str,
    ) -> impl Future<Output = Result> + Send {
        let _ = (room, connection, code, reason);
        ready(Ok(()))
    }

    /// A connection broke: no goodbye, only an error or silence. [`on_close`](Self::on_close) follows.
    ///
    /// # Errors
    /// Logged.
    fn on_error(
        &mut self,
        room: &mut Room,
        connection: &Connection,
        reason: &str,
    ) -> impl Future<Output = Result> + Send {
        let _ = (room, connection, reason);
        ready(Ok(()))
    }

    /// A request, of any method, on the room's URL or below it.
    ///
    /// # Errors
    /// Answered with [`Error::status`] and the error's text.
    fn on_request(&mut self, room: &mut Room, request: Request) -> impl Future<Output = Result<Response>> + Send {
        let _ = (room, request);
        ready(Err(Error::NotFound))
    }

    /// The alarm the room set is due. Runs at least once for each alarm, also after a restart.
    ///
    /// # Errors
    /// Run again after 2 s, then after twice as long each time, six times at most.
    fn on_alarm(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }

    /// The moment asked for with [`Room::tick_in`] has come. Unlike an alarm it does not outlive the room.
    ///
    /// # Errors
    /// Logged.
    fn on_tick(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }
}

/// What hooks return.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// A response of `value` as JSON that no cache keeps and any page may read.
///
/// # Errors
/// If `value` cannot be written as JSON.
pub fn json<T: Serialize>(value: &T) -> Result<Response> {
    let mut response = fresh(StatusCode::OK, "application/json", serde_json::to_vec(value)?);
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}

/// A response of one sentence.
#[must_use]
pub fn text(status: StatusCode, sentence: impl Into<String>) -> Response {
    fresh(status, "text/plain; charset=utf-8", sentence.into())
}

/// A response that no cache keeps and no browser takes for anything else.
fn fresh(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A refusal that a web page can read: the WebSocket is accepted, and closed at once with the error's code and text. A page
/// never learns why a handshake failed, so without this its client would come back again and again.
///
/// For [`Party::on_before_connect`] only; see [`Error::close_code`].
#[must_use]
pub fn refusal_in_words(error: &Error) -> Response {
    let mut response = text(error.status(), error.to_string());
    let goodbye = Goodbye { code: error.close_code(), reason: cut_reason(&error.to_string()).to_owned() };
    response.extensions_mut().insert(goodbye);
    response
}

/// Marks a response that is given as a close frame.
#[derive(Clone, Debug)]
pub(crate) struct Goodbye {
    pub(crate) code: u16,
    pub(crate) reason: String,
}
