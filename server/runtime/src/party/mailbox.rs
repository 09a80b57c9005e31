//! A room's mailbox: what happens to the room waits here until the room takes it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use super::{Result, event::Event};
use crate::error::Error;

/// Where events are put.
pub(super) struct Mailbox {
    /// The channel to the room.
    events: mpsc::UnboundedSender<Box<Event>>,
    /// Events sent and not yet taken. The channel itself is unbounded, so that news of a closed connection, which must
    /// never be lost, always fits; and it makes room for 32 of them at a time, so they are boxed.
    depth: Arc<AtomicUsize>,
}

/// Where the room takes them out.
pub(super) struct Inbox {
    /// The channel from everyone.
    events: mpsc::UnboundedReceiver<Box<Event>>,
    /// The mailbox's.
    depth: Arc<AtomicUsize>,
}

/// Both ends of a new mailbox.
pub(super) fn mailbox() -> (Mailbox, Inbox) {
    let (events, inbox) = mpsc::unbounded_channel();
    let depth = Arc::new(AtomicUsize::new(0));
    (Mailbox { events, depth: Arc::clone(&depth) }, Inbox { events: inbox, depth })
}

impl Mailbox {
    /// Puts an event in. What a room must hear, always fits.
    ///
    /// # Errors
    /// [`Error::RoomBusy`] if `limit` events wait already; [`Error::Stopping`] if the room has ended.
    pub(super) fn put(&self, event: Event, limit: usize) -> Result {
        let waiting = self.depth.fetch_add(1, Ordering::Relaxed);
        if waiting >= limit && !event.must_arrive() {
            self.depth.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::RoomBusy);
        }
        self.events.send(Box::new(event)).map_err(|_| Error::Stopping)
    }
}

impl Inbox {
    /// The next event; `None` once the mailbox is gone and empty.
    pub(super) async fn recv(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        self.depth.fetch_sub(1, Ordering::Relaxed);
        Some(*event)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}
