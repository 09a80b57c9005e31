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
mod request;
mod room;
mod rooms;
mod stub;
mod table;

use std::future::{Future, ready};

/// The crates whose types requests, responses and messages are made of.
pub use {bytes, http};

pub use alarm::unix_ms;
pub use connection::{Connection, Message};
pub use key::RoomId;
pub use request::{Request, Response, cors, is_unchanged, json, post, query_value, refusal_in_words, text};
pub use room::Room;
pub use stub::{Lobby, Parties, PartyStub, Socket, Stub};

use self::http::HeaderMap;
pub use crate::close::Close;
use crate::error::Error;
pub(crate) use alarm::AlarmClock;
pub(crate) use connection::Outgoing;
pub(crate) use key::RoomKey;
pub(crate) use kinds::Kinds;
pub(crate) use rooms::{Attached, Rooms, connection_id};

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
/// Each room is one value of the type, made with `Default`, and an actor: its events run one after another, and nothing
/// else touches its fields. Every hook has a default. What an error of a hook means is said at each.
///
/// A hook that panics ends its room, and nothing else: that is logged once, the room's connections are closed with code
/// 1011 and without [`on_close`](Self::on_close), and whoever waits for an answer gets [`Error::RoomFailed`]. The next
/// event, or else half a second, starts the room afresh, with a new value; see [`Room::failed_before`].
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
    /// Whether an idle room leaves memory although it has connections: for parties whose fields are only a copy of what
    /// is in storage and in their connections' state. The connections live on, with id, URL, tags and state, and the next
    /// event starts the room again. Without connections every idle room leaves memory.
    const HIBERNATES: bool = false;

    /// Whether what its rooms store is forgotten when the server starts: for what is true only while it runs, such as who
    /// is here. A server that was killed could not take it back. A room that left memory finds it again all the same.
    const FORGETS: bool = false;

    /// The one spelling of a room's id, given as it stands in a URL after one percent-decode. By default as it is:
    /// 1 to 512 bytes without control characters.
    ///
    /// # Errors
    /// Answered with the error's status, 400 for a bad id; the room is not started. A panic breaks the connection of
    /// whoever asked.
    fn room_id(id: &str) -> Result<RoomId> {
        Ok(RoomId::new(id.to_owned()))
    }

    /// The group of rooms that share a bound on their connections, such as all rooms of one customer. By default rooms
    /// share none. Beyond the bound, handshakes are answered with status 503.
    fn group(lobby: &Lobby) -> Option<Group> {
        let _ = lobby;
        None
    }

    /// Whether a request from outside counts towards the rate of its address, `--request-burst`. By default all do. Runs
    /// before the request's body is read: an operator's own programs can be let off by a secret in a header.
    fn is_paced(headers: &HeaderMap, lobby: &Lobby) -> bool {
        let _ = (headers, lobby);
        true
    }

    /// Gatekeeper, run before a request from outside reaches the room; requests of other rooms skip it. `Err` is the
    /// answer to give instead, and the room hears nothing of it: so it is when the gatekeeper panics, with status 500.
    ///
    /// What it has found out it tells the room in the request's headers, or in its extensions, which nobody outside can
    /// forge.
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

    /// Gatekeeper, run before a WebSocket from outside reaches the room, and all else as for
    /// [`on_before_request`](Self::on_before_request), which it asks by default: who closes one door has closed both. The
    /// request it returns is what [`on_connect`](Self::on_connect) sees.
    fn on_before_connect(request: Request, lobby: &Lobby) -> impl Future<Output = Result<Request, Response>> + Send {
        Self::on_before_request(request, lobby)
    }

    /// Runs once before any other hook, each time the room comes (back) to memory.
    ///
    /// # Errors
    /// The event that started the room fails with it, as it would by its own hook, and the next one tries again.
    fn on_start(&mut self, room: &mut Room) -> impl Future<Output = Result> + Send {
        let _ = room;
        ready(Ok(()))
    }

    /// By what a connection can be found again with [`Room::connections_with`]: at most nine tags of 1 to 256 bytes. Its
    /// id is always one more. Runs before [`on_connect`](Self::on_connect).
    ///
    /// # Errors
    /// As for `on_connect`; so it is when there are too many tags, or too long ones.
    fn connection_tags(&self, connection: &Connection, request: &Request) -> Result<Vec<String>> {
        let _ = (connection, request);
        Ok(Vec::new())
    }

    /// A connection is here. The handshake is answered when this returns; what it sends arrives right after.
    ///
    /// # Errors
    /// The handshake is answered, then the connection is closed with code 1011 and the error's text, cut to 123 bytes.
    /// [`on_close`](Self::on_close) follows.
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

    /// A connection is gone, for whatever reason but a panic of the room; exactly once for each that
    /// [`on_connect`](Self::on_connect) saw. The room's connections no longer contain it. `code` is 1006 when it went
    /// without a goodbye.
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
    /// Run again after 2 s, then after twice as long each time, six times at most. So it is after a panic.
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

/// What hooks return. What gatekeepers return is a `Result<Request, Response>`.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;
