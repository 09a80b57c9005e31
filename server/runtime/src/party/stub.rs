//! The handles through which parties and gatekeepers reach rooms.

use super::{Attached, Close, Message, Request, Response, Result, RoomKey, Rooms, event::Event};
use crate::{
    error::Error,
    sockets::{self, Outgoing},
};

/// What a gatekeeper sees of the server: the room that is asked for, and the other rooms. The room itself is not started.
///
/// ```
/// use connection_counter_runtime::party::*;
///
/// #[derive(Default)]
/// struct Diary;
///
/// impl Party for Diary {
///     /// Another party knows whose diary this is.
///     async fn on_before_request(request: Request, lobby: &Lobby) -> Result<Request, Response> {
///         let owners = lobby.parties().get("owners")?.room(lobby.room_id())?;
///         let answer = owners.fetch(request.clone()).await?;
///         if answer.status().is_success() { Ok(request) } else { Err(answer) }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Lobby {
    /// The room asked for.
    key: RoomKey,
    /// All rooms of the server.
    rooms: Rooms,
}

impl Lobby {
    pub(super) fn new(key: RoomKey, rooms: Rooms) -> Self {
        Self { key, rooms }
    }

    /// The id of the room that is asked for.
    #[must_use]
    pub fn room_id(&self) -> &str {
        self.key.id()
    }

    /// The value that [`Party::room_id`](super::Party::room_id) made from the id. `None` if it has another type than `T`.
    #[must_use]
    pub fn parsed_id<T: 'static>(&self) -> Option<&T> {
        self.key.parsed_id()
    }

    /// The value of type `T` that was given to [`Server::with`](crate::Server::with).
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none.
    pub fn setting<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.rooms.setting()
    }

    /// The rooms of this server. A gatekeeper can ask them who may come in.
    #[must_use]
    pub fn parties(&self) -> Parties {
        Parties { rooms: self.rooms.clone(), caller: None }
    }
}

/// The parties of this server, for one room; see [`Stub`].
#[derive(Clone)]
pub struct Parties {
    /// All rooms of the server.
    rooms: Rooms,
    /// The room that uses them. `None` for a gatekeeper, because no room waits for a gatekeeper.
    caller: Option<RoomKey>,
}

impl Parties {
    pub(crate) fn new(rooms: Rooms, caller: Option<RoomKey>) -> Self {
        Self { rooms, caller }
    }

    /// A party by its name.
    ///
    /// # Errors
    /// Fails with [`Error::UnknownParty`] if there is no such party.
    pub fn get(&self, party: &str) -> Result<PartyStub> {
        Ok(PartyStub { parties: self.clone(), party: self.rooms.party(party)? })
    }
}

/// One party, for one room.
#[derive(Clone)]
pub struct PartyStub {
    /// Whose view this is.
    parties: Parties,
    /// The party's name.
    party: &'static str,
}

impl PartyStub {
    /// The handle to one of the party's rooms. The room starts when something is sent to it.
    ///
    /// # Errors
    /// Fails if the party refuses the id; see [`Party::room_id`](super::Party::room_id).
    pub fn room(&self, id: &str) -> Result<Stub> {
        let Parties { rooms, caller } = self.parties.clone();
        let key = rooms.room_key(self.party, id)?;
        Ok(Stub { rooms, caller, key })
    }

    /// The party's rooms that are in memory now.
    #[must_use]
    pub fn awake(&self) -> Vec<Stub> {
        let Parties { rooms, caller } = &self.parties;
        let ours = rooms.awake_of(self.party).into_iter();
        ours.map(|key| Stub { rooms: rooms.clone(), caller: caller.clone(), key }).collect()
    }
}

/// A handle to a room. Calls through it stay in this process and skip the gatekeepers.
///
/// ```
/// use connection_counter_runtime::party::*;
///
/// #[derive(Default)]
/// struct Quiz;
///
/// impl Party for Quiz {
///     async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
///         let scores = room.parties().get("scores")?.room("today")?;
///         // This goes one way, so there is nothing to wait for.
///         scores.send(post(&("ann", 3))?)?;
///         // Waits for the answer. Paths start with `/` and are below the room's own address.
///         let best = http::Request::builder().uri("/best?of=10").body(bytes::Bytes::new())?;
///         scores.fetch(best).await
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Stub {
    /// All rooms of the server.
    rooms: Rooms,
    /// The room that holds this handle. `None` for a gatekeeper.
    caller: Option<RoomKey>,
    /// The room that this reaches.
    key: RoomKey,
}

impl Stub {
    /// The room's id.
    #[must_use]
    pub fn room_id(&self) -> &str {
        self.key.id()
    }

