//! One WebSocket in a room, as the room sees it. [`sockets`](crate::sockets) sends its bytes.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
};

use http::Uri;
use once_cell::race::OnceBox;
use serde::{Serialize, de::DeserializeOwned};

use super::{Message, RoomKey, query_value};
use crate::{
    account::{Account, Reservation},
    close::Close,
    error::Error,
    limits::Limits,
    sockets::{Outgoing, Refusal, Socket},
};

/// One connection of a room. Cloning it gives another handle to the same connection.
///
/// ```
/// use connection_counter_runtime::party::*;
///
/// #[derive(Default)]
/// struct Table;
///
/// impl Party for Table {
///     /// `?team=red` puts a connection into a team.
///     fn connection_tags(&self, connection: &Connection, _: &Request) -> Result<Vec<String>> {
///         Ok(query_value(connection.uri(), "team").into_iter().collect())
///     }
///
///     /// A move is for the team only. How many a connection has made stays with it, even when the room leaves memory.
///     async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
///         let moves = from.state::<u32>()?.unwrap_or(0) + 1;
///         if moves > 100 {
///             return from.close(4000, "that was enough");
///         }
///         from.set_state(&moves)?;
///         let Some(team) = from.tags().next() else { return Ok(()) };
///         for member in room.connections_with(team).filter(|member| *member != from) {
///             member.send(message.clone())?;
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Connection(Arc<Record>);

/// All that an idle connection costs a room. It is small, because there may be very many.
struct Record {
    /// A number that no other connection has.
    key: u64,
    /// Its room. `None` if it was refused.
    room: Option<RoomKey>,
    /// The socket that its messages are sent to.
    socket: Socket,
    /// The account of its address. `None` for loopback, for other rooms, and for refused connections.
    account: Option<Arc<Account>>,
    /// Bytes that may wait to be sent.
    send_queue_bytes: u32,
    /// The fields that most connections do not need. A `OnceLock` would take twice the memory.
    rare: OnceBox<Rare>,
}

#[derive(Default)]
struct Rare {
    /// The id that the client chose, or one that is made up when it is first needed.
    id: OnceLock<Box<str>>,
    /// Path and query of its URL, unless most connections of its room have the same.
    address: Option<Box<str>>,
    /// Its URL, parsed when it is first needed.
    uri: OnceLock<Box<Uri>>,
    /// Set once, before the room sees the connection.
    tags: OnceLock<Box<[String]>>,
    /// Its state, as JSON.
    state: Mutex<Option<Box<[u8]>>>,
}

impl Connection {
    /// Bytes of a connection's state, as JSON.
    pub const MAX_STATE_BYTES: usize = 2048;
    /// Tags of a connection, besides its id.
    pub const MAX_TAGS: usize = 9;
    /// Bytes of a tag.
    pub const MAX_TAG_BYTES: usize = 256;

    /// A new connection of a room, before `on_connect`.
    pub(crate) fn new(
        key: u64,
        room: RoomKey,
        socket: Socket,
        account: Option<Arc<Account>>,
        uri: &Uri,
        limits: &Limits,
    ) -> Self {
        let id = query_value(uri, "_pk").filter(|id| !id.is_empty());
        let address = room.keep_address(uri.path_and_query().map_or("/", |path| path.as_str()));
        let rare = OnceBox::new();
        if id.is_some() || address.is_some() {
            let id = id.map_or_else(OnceLock::new, |id| id.into_boxed_str().into());
            rare.get_or_init(|| Box::new(Rare { id, address, ..Rare::default() }));
        }
        let send_queue_bytes = u32::try_from(limits.send_queue_bytes).unwrap_or(u32::MAX);
        Self(Arc::new(Record { key, room: Some(room), socket, account, send_queue_bytes, rare }))
    }

    /// A connection that is refused: no room sees it, and it only gets a close message.
    pub(crate) fn refused(close: Close) -> Self {
        let socket = Socket::pending();
        socket.close(close);
        Self(Arc::new(Record {
            key: u64::MAX,
            room: None,
            socket,
            account: None,
            send_queue_bytes: 0,
            rare: OnceBox::new(),
        }))
    }

    /// The room it is in.
    pub(crate) fn room(&self) -> Option<&RoomKey> {
        self.0.room.as_ref()
    }

    fn send_queue_bytes(&self) -> usize {
        usize::try_from(self.0.send_queue_bytes).unwrap_or(usize::MAX)
    }

    fn rare(&self) -> &Rare {
        self.0.rare.get_or_init(Box::default)
    }

