//! What happens to a room, one after another.

use tokio::sync::oneshot;

use super::{Close, Connection, Message, Request, Response, Result};

/// What a room is told. Small, for a mailbox has room for many.
pub(crate) enum Event {
    Connect { connection: Connection, request: Box<Request>, reply: oneshot::Sender<Result<()>> },
    Message { connection: Connection, message: Message },
    Close { connection: Connection, close: Close },
    Request { request: Box<Request>, reply: Option<oneshot::Sender<Result<Response>>>, outside: bool },
    Alarm,
}

impl Event {
    /// Whether the room hears it however much waits already.
    pub(super) fn must_arrive(&self) -> bool {
        matches!(self, Self::Close { .. })
    }

    /// The part of all rooms, one in so many, within which it may start another. Strangers can send requests to any number
    /// of rooms at hardly a cost, so they come last; and what outsiders have started must always reach the rooms it relies on.
    pub(super) fn divisor(&self) -> usize {
        match self {
            Self::Request { outside: true, .. } => 4,
            Self::Connect { .. } => 2,
            _ => 1,
        }
    }
}
