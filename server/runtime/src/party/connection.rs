//! One WebSocket in a room, as the room sees it. Bytes and sockets are `socket.rs`'s business.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use http::Uri;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{close::Close, error::Error, limits::Limits};

/// What connections and rooms say to each other. Cloning shares the bytes.
///
/// ```
/// use connection_counter_runtime::party::*;
///
/// # fn example() -> Result {
/// assert_eq!(Message::json(&["red", "blue"])?, Message::text(r#"["red","blue"]"#));
/// assert_ne!(Message::text("7"), Message::Binary("7".into()));
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message. To keep a part of it, copy that part: the whole shares memory with the socket's buffer.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
}

impl Message {
    /// A text message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into().into())
    }

    /// The value as a JSON text message.
    ///
    /// # Errors
    /// If `value` cannot be written as JSON.
    pub fn json<T: Serialize>(value: &T) -> Result<Self, Error> {
        Ok(Self::text(serde_json::to_string(value)?))
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

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
///             from.close(4000, "that was enough");
///             return Ok(());
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
pub struct Connection(Arc<Shared>);

struct Shared {
    /// Tells connections apart.
    key: u64,
    id: Box<str>,
    uri: Uri,
    /// Set once, before the room sees the connection.
    tags: OnceLock<Box<[String]>>,
    send_queue_bytes: usize,
    outbox: Mutex<Outbox>,
    /// Wakes the socket when the outbox has something for it.
    wake: Notify,
}

#[derive(Default)]
struct Outbox {
    queue: VecDeque<Message>,
    queued_bytes: usize,
    /// The socket is writing a message it has taken.
    writing: bool,
    close: Option<Close>,
    state: Option<Box<[u8]>>,
}

/// What the socket has to do next.
pub(crate) enum Outgoing {
    Message(Message),
    Close(Close),
}

impl Connection {
    /// Bytes of a connection's state, as JSON.
    pub const MAX_STATE_BYTES: usize = 2048;
    /// Tags of a connection, besides its id.
    pub const MAX_TAGS: usize = 9;
    /// Bytes of a tag.
    pub const MAX_TAG_BYTES: usize = 256;

    pub(crate) fn new(key: u64, id: String, uri: &Uri, limits: &Limits) -> Self {
        // A copy: the original is a slice of the handshake's whole buffer, and would keep 8 KiB for as long as this lives.
        let uri = uri.to_string().parse().unwrap_or_else(|_| uri.clone());
        Self(Arc::new(Shared {
            key,
            id: id.into(),
            uri,
            tags: OnceLock::new(),
            send_queue_bytes: limits.send_queue_bytes,
            outbox: Mutex::default(),
            wake: Notify::new(),
        }))
    }

    /// What tells this connection from every other of this run of the server. By it, a room may keep in its fields what
    /// it knows of each.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.0.key
    }

    /// The `_pk` of the connection's URL, or a generated id. A label only: clients choose it, and two connections may
    /// carry the same. [`key`](Self::key) is what is never the same.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What [`Party::connection_tags`](super::Party::connection_tags) said of it.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.tags.get().into_iter().flatten().map(String::as_str)
    }

    /// Whether it has this tag; its id counts as one.
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
        // Called once for each connection.
        let _ = self.0.tags.set(tags.into());
        Ok(())
    }

    /// The URL it connected to: path with sub-path, and query.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// Sends a message, in order after those sent before.
    ///
    /// # Errors
    /// [`Error::ConnectionClosed`] when it is closing, [`Error::SlowConnection`] when others wait and together they are more
    /// than [`Limits::send_queue_bytes`]: then it is closed with code 1013.
    pub fn send(&self, message: Message) -> Result<(), Error> {
        {
            let mut outbox = self.outbox();
            if outbox.close.is_some() {
                return Err(Error::ConnectionClosed);
            }
            // One message, however large, proves no one slow.
            if !outbox.queue.is_empty() && outbox.queued_bytes + message.len() > self.0.send_queue_bytes {
                outbox.queue.clear();
                outbox.close = Some(Error::SlowConnection.close());
                self.0.wake.notify_one();
                return Err(Error::SlowConnection);
            }
            outbox.queued_bytes += message.len();
            outbox.queue.push_back(message);
        }
        self.0.wake.notify_one();
        Ok(())
    }

    /// Whether all that was sent is with the operating system. A room that can leave updates out asks this first, and
    /// later sends what is newest by then, so that a slow reader costs one message and never a backlog.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let outbox = self.outbox();
        outbox.queue.is_empty() && !outbox.writing && outbox.close.is_none()
    }

    /// Whether it can take this message and as much again: whoever has much to say asks before each part of it.
    #[must_use]
    pub fn has_room_for(&self, message: &Message) -> bool {
        let outbox = self.outbox();
        outbox.queue.is_empty() || outbox.queued_bytes + message.len() <= self.0.send_queue_bytes / 2
    }

    /// Closes the connection once what was sent before is out, and [`on_close`](super::Party::on_close) follows. Codes of
    /// your own are 4000 to 4999. The reason is cut to the 123 bytes a close frame holds.
    pub fn close(&self, code: u16, reason: &str) {
        self.close_with(Close::new(code, reason));
    }

    /// Closes the connection, unless it is closing already.
    pub(crate) fn close_with(&self, close: Close) {
        self.outbox().close.get_or_insert(close);
        self.0.wake.notify_one();
    }

    /// The value set with [`set_state`](Self::set_state), if any.
    ///
    /// # Errors
    /// If it is of another type.
    pub fn state<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.outbox().state.as_deref().map(serde_json::from_slice).transpose().map_err(Error::from)
    }

    /// Keeps a value with the connection for as long as it lives.
    ///
    /// # Errors
    /// [`Error::StateTooLarge`] beyond [`Self::MAX_STATE_BYTES`] of JSON; the old value stays.
    pub fn set_state<T: Serialize>(&self, value: &T) -> Result<(), Error> {
        let json = serde_json::to_vec(value)?;
        if json.len() > Self::MAX_STATE_BYTES {
            return Err(Error::StateTooLarge { bytes: json.len() });
        }
        self.outbox().state = Some(json.into());
        Ok(())
    }

    /// Waits for something to send. The message counts as being written until the next call of
    /// [`next`](Self::next) finds nothing more.
    pub(crate) async fn outgoing(&self) -> Outgoing {
        loop {
            if let Some(outgoing) = self.next() {
                return outgoing;
            }
            self.0.wake.notified().await;
        }
    }

    fn next(&self) -> Option<Outgoing> {
        let mut outbox = self.outbox();
        let message = outbox.queue.pop_front();
        outbox.writing = message.is_some();
        if let Some(message) = message {
            outbox.queued_bytes -= message.len();
            return Some(Outgoing::Message(message));
        }
        outbox.queue.shrink_to(0);
        outbox.close.clone().map(Outgoing::Close)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two handles are equal when they are of one connection.
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

    #[test]
    fn a_full_send_queue_closes_the_connection() {
        let limits = Limits { send_queue_bytes: 10, ..Limits::default() };
        let connection = Connection::new(1, "a".into(), &Uri::from_static("/"), &limits);
        connection.send(Message::text("0123456789")).unwrap();
        assert!(!connection.is_idle());
        assert!(matches!(connection.send(Message::text("x")), Err(Error::SlowConnection)));
        assert!(matches!(connection.next(), Some(Outgoing::Close(Close { code: 1013, .. }))));
        assert!(matches!(connection.send(Message::text("x")), Err(Error::ConnectionClosed)));
    }

    #[test]
    fn handles_of_one_connection_are_equal() {
        let connect = |key| Connection::new(key, "same id".into(), &Uri::from_static("/"), &Limits::default());
        assert_eq!(connect(1), connect(1));
        assert_ne!(connect(1), connect(2));
    }

    #[test]
    fn state_is_kept_up_to_its_limit() {
        let connection = Connection::new(1, "a".into(), &Uri::from_static("/"), &Limits::default());
        connection.set_state(&"kept").unwrap();
        assert!(matches!(connection.set_state(&"x".repeat(2047)), Err(Error::StateTooLarge { bytes: 2049 })));
        assert_eq!(connection.state::<String>().unwrap().as_deref(), Some("kept"));
    }
}
