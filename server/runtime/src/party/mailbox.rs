//! A room's mailbox: events wait here until the room takes them.
//!
//! Each room in memory has one. It is empty most of the time, and then takes almost no memory. A usual channel always holds 800
//! bytes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{Result, event::Event};
use crate::error::Error;

/// The end that events are put into. If it is dropped, the room can end.
pub(super) struct Mailbox(Arc<Shared>);

/// The end that the room takes events from. If it is dropped, new events are refused.
pub(super) struct Inbox(Arc<Shared>);

struct Shared {
    /// The events that wait.
    waiting: Mutex<Waiting>,
    /// Wakes the room.
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    /// Events that the room has not taken yet, oldest first.
    events: VecDeque<Event>,
    /// Whether one of the two ends is gone.
    is_closed: bool,
}

/// Creates both ends of a mailbox.
pub(super) fn mailbox() -> (Mailbox, Inbox) {
    let shared = Arc::new(Shared { waiting: Mutex::default(), news: Notify::new() });
    (Mailbox(Arc::clone(&shared)), Inbox(shared))
}

impl Mailbox {
    /// Puts an event in. An event that must arrive is never refused because the mailbox is full.
    ///
    /// # Errors
    /// [`Error::RoomBusy`] if `limit` events wait already, and [`Error::Stopping`] if the room has ended.
    pub(super) fn put(&self, event: Event, limit: usize) -> Result {
        let mut waiting = self.0.waiting();
        if waiting.is_closed {
            return Err(Error::Stopping);
        }
        if waiting.events.len() >= limit && !event.must_arrive() {
            return Err(Error::RoomBusy);
        }
        waiting.events.push_back(event);
        let is_first = waiting.events.len() == 1;
        drop(waiting);
        // The room takes all events before it sleeps, so only the first one must wake it.
        if is_first {
            self.0.news.notify_one();
        }
        Ok(())
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.0.waiting().is_closed = true;
        self.0.news.notify_one();
    }
}

impl Inbox {
    /// The next event. `None` once the mailbox is closed and empty. No event is lost if this future is dropped.
    pub(super) async fn recv(&mut self) -> Option<Event> {
        // A room that always has work lets other tasks run in between.
        tokio::task::coop::consume_budget().await;
        loop {
            {
                let mut waiting = self.0.waiting();
                if let Some(event) = waiting.events.pop_front() {
                    if waiting.events.is_empty() {
                        waiting.events = VecDeque::new();
                    }
                    return Some(event);
                }
                if waiting.is_closed {
                    return None;
                }
            }
            // An event that arrived since then has left a notification.
            self.0.news.notified().await;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.waiting().events.is_empty()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.is_closed = true;
        // Callers that wait for an answer get an error when the events are dropped.
        let unheard = std::mem::take(&mut waiting.events);
        drop(waiting);
        drop(unheard);
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that holds the lock can panic halfway through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{close::Close, party::Connection};

    #[tokio::test]
    async fn events_come_in_order_until_the_mailbox_is_dropped() {
        let (mailbox, mut inbox) = mailbox();
        mailbox.put(Event::Alarm, 1).unwrap();
        assert!(matches!(mailbox.put(Event::Alarm, 1), Err(Error::RoomBusy)));
        // An event that must arrive is accepted.
        let close =
            Event::Close { connection: Connection::refused(Close::without_status()), close: Close::without_status() };
        mailbox.put(close, 1).unwrap();
        drop(mailbox);
        assert!(matches!(inbox.recv().await, Some(Event::Alarm)));
        assert!(matches!(inbox.recv().await, Some(Event::Close { .. })));
        assert!(inbox.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_waiting_room_is_woken_by_an_event() {
        let (mailbox, mut inbox) = mailbox();
        let room = tokio::spawn(async move {
            let mut heard = 0;
            while inbox.recv().await.is_some() {
                heard += 1;
            }
            heard
        });
        for _ in 0..1000 {
            mailbox.put(Event::Alarm, usize::MAX).unwrap();
            tokio::task::yield_now().await;
        }
        drop(mailbox);
        let heard = tokio::time::timeout(std::time::Duration::from_secs(20), room).await;
        assert_eq!(heard.expect("it was not woken").unwrap(), 1000);
    }

    #[test]
    fn events_for_a_room_that_has_ended_are_refused() {
        let (mailbox, inbox) = mailbox();
        drop(inbox);
        assert!(matches!(mailbox.put(Event::Alarm, 1), Err(Error::Stopping)));
    }
}