    /// A number that no other connection of this run of the server has. A room can use it as a key for what it knows of each
    /// connection.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.0.key
    }

    /// A number that tells the connection's address from others for about a day. It is a hash, not the address. `None` for
    /// other rooms, and for loopback, which may be a proxy with many readers.
    #[must_use]
    pub fn address_key(&self) -> Option<u64> {
        self.0.account.as_ref().map(|account| account.key())
    }

    /// Reserves memory that counts against the limit of the connection's address. It starts with 0 bytes. Call
    /// [`grow`](Reservation::grow) before the room keeps what the connection asked for, and refuse the request if that fails.
    /// Then one address cannot fill the server's memory. After the reservation is dropped, its bytes still count for one to two
    /// times [`Limits::room_idle`](crate::Limits::room_idle), because rooms that were started for it stay in memory that long.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// use connection_counter_runtime::{Reservation, party::*};
    ///
    /// /// Keeps the longest word that each connection has sent.
    /// #[derive(Default)]
    /// struct Words(HashMap<u64, (String, Reservation)>);
    ///
    /// impl Party for Words {
    ///     async fn on_message(&mut self, _: &mut Room, from: &Connection, message: Message) -> Result {
    ///         let Message::Text(word) = &message else { return Ok(()) };
    ///         let (longest, held) = self.0.entry(from.key()).or_insert_with(|| (String::new(), from.reserve()));
    ///         if word.len() > longest.len() {
    ///             if let Err(error) = held.grow(word.len() - longest.len()) {
    ///                 return from.send(Message::text(error.to_string()));
    ///             }
    ///             *longest = word.to_string();
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     async fn on_close(&mut self, _: &mut Room, connection: &Connection, _: u16, _: &str) -> Result {
    ///         self.0.remove(&connection.key());
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn reserve(&self) -> Reservation {
        Reservation::lingering(self.0.account.clone())
    }

    /// The `_pk` of the connection's URL, or a generated id. It is only a label: clients choose it, and two connections may
    /// have the same. [`key`](Self::key) is unique.
    #[must_use]
    pub fn id(&self) -> &str {
        self.rare().id.get_or_init(|| made_up_id(self.0.key).into())
    }

    /// The tags that [`Party::connection_tags`](super::Party::connection_tags) returned.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let tags = self.0.rare.get().and_then(|rare| rare.tags.get());
        tags.into_iter().flatten().map(String::as_str)
    }

    /// Whether the connection has this tag. Its id counts as a tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.id() == tag || self.tags().any(|other| other == tag)
    }

    pub(crate) fn set_tags(&self, mut tags: Vec<String>) -> Result<(), Error> {
        tags.retain(|tag| tag != self.id());
        let fits = |tag: &String| (1..=Self::MAX_TAG_BYTES).contains(&tag.len());
        if tags.len() > Self::MAX_TAGS || !tags.iter().all(fits) {
            return Err(Error::Tags);
        }
        if !tags.is_empty() {
            // This runs once for each connection, so it cannot fail.
            let _ = self.rare().tags.set(tags.into());
        }
        Ok(())
    }

    /// The URL of the connection: the path, the path within the room, and the query.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        let rare = self.rare();
        rare.uri.get_or_init(|| {
            let address = rare.address.as_deref().or_else(|| self.room()?.usual_address());
            // It was parsed before, so it is valid.
            address.and_then(|address| address.parse().ok()).map(Box::new).unwrap_or_default()
        })
    }

    /// Sends a message, after those that were sent before.
    ///
    /// # Errors
    /// - [`Error::ConnectionClosed`] if the connection is closing.
    /// - [`Error::SlowConnection`] if other messages wait, and together they are larger than [`Limits::send_queue_bytes`]. The
    ///   connection is then closed with code 1013.
    pub fn send(&self, message: Message) -> Result<(), Error> {
        self.0.socket.send(message, self.send_queue_bytes()).map_err(|refusal| match refusal {
            Refusal::Closed => Error::ConnectionClosed,
            Refusal::Slow => Error::SlowConnection,
        })
    }

    /// Whether the operating system has taken all that was sent. A room that can skip updates asks this first, and later sends
    /// the newest update. So a slow reader costs one message and never a backlog.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.socket.is_idle()
    }

    /// Whether the connection can take this message twice. A room that sends many messages asks this before each.
    #[must_use]
    pub fn has_room_for(&self, message: &Message) -> bool {
        let queued_bytes = self.0.socket.queued_bytes();
        queued_bytes == 0 || queued_bytes + message.len() <= self.send_queue_bytes() / 2
    }

    /// Closes the connection after the messages that were sent before. [`on_close`](super::Party::on_close) follows. Your own
    /// codes are 4000 to 4999. The reason is cut to the 123 bytes that fit into a close frame.
    ///
    /// # Errors
    /// Fails with [`Error::CloseCode`] if a close frame must not have this code. The connection then stays open.
    pub fn close(&self, code: u16, reason: &str) -> Result<(), Error> {
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(Error::CloseCode(code));
        }
        self.close_with(Close::new(code, reason));
        Ok(())
    }

    /// Closes the connection with a code and reason of the server.
    pub(crate) fn close_with(&self, close: Close) {
        self.0.socket.close(close);
    }

    /// The value set with [`set_state`](Self::set_state), if any.
    ///
    /// # Errors
    /// Fails if the value has another type.
    pub fn state<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let Some(rare) = self.0.rare.get() else { return Ok(None) };
        lock(&rare.state).as_deref().map(serde_json::from_slice).transpose().map_err(Error::from)
    }

    /// Keeps a value with the connection until it closes.
    ///
    /// # Errors
    /// Fails with [`Error::StateTooLarge`] if the value has more than [`Self::MAX_STATE_BYTES`] as JSON. The old value then
    /// stays.
    pub fn set_state<T: Serialize>(&self, value: &T) -> Result<(), Error> {
        let json = serde_json::to_vec(value)?;
        if json.len() > Self::MAX_STATE_BYTES {
            return Err(Error::StateTooLarge { bytes: json.len() });
        }
        *lock(&self.rare().state) = Some(json.into());
        Ok(())
    }

    /// The next message or close for a connection from another room of this process.
    pub(crate) async fn outgoing(&self) -> Outgoing {
        self.0.socket.outgoing().await
    }
}