    /// Sends the room a request and waits for its answer. It skips the gatekeepers.
    ///
    /// # Errors
    /// - [`Error::Path`] if the request's path does not start with `/`.
    /// - [`Error::CallCycle`] if the room waits, directly or not, for the caller.
    /// - [`Error::Deadline`] after [`Limits::call_timeout`](crate::Limits::call_timeout).
    /// - [`Error::RoomFailed`] if the room panics.
    /// - The error of the room's own hook, if that fails.
    pub async fn fetch(&self, request: Request) -> Result<Response> {
        let request = self.addressed(request)?;
        let _waiting = self.rooms.enter_call(self.caller.as_ref(), &self.key)?;
        self.rooms.request(&self.key, request).await
    }

    /// Sends the room a request and does not wait. The answer is dropped, and an error is logged. Requests from one room to
    /// another arrive in order. A room may send to itself.
    ///
    /// # Errors
    /// - [`Error::Path`] if the request's path does not start with `/`.
    /// - [`Error::RoomBusy`], [`Error::TooManyRooms`] or [`Error::Stopping`] if the room cannot take it now. The request is
    ///   then dropped.
    pub fn send(&self, request: Request) -> Result {
        let request = self.addressed(request)?;
        self.rooms.deliver(&self.key, Event::Request { request: Box::new(request), reply: None, outside: false })
    }

    /// Opens a connection to the room within this process. The room sees it like any other. It skips the gatekeepers.
    ///
    /// # Errors
    /// Fails like [`fetch`](Self::fetch). If the room's `on_connect` fails, this succeeds, and the room closes the connection.
    pub async fn socket(&self, request: Request) -> Result<Socket> {
        let request = self.addressed(request)?;
        let _waiting = self.rooms.enter_call(self.caller.as_ref(), &self.key)?;
        let mut attached = self.rooms.connect(&self.key, sockets::Socket::local(), None, request).await?;
        // If the socket is dropped, the room sees that it left, and no error.
        attached.closed(Close::without_status());
        Ok(Socket { attached, stub: self.clone() })
    }

    /// The request with the address that it would have from outside with the default prefix.
    fn addressed(&self, mut request: Request) -> Result<Request> {
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        // A path without a slash is parsed as a host.
        if !path.starts_with('/') || (request.uri().scheme().is_none() && request.uri().authority().is_some()) {
            return Err(Error::Path(request.uri().to_string()));
        }
        let path = if path == "/" { "" } else { path };
        let uri = format!("/parties/{}/{}{path}", self.key.party(), self.key.segment());
        *request.uri_mut() = uri.parse().map_err(|_| Error::Path(path.to_owned()))?;
        Ok(request)
    }
}

/// A connection from one room to another, for use within one hook: messages arrive only while the hook waits in
/// [`recv`](Self::recv). Dropping it closes the connection. If the other room should send messages at any time, let it use
/// [`send`](Stub::send).
///
/// ```
/// use connection_counter_runtime::party::*;
///
/// /// Asks the room of the party `house` that has the same id as this room, and returns its answer.
/// async fn ask(room: &Room, question: &str) -> Result<Option<Message>> {
///     let mut socket = room.parties().get("house")?.room(room.id())?.socket(Request::default()).await?;
///     socket.send(Message::text(question))?;
///     let answer = socket.recv().await?;
///     socket.close(1000, "thank you");
///     Ok(answer)
/// }
/// ```
pub struct Socket {
    /// The connection, as the room sees it.
    attached: Attached,
    /// The stub that opened it.
    stub: Stub,
}

impl Socket {
    /// Sends the room a message.
    ///
    /// # Errors
    /// [`Error::RoomBusy`] if the room cannot take it now.
    pub fn send(&self, message: Message) -> Result {
        self.attached.message(message)
    }

    /// Waits for the room's next message. `None` if the room has closed the connection.
    ///
    /// # Errors
    /// - [`Error::CallCycle`] if the room waits, directly or not, for this one.
    /// - [`Error::Deadline`] if the room sends nothing for [`Limits::call_timeout`](crate::Limits::call_timeout). The
    ///   connection stays open.
    pub async fn recv(&mut self) -> Result<Option<Message>> {
        let _waiting = self.stub.rooms.enter_call(self.stub.caller.as_ref(), &self.stub.key)?;
        let limit = self.stub.rooms.shared().config().limits.call_timeout;
        let outgoing = tokio::time::timeout(limit, self.attached.connection().outgoing()).await;
        Ok(match outgoing.map_err(|_| Error::Deadline(limit))? {
            Outgoing::Message(message) => Some(message),
            Outgoing::Close(close) => {
                self.attached.closed(close);
                None
            }
        })
    }

    /// Closes the connection with a code and a reason. The room's [`on_close`](super::Party::on_close) gets both.
    pub fn close(mut self, code: u16, reason: &str) {
        self.attached.closed(Close::new(code, reason));
    }
}
