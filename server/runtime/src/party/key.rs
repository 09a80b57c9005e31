//! A room's key: which room of which party, and what a room's id may be.

use std::{fmt, sync::Arc};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Result;
use crate::error::Error;

/// Bytes of a room's id: it stands in a URL, in every key of its storage, and in the memory of each room that knows it.
const MAX_ROOM_ID_BYTES: usize = 512;

/// Which room of which party.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RoomKey {
    party: &'static str,
    id: Arc<str>,
}

impl RoomKey {
    pub(crate) fn new(party: &'static str, id: &str) -> Self {
        Self { party, id: id.into() }
    }

    pub(crate) fn party(&self) -> &'static str {
        self.party
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The id as one segment of a path.
    pub(super) fn segment(&self) -> impl fmt::Display {
        const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
        utf8_percent_encode(&self.id, RESERVED)
    }
}

impl fmt::Display for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.party, self.id)
    }
}

/// The room id of parties that do not spell their own.
pub(super) fn plain_room_id(id: &str) -> Result<String> {
    if id.is_empty() {
        return Err(Error::RoomId("it is empty".into()));
    }
    if id.len() > MAX_ROOM_ID_BYTES {
        return Err(Error::RoomId(format!("it is longer than {MAX_ROOM_ID_BYTES} bytes")));
    }
    if id.chars().any(char::is_control) {
        return Err(Error::RoomId("it contains a control character".into()));
    }
    Ok(id.to_owned())
}