impl AsRef<Socket> for Connection {
    fn as_ref(&self) -> &Socket {
        &self.0.socket
    }
}

/// The id of a connection whose client chose none. It is the same at each call, and cannot be guessed.
fn made_up_id(key: u64) -> String {
    static SECRETS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    let [high, low] = SECRETS.each_ref().map(|secret| secret.hash_one(key).to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice([high, low].as_flattened());
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds the lock can panic halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two handles are equal if they belong to the same connection.
impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Connection {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).field("uri", self.uri()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::party::RoomId;

    fn connection(key: u64, uri: &'static str, limits: &Limits) -> Connection {
        let room = RoomKey::new("hall", RoomId::new("a")).unwrap();
        Connection::new(key, room, Socket::pending(), None, &Uri::from_static(uri), limits)
    }

    #[test]
    fn a_full_send_queue_closes_the_connection() {
        let connection = connection(1, "/", &Limits { send_queue_bytes: 10, ..Limits::default() });
        connection.send(Message::text("0123456789")).unwrap();
        assert!(!connection.is_idle());
        assert!(matches!(connection.send(Message::text("x")), Err(Error::SlowConnection)));
        assert!(matches!(connection.send(Message::text("x")), Err(Error::ConnectionClosed)));
    }

    #[test]
    fn handles_of_one_connection_are_equal() {
        let connect = |key| connection(key, "/?_pk=same", &Limits::default());
        assert_eq!(connect(1), connect(1));
        assert_ne!(connect(1), connect(2));
    }

    #[test]
    fn the_id_comes_from_the_url_or_is_generated() {
        let limits = Limits::default();
        assert_eq!(connection(1, "/?_pk=an%20id", &limits).id(), "an id");
        let [one, other] = [1, 2].map(|key| connection(key, "/", &limits));
        assert_eq!(one.id(), connection(1, "/?_pk=", &limits).id());
        assert_ne!(one.id(), other.id());
        assert_eq!(one.id().len(), 36);
    }

    /// The memory of each idle connection. A new field makes every connection larger.
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    #[test]
    fn the_record_of_an_idle_connection_is_small() {
        // Without optimization mio remembers which poll a socket belongs to.
        const MAX_RECORD_BYTES: usize = if cfg!(debug_assertions) { 80 } else { 64 };
        let bytes = size_of::<Record>();
        assert!(bytes <= MAX_RECORD_BYTES, "{bytes}");
    }

    #[test]
    fn each_connection_has_the_uri_that_it_was_opened_with() {
        let room = RoomKey::new("hall", RoomId::new("a")).unwrap();
        for address in ["/hall/a", "/hall/a?x=1", "/hall/a"] {
            let uri = Uri::from_static(address);
            let connection = Connection::new(1, room.clone(), Socket::pending(), None, &uri, &Limits::default());
            assert_eq!(connection.uri().to_string(), address);
        }
    }

    #[test]
    fn a_state_above_the_limit_is_refused_and_the_old_one_is_kept() {
        let connection = connection(1, "/", &Limits::default());
        connection.set_state(&"kept").unwrap();
        assert!(matches!(connection.set_state(&"x".repeat(2047)), Err(Error::StateTooLarge { bytes: 2049 })));
        assert_eq!(connection.state::<String>().unwrap().as_deref(), Some("kept"));
    }

    #[test]
    fn close_codes_that_cannot_be_sent_are_refused() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000] {
            let connection = connection(1, "/", &Limits::default());
            assert!(matches!(connection.close(code, ""), Err(Error::CloseCode(refused)) if refused == code));
            assert!(connection.is_idle(), "{code} closed it");
        }
        for code in [1000, 1003, 1007, 1014, 3000, 4999] {
            connection(1, "/", &Limits::default()).close(code, "").unwrap();
        }
    }
}
