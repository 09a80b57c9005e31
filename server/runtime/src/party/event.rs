//! The events of a room, which it handles one after another.

use tokio::sync::oneshot;

use super::{Close, Connection, Message, Request, Response, Result};

/// An event of a room. It is small, because a mailbox can hold many.
pub(crate) enum Event {
    Connect { connection: Connection, request: Box<Request>, reply: oneshot::Sender<Result<()>> },
    Message { connection: Connection, message: Message },
    Close { connection: Connection, close: Close },
    Request { request: Box<Request>, reply: Option<oneshot::Sender<Result<Response>>>, outside: bool },
    Alarm,
}

impl Event {
    /// Whether the event enters the mailbox even if it is full.
    pub(super) fn must_arrive(&self) -> bool {
        matches!(self, Self::Close { .. })
    }

    /// The limit of rooms, divided by this, is how many rooms may be in memory for this event to start another one.
    /// Requests of strangers have the largest divisor, because a stranger can send them to any number of rooms at
    /// almost no cost. Rooms that strangers have started must still reach the rooms that they need.
    pub(super) fn divisor(&self) -> usize {
        match self {
            Self::Request { outside: true, .. } => 4,
            Self::Connect { .. } => 2,
            _ => 1,
        }
    }
}
