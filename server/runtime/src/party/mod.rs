//! A party: a kind of room with its own code.
//!
//! Parties know rooms, connections, requests and messages; how those travel is none of their business. `use
//! connection_counter_runtime::party::*` brings all that most parties need.

mod alarm;
mod calls;
mod connection;
mod event;
mod key;
mod kinds;
mod life;
mod mailbox;
mod message;
mod request;
mod room;
mod rooms;
mod stub;
mod table;

use std::future::{Future, ready};

/// The crates whose types requests, responses and messages are made of.
pub use {bytes, http};

pub use alarm::unix_ms;
pub use connection::Connection;
pub use key::RoomId;
pub use message::Message;
pub use request::{Request, Response, Status, cors, is_unchanged, json, post, query_value, refusal_in_words, text};
pub use room::Room;
pub use stub::{Lobby, Parties, PartyStub, Socket, Stub};

use self::http::HeaderMap;
pub use crate::close::Close;
use crate::error::Error;
pub(crate) use alarm::AlarmClock;
pub(crate) use key::RoomKey;
pub(crate) use kinds::Kinds;
pub(crate) use rooms::{Attached, Rooms};

/// Rooms whose connections are bounded together; see [`Party::group`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What tells it from other groups. Whoever is refused gets to read it.
    pub name: String,
    /// How many connections its rooms may have together.
    pub connections: u32,
}

