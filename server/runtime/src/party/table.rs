//! The table of rooms in memory. A room is awake and has a mailbox, or asleep and has only its connections.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    ByConnection, Connection, Result, RoomKey,
    event::Event,
    mailbox::{Inbox, Mailbox},
};
use crate::{error::Error, limits::Limits};

/// If more rooms are in memory than their limit divided by this, a room that only got requests leaves at once.
const CROWDED_DIVISOR: usize = 16;

/// The connections of a room.
pub(super) type Connections = ByConnection<Connection>;

/// All rooms in memory.
#[derive(Default)]
pub(super) struct Table(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    /// The state of each room in memory.
    by_room: HashMap<RoomKey, Seat>,
    /// Whether no more rooms may start.
    stopping: bool,
}

/// The state of a room in memory.
enum Seat {
    /// The room has a task, which takes events from its mailbox.
    Awake(Mailbox),
    /// The room has only connections: no task, and no memory of its own.
    Asleep(Connections),
}

impl Table {
    /// Puts an event into a room's mailbox, and starts the room if it sleeps.
    ///
    /// # Errors
    /// [`Error::Stopping`], [`Error::TooManyRooms`] or [`Error::RoomBusy`].
    pub(super) fn deliver(
        &self,
        key: &RoomKey,
        event: Event,
        limits: &Limits,
        start: impl FnOnce(Connections) -> Mailbox,
    ) -> Result {
        let mut seats = self.seats();
        let (rooms, stopping) = (seats.by_room.len(), seats.stopping);
        if stopping && matches!(event, Event::Connect { .. }) {
            // The connection would have to leave at once.
            return Err(Error::Stopping);
        }
        let seat = match seats.by_room.entry(key.clone()) {
            Entry::Occupied(seat) => seat.into_mut(),
            // A room that is not in memory has no connections.
            Entry::Vacant(_) if matches!(event, Event::Close { .. }) => return Ok(()),
            Entry::Vacant(_) if stopping => return Err(Error::Stopping),
            Entry::Vacant(_) if rooms >= limits.rooms.div_ceil(event.divisor()) => return Err(Error::TooManyRooms),
            Entry::Vacant(seat) => seat.insert(Seat::Asleep(Connections::default())),
        };
        if let Seat::Asleep(connections) = seat {
            *seat = Seat::Awake(start(std::mem::take(connections)));
        }
        let Seat::Awake(mailbox) = seat else { return Err(Error::RoomFailed) };
        mailbox.put(event, limits.mailbox_events)
    }

    /// The key under which the table knows the room, if it is in memory. Using it shares its memory.
    pub(super) fn own_key(&self, key: &RoomKey) -> RoomKey {
        self.seats().by_room.get_key_value(key).map_or_else(|| key.clone(), |(own, _)| own.clone())
    }

    /// The rooms of a party that are awake.
    pub(super) fn awake_of(&self, party: &str) -> Vec<RoomKey> {
        let seats = self.seats();
        let awake = seats.by_room.iter().filter(|(key, seat)| key.party() == party && matches!(seat, Seat::Awake(_)));
        awake.map(|(key, _)| key.clone()).collect()
    }

    /// How many rooms of each of these parties are in memory.
    pub(super) fn in_memory(&self, parties: impl Iterator<Item = &'static str>) -> Vec<(&'static str, usize)> {
        let seats = self.seats();
        let count = |party| seats.by_room.keys().filter(|key| key.party() == party).count();
        parties.map(|party| (party, count(party))).collect()
    }

    /// Whether so many rooms are in memory that a room should not stay only because of a stranger's request.
    pub(super) fn is_crowded(&self, limits: &Limits) -> bool {
        self.seats().by_room.len() > limits.rooms / CROWDED_DIVISOR
    }

    /// Ends an idle room, unless an event has just arrived for it. Its connections stay here for the next event. Events are
    /// sent under the same lock, so none is lost in between.
    pub(super) fn retire(&self, key: &RoomKey, inbox: &Inbox, connections: &mut Connections) -> bool {
        let mut seats = self.seats();
        if !inbox.is_empty() {
            return false;
        }
        if connections.is_empty() {
            seats.by_room.remove(key);
        } else {
            seats.by_room.insert(key.clone(), Seat::Asleep(std::mem::take(connections)));
        }
        true
    }

    /// Starts no more rooms, and accepts no more connections.
    pub(super) fn stop(&self) {
        self.seats().stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.seats().stopping
    }

    /// Drops all rooms. Each ends when it has handled the events that it has.
    pub(super) fn clear(&self) {
        self.seats().by_room.clear();
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
