//! The key of a room: its party and its id, and what an id may contain.

use std::{
    any::Any,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Result;
use crate::error::Error;

/// Bytes of a room's id. The id is part of a URL, of every key of the room's storage, and of the memory of each room that knows
/// it.
const MAX_ROOM_ID_BYTES: usize = 512;

/// A room's id in its one spelling. It also holds the value that the party made from the id, such as a type of its own.
///
/// The party parses an id once, in [`Party::room_id`](super::Party::room_id). Its hooks get the value back from
/// [`Room::parsed_id`](super::Room::parsed_id) and [`Lobby::parsed_id`](super::Lobby::parsed_id). Cloning shares the value.
#[derive(Clone)]
pub struct RoomId(Arc<dyn Spelled>);

/// A value with one spelling.
trait Spelled: Any + Send + Sync {
    fn spelling(&self) -> &str;
}

impl<T: AsRef<str> + Send + Sync + 'static> Spelled for T {
    fn spelling(&self) -> &str {
        self.as_ref()
    }
}

impl RoomId {
    /// An id with the spelling of this value.
    #[must_use]
    pub fn new(id: impl AsRef<str> + Send + Sync + 'static) -> Self {
        Self(Arc::new(id))
    }

    /// The id's one spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.spelling()
    }

    /// The value that the id was made from, if it has type `T`.
    #[must_use]
    pub fn parsed<T: 'static>(&self) -> Option<&T> {
        let value: &dyn Any = &*self.0;
        value.downcast_ref()
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Two ids are equal if they have the same spelling.
impl PartialEq for RoomId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RoomId {}

impl Ord for RoomId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for RoomId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for RoomId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// The party and the id of a room. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct RoomKey(Arc<Name>);

#[derive(Debug)]
struct Name {
    /// The party's name, as it was registered.
    party: &'static str,
    /// The room's id within the party.
    id: RoomId,
    /// Path and query of the room's first connection, which most others share.
    usual_address: OnceLock<Box<str>>,
}

impl RoomKey {
    /// # Errors
    /// Fails with [`Error::RoomId`], whatever the party says: an id with a control character could reach into another room's
    /// storage.
    pub(super) fn new(party: &'static str, id: RoomId) -> Result<Self> {
        check_room_id(id.as_str())?;
        Ok(Self(Arc::new(Name { party, id, usual_address: OnceLock::new() })))
    }

    pub(crate) fn party(&self) -> &'static str {
        self.0.party
    }

    pub(crate) fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// The value that the party made from the id, if it has type `T`.
    pub(super) fn parsed_id<T: 'static>(&self) -> Option<&T> {
        self.0.id.parsed()
    }

    /// Keeps a connection's address once for all connections that share it. Returns the address if it is a different one.
    pub(super) fn keep_address(&self, address: &str) -> Option<Box<str>> {
        let usual = self.0.usual_address.get_or_init(|| address.into());
        (**usual != *address).then(|| address.into())
    }

    /// The address of connections that do not store their own.
    pub(super) fn usual_address(&self) -> Option<&str> {
        self.0.usual_address.get().map(|address| &**address)
    }

    fn names(&self) -> (&'static str, &str) {
        (self.0.party, self.id())
    }

    /// The id as one segment of a URL's path.
    pub(super) fn segment(&self) -> impl fmt::Display {
        const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        utf8_percent_encode(self.id(), RESERVED)
    }
}

impl PartialEq for RoomKey {
    fn eq(&self, other: &Self) -> bool {
        self.names() == other.names()
    }
}

impl Eq for RoomKey {}

impl PartialOrd for RoomKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RoomKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(&other.names())
    }
}

impl Hash for RoomKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.names().hash(state);
    }
}

/// Used in the log, so it leaves out the query of a page.
impl fmt::Display for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.party(), self.id().split('?').next().unwrap_or_default())
    }
}

/// The rules for the ids of all parties.
fn check_room_id(id: &str) -> Result {
    if id.is_empty() {
        return Err(Error::RoomId("it is empty".into()));
    }
    if id.len() > MAX_ROOM_ID_BYTES {
        return Err(Error::RoomId(format!("it is longer than {MAX_ROOM_ID_BYTES} bytes")));
    }
    if id.chars().any(char::is_control) {
        return Err(Error::RoomId("it contains a control character".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_returns_the_value_that_it_was_made_from() {
        #[derive(Debug, PartialEq)]
        struct Shouted(String);
        impl AsRef<str> for Shouted {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        let id = RoomId::new(Shouted("HALL".into()));
        assert_eq!(id.parsed(), Some(&Shouted("HALL".into())));
        assert_eq!(id.parsed::<String>(), None);
        assert_eq!(id, RoomId::new("HALL".to_owned()));
        assert_ne!(id, RoomId::new("hall"));
    }

    #[test]
    fn a_key_is_displayed_without_the_query_of_a_page() {
        let key = RoomKey::new("page", RoomId::new("example.org/a?token=secret".to_owned())).unwrap();
        assert_eq!(key.to_string(), "page/example.org/a");
    }

    #[test]
    fn a_key_with_an_invalid_id_is_refused() {
        for id in ["", "a\0b", &"x".repeat(513)] {
            assert!(matches!(RoomKey::new("hall", RoomId::new(id.to_owned())), Err(Error::RoomId(_))), "{id:?}");
        }
        RoomKey::new("hall", RoomId::new("x".repeat(512))).unwrap();
    }
}