/// A kind of room: implement it to write a party of your own.
///
/// Each room is one value of the type, made with `Default`. Its events run one after another, and nothing else touches its
/// fields. Every hook has a default.
///
/// **The room fails** when one of its hooks panics: its connections are closed with code 1011, without
/// [`on_close`](Self::on_close). Whoever waits for an answer gets [`Error::RoomFailed`], status 500. The next event, or else
/// half a second, starts the room again with a new value; see [`Room::failed_before`]. Other rooms do not notice. The panic
/// is logged.
///
/// **An error is logged** for the operator if it is the server's fault, and at level `debug` if it is the client's: the
/// [status](Error::status) says which.
///
/// ```
/// use connection_counter_runtime::party::{Connection, Message, Party, Result, Room};
///
/// /// Everyone hears what anyone says.
/// #[derive(Default)]
/// struct Chat;
///
/// impl Party for Chat {
///     async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
///         room.broadcast(&message, &[from]);
///         Ok(())
///     }
/// }
/// ```
pub trait Party: Default + Send + 'static {
    /// Whether an idle room leaves memory although it has connections. Use it if the fields are only a copy of what is in
    /// storage and in the connections' state. The connections stay open and keep id, URL, tags and state. The next event
    /// starts the room again. Without connections every idle room leaves memory.
    const HIBERNATES: bool = false;

    /// Whether the server forgets what the rooms have stored when it starts. Use it for what is true only while the server
    /// runs, such as who is here. A room that only left memory still finds what it stored.
    const FORGETS: bool = false;

    /// Whether slashes in a URL belong to the room's id. If not, the id ends at the first one, and what follows is a path
    /// within the room.
    const ID_HAS_SLASHES: bool = false;

    /// Reads a room's id, and gives it its one spelling. By default the id is taken as it is. Every id has 1 to 512 bytes
    /// and no control characters.
    ///
    /// **Runs** when anyone asks for a room by its id. An id from a URL is percent-decoded once before.
    ///
    /// **If it fails**, the answer is the error's status, 400 for [`Error::RoomId`]. The room is not started.
    ///
    /// **If it panics**, the connection of whoever asked breaks.
    fn room_id(id: &str) -> Result<RoomId> {
        Ok(RoomId::new(id.to_owned()))
    }

    /// Another room that stands for the one asked for, where the program's settings say that both are one. By default each
    /// room stands for itself.
    ///
    /// **Runs** when anyone asks for a room by its id, after [`room_id`](Self::room_id). It is not asked about the room that it
    /// names.
    ///
    /// **If it panics**, the connection of whoever asked breaks.
    fn same_as(lobby: &Lobby) -> Option<RoomId> {
        let _ = lobby;
        None
    }

    /// The group of rooms that share a bound on their connections, such as all rooms of one customer. By default a room
    /// is in none.
    ///
    /// **Runs** before a WebSocket is let in. Beyond the group's bound the handshake is answered with status 503.
    ///
    /// **If it panics**, the connection of whoever asked breaks.
    fn group(lobby: &Lobby) -> Option<Group> {
        let _ = lobby;
        None
    }

    /// Whether a request counts towards the rate of its address, `--request-burst`. By default all do. A secret in a header
    /// can let an operator's own programs off.
    ///
    /// **Runs** before the body of a request from outside is read.
    ///
    /// **If it panics**, the connection of whoever asked breaks.
    fn is_paced(headers: &HeaderMap, lobby: &Lobby) -> bool {
        let _ = (headers, lobby);
        true
    }

    /// Decides whether a request from outside reaches the room. To tell the room what it found out, it adds to the
    /// request's headers, or to its extensions, which nobody outside can set.
    ///
    /// **Runs** before the room is started, and before the request's body is read: the body it sees is empty, and the room
    /// gets the client's. Requests of other rooms skip it.
    ///
    /// **If it fails**, that is, returns `Err(response)`, the client gets that response, and the room is not told.
    ///
    /// **If it panics**, the answer is status 500, and the room is not told.
    ///
    /// ```
    /// use connection_counter_runtime::{Error, party::{Lobby, Party, Request, Response, Result, http::StatusCode, query_value}};
    ///
    /// #[derive(Default)]
    /// struct Guarded;
    ///
    /// /// Who somebody is, for the room to find with `request.extensions().get::<User>()`.
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// impl Party for Guarded {
    ///     async fn on_before_request(mut request: Request, _: &Lobby) -> Result<Request, Response> {
    ///         match query_value(request.uri(), "word").as_deref() {
    ///             Some("open sesame") => request.extensions_mut().insert(User("ali".into())),
    ///             _ => Err(Error::refused(StatusCode::UNAUTHORIZED, "say the word"))?,
    ///         };
    ///         Ok(request)
    ///     }
    /// }
    /// ```
    fn on_before_request(request: Request, lobby: &Lobby) -> impl Future<Output = Result<Request, Response>> + Send {
        let _ = lobby;
        ready(Ok(request))
    }

    /// Decides whether a WebSocket from outside reaches the room. By default it calls
    /// [`on_before_request`](Self::on_before_request), so one check covers both. [`on_connect`](Self::on_connect) sees the
    /// request that it returns.
    ///
    /// It may choose the subprotocol: of those that `Sec-WebSocket-Protocol` offers, it leaves the chosen one in the request's
    /// header. Otherwise the first one is chosen, and the answer shows it. So it must choose where the first one is a secret.
    ///
    /// **Runs** before the handshake is answered. Sockets of other rooms skip it.
    ///
    /// **If it fails**, that is, returns `Err(response)`, the client gets that response instead of a WebSocket, and the room
    /// is not told. Pages cannot read it; [`refusal_in_words`] makes one that they can.
    ///
    /// **If it panics**, the answer is status 500, and the room is not told.
    fn on_before_connect(request: Request, lobby: &Lobby) -> impl Future<Output = Result<Request, Response>> + Send {
        Self::on_before_request(request, lobby)
    }

    /// Prepares the room.
    ///
    /// **Runs** once before any other hook of the room, each time the room comes to memory.
    ///
    /// **If it fails**, so does the event that started the room: a connection is closed with code 1011, a request gets the
    /// error's status, an alarm rings again later, a message is lost. The next event starts the room again.
    ///
    /// **If it panics**, the room fails.
    fn on_start(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }

    /// Tags for looking up this connection later with [`Room::connections_with`]: at most nine, each of 1 to 256 bytes. The
    /// connection's id is always a tag as well.
    ///
    /// **Runs** before [`on_connect`](Self::on_connect).
    ///
    /// **If it fails**, or a tag is too long, or there are too many, the connection is closed with code 1011 and the error's
    /// text. [`on_connect`](Self::on_connect) does not run.
    ///
    /// **If it panics**, the room fails.
    fn connection_tags(&self, connection: &Connection, request: &Request) -> Result<Vec<String>> {
        let _ = (connection, request);
        Ok(Vec::new())
    }

    /// Greets a connection.
    ///
    /// **Runs** when a connection is new. The handshake is answered when it returns; what it sent arrives right after.
    ///
    /// **If it fails**, the handshake is answered, and the connection is closed with code 1011 and the error's text, cut to
    /// 123 bytes. [`on_close`](Self::on_close) follows.
    ///
    /// **If it panics**, the room fails.
    fn on_connect(
        &mut self,
        room: &mut Room,
        connection: &Connection,
        request: &Request,
    ) -> impl Future<Output = Result> + Send {
        let _ = (room, connection, request);
        ready(Ok(()))
    }

    /// Handles a message.
    ///
    /// **Runs** for each message of a connection, in order. The text `ping` never comes here: the server answers it with
    /// `pong`.
    ///
    /// **If it fails**, the error is logged, and the connection stays open.
    ///
    /// **If it panics**, the room fails.
    fn on_message(
        &mut self,
        room: &mut Room,
        connection: &Connection,
        message: Message,
    ) -> impl Future<Output = Result> + Send {
        let _ = (room, connection, message);
        ready(Ok(()))
    }

    /// Takes leave of a connection. [`Room::connections`] no longer contains it.
    ///
    /// **Runs** exactly once for each connection that [`on_connect`](Self::on_connect) saw, unless the room fails. `code` is
    /// 1006 if the connection broke.
    ///
    /// **If it fails**, the error is logged.
    ///
    /// **If it panics**, the room fails.
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

    /// Hears that a connection broke, by an error or by silence.
    ///
    /// **Runs** before [`on_close`](Self::on_close), for connections that did not say goodbye.
    ///
    /// **If it fails**, the error is logged, and [`on_close`](Self::on_close) runs all the same.
    ///
    /// **If it panics**, the room fails.
    fn on_error(
        &mut self,
        room: &mut Room,
        connection: &Connection,
        reason: &str,
    ) -> impl Future<Output = Result> + Send {
        let _ = (room, connection, reason);
        ready(Ok(()))
    }

    /// Answers a request. By default the answer is status 404.
    ///
    /// **Runs** for each request on the room's URL or below it, of any method, from outside or from another room.
    ///
    /// **If it fails**, the answer is [`Error::status`] with the error's text.
    ///
    /// **If it panics**, the answer is status 500, and the room fails.
    fn on_request(&mut self, room: &mut Room, request: Request) -> impl Future<Output = Result<Response>> + Send {
        let _ = (room, request);
        ready(Err(Error::NotFound))
    }

    /// Does what the room set its alarm for; see [`Room::set_alarm`].
    ///
    /// **Runs** when the alarm is due: at least once for each alarm, also after a restart.
    ///
    /// **If it fails**, it runs again after 2 s, then after twice as long each time, six times at most. The error is logged.
    ///
    /// **If it panics**, the room fails, and the alarm rings again as after an error.
    fn on_alarm(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }

    /// Does what the room asked for with [`Room::tick_in`].
    ///
    /// **Runs** when that moment has come. Unlike an alarm it does not outlive the room.
    ///
    /// **If it fails**, the error is logged.
    ///
    /// **If it panics**, the room fails.
    fn on_tick(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }
}

/// What hooks return. What gatekeepers return is a `Result<Request, Response>`.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;
