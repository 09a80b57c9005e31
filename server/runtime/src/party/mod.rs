//! A party: a kind of room with its own code.
//!
//! Parties know rooms, connections, requests and messages. They do not know how these are sent. `use
//! connection_counter_runtime::party::*` imports all that most parties need.

mod alarm;
mod by_connection;
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

/// The crates whose types are used in requests, responses and messages.
pub use {bytes, http};

pub use alarm::unix_ms;
pub use by_connection::ByConnection;
pub use connection::Connection;
pub use key::RoomId;
pub use message::Message;
pub use request::{
    Request, Response, Status, cors, credentials, is_unchanged, json, post, query_value, refusal_in_words, text,
};
pub use room::Room;
pub use stub::{Lobby, Parties, PartyStub, Socket, Stub};

use self::http::HeaderMap;
pub use crate::close::Close;
use crate::error::Error;
pub(crate) use alarm::AlarmClock;
pub(crate) use key::RoomKey;
pub(crate) use kinds::Kinds;
pub(crate) use rooms::{Attached, Rooms};

/// Rooms with a common limit on their connections; see [`Party::group`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name of the group, unlike that of all other groups. A client that is refused reads it in the error.
    pub name: String,
    /// How many connections its rooms may have together.
    pub connections: u32,
}

/// A kind of room. Implement it to write your own party.
///
/// Each room is one value of the type, created with `Default`. A room handles its events one after another, and nothing else
/// touches its fields. Every hook has a default.
///
/// **The room fails** when one of its hooks panics. Its connections are closed with code 1011, without
/// [`on_close`](Self::on_close). Callers that wait for an answer get [`Error::RoomFailed`], status 500. The room starts again
/// with a new value at the next event, or after half a second; see [`Room::failed_before`]. Other rooms are not affected. The
/// panic is logged.
///
/// **An error is logged** for the operator if it is the server's fault, and at level `debug` if it is the client's. The
/// [status](Error::status) decides which.
///
/// ```
/// use connection_counter_runtime::party::{Connection, Message, Party, Result, Room};
///
/// /// Sends each message to everyone else.
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
    /// Whether an idle room leaves memory even if it has connections. Use this if the fields are only a copy of what is in
    /// storage and in the connections' state. The connections stay open and keep id, URL, tags and state. The next event
    /// starts the room again. An idle room without connections always leaves memory.
    const HIBERNATES: bool = false;

    /// Whether the server deletes the storage of all rooms of this party when it starts. Use this for values that are true only
    /// while the server runs, such as who is connected. A room that only left memory keeps its storage.
    const FORGETS: bool = false;

    /// Whether slashes in a URL belong to the room's id. If not, the id ends at the first slash, and the rest is a path within
    /// the room.
    const ID_HAS_SLASHES: bool = false;

    /// Checks a room's id and returns its one spelling. By default the id stays as it is. Every id has 1 to 512 bytes and no
    /// control characters.
    ///
    /// **Runs** when anyone asks for a room by its id. An id from a URL has been percent-decoded once.
    ///
    /// **If it fails**, the answer is the error's status, 400 for [`Error::RoomId`]. The room is not started.
    ///
    /// **If it panics**, the connection of the caller breaks.
    fn room_id(id: &str) -> Result<RoomId> {
        Ok(RoomId::new(id.to_owned()))
    }

    /// Returns the room to use instead, if the program's settings say that two rooms are one. By default no room is replaced.
    ///
    /// **Runs** when anyone asks for a room by its id, after [`room_id`](Self::room_id). It does not run again for the room that it
    /// returns. It cannot fail.
    ///
    /// **If it panics**, the connection of the caller breaks.
    fn same_as(lobby: &Lobby) -> Option<RoomId> {
        let _ = lobby;
        None
    }

    /// Returns the group of rooms with a common limit on their connections, such as all rooms of one customer. By default a room
    /// is in no group.
    ///
    /// **Runs** before a WebSocket is accepted. Beyond the group's limit the handshake is answered with status 503. It cannot fail.
    ///
    /// **If it panics**, the connection of the caller breaks.
    fn group(lobby: &Lobby) -> Option<Group> {
        let _ = lobby;
        None
    }

    /// Returns whether a request counts towards the rate of its address, `--request-burst`. By default every request does. Use it to
    /// exempt an operator's own programs, which send a secret in a header.
    ///
    /// **Runs** before the body of a request from outside is read. It cannot fail.
    ///
    /// **If it panics**, the connection of the caller breaks.
    fn is_paced(headers: &HeaderMap, lobby: &Lobby) -> bool {
        let _ = (headers, lobby);
        true
    }

    /// Decides whether a request from outside reaches the room. It can pass results to the room in the request's headers, or in
    /// its extensions, which nobody outside can set.
    ///
    /// **Runs** before the room is started and before the request's body is read. So it sees an empty body. The room gets the real
    /// one. Requests of other rooms skip this hook.
    ///
    /// **If it fails**, which means it returns `Err(response)`, the client gets that response, and the room is not told.
    ///
    /// **If it panics**, the answer is status 500, and the room is not told.
    ///
    /// ```
    /// use connection_counter_runtime::{Error, party::{Lobby, Party, Request, Response, Result, http::StatusCode, query_value}};
    ///
    /// #[derive(Default)]
    /// struct Guarded;
    ///
    /// /// The user's name. The room finds it with `request.extensions().get::<User>()`.
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
    /// It may choose the subprotocol: of those in the request's `Sec-WebSocket-Protocol`, it leaves only the chosen one there.
    /// Otherwise the server chooses the first one. The answer shows the chosen one to the client. So if the first one is a secret,
    /// choose another.
    ///
    /// **Runs** before the handshake is answered. Sockets of other rooms skip this hook.
    ///
    /// **If it fails**, which means it returns `Err(response)`, the client gets that response instead of a WebSocket, and the room
    /// is not told. Pages cannot read that response. Use [`refusal_in_words`] for one that they can read.
    ///
    /// **If it panics**, the answer is status 500, and the room is not told.
    fn on_before_connect(request: Request, lobby: &Lobby) -> impl Future<Output = Result<Request, Response>> + Send {
        Self::on_before_request(request, lobby)
    }

    /// Prepares the room.
    ///
    /// **Runs** before all other hooks of the room, once each time the room is loaded into memory.
    ///
    /// **If it fails**, the event that started the room fails, too: a connection is closed with code 1011, a request gets the
    /// error's status, an alarm runs again later, a message is lost. The next event starts the room again.
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

    /// Handles a new connection.
    ///
    /// **Runs** once for each connection, before the handshake is answered. Messages that it sends arrive right after the answer.
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
    /// **Runs** for each message of a connection, in order. It never gets the text `ping`, because the server answers that with
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

    /// Handles the end of a connection. [`Room::connections`] no longer contains it.
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

    /// Handles a broken connection: one that had an error or fell silent.
    ///
    /// **Runs** before [`on_close`](Self::on_close), for connections that ended without a close message.
    ///
    /// **If it fails**, the error is logged, and [`on_close`](Self::on_close) still runs.
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
    /// **Runs** for each request to the room's URL or a path below it, with any method, from outside or from another room.
    ///
    /// **If it fails**, the answer is [`Error::status`] with the error's text.
    ///
    /// **If it panics**, the answer is status 500, and the room fails.
    fn on_request(&mut self, room: &mut Room, request: Request) -> impl Future<Output = Result<Response>> + Send {
        let _ = (room, request);
        ready(Err(Error::NotFound))
    }

    /// Handles the room's alarm; see [`Room::set_alarm`].
    ///
    /// **Runs** when the alarm is due: at least once for each alarm, also after a restart.
    ///
    /// **If it fails**, it runs again after 2 s, then after twice as long each time, at most six times. The error is logged.
    ///
    /// **If it panics**, the room fails, and the alarm runs again as after an error.
    fn on_alarm(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }

    /// Handles a tick that the room asked for with [`Room::tick_in`].
    ///
    /// **Runs** when the tick is due. Unlike an alarm, a tick is lost when the room leaves memory.
    ///
    /// **If it fails**, the error is logged.
    ///
    /// **If it panics**, the room fails.
    fn on_tick(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }
}

/// The result of hooks. Gatekeepers return a `Result<Request, Response>`.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;
