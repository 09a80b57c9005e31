//! One running instance of a party, as the party sees it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::{Connection, Message, Parties, Result, RoomKey, Rooms, table::Connections};
use crate::{config::Config, storage::Storage};

/// A room, as its own party sees it.
///
/// ```
/// use std::time::Duration;
///
/// use connection_counter_runtime::{ListOptions, party::*};
///
/// #[derive(Default)]
/// struct Guestbook;
///
/// impl Party for Guestbook {
///     /// Keeps what each guest wrote last, for a day, and shows it to all who are here.
///     async fn on_message(&mut self, room: &mut Room, from: &Connection, message: Message) -> Result {
///         let Message::Text(entry) = &message else { return Ok(()) };
///         room.storage().put(&format!("entry/{}", from.id()), &entry.as_str())?;
///         room.broadcast(&message, &[]);
///         if room.alarm().is_none() {
///             room.set_alarm(Duration::from_secs(24 * 3600));
///         }
///         Ok(())
///     }
///
///     async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
///         let entries = ListOptions { prefix: "entry/", limit: Some(100), ..ListOptions::default() };
///         json(&room.storage().list::<String>(entries).await?)
///     }
///
///     async fn on_alarm(&mut self, room: &mut Room) -> Result {
///         Ok(room.storage().delete_all().await?)
///     }
/// }
/// ```
pub struct Room {
    /// The room's party and id.
    pub(super) key: RoomKey,
    /// All rooms of the server, this one included.
    pub(super) rooms: Rooms,
    /// What the room keeps across restarts.
    storage: Storage,
    /// The connections that `on_connect` accepted and that are still open.
    pub(super) connections: Connections,
    /// When the next tick is due.
    pub(super) tick_at: Option<Instant>,
    /// The room stays in memory even without connections.
    pub(super) stays_awake: bool,
    /// How often it panicked since it last started without a panic.
    pub(super) failures: u32,
}

impl Room {
    pub(super) fn new(rooms: Rooms, key: RoomKey, connections: Connections) -> Self {
        let storage = Storage::of_room(rooms.shared().db.clone(), key.party(), key.id());
        Self { key, rooms, storage, connections, tick_at: None, stays_awake: false, failures: 0 }
    }

    /// The id of this room within its party, in its one spelling.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.id()
    }

    /// The value that [`Party::room_id`](super::Party::room_id) made from the id. `None` if it has another type than `T`.
    #[must_use]
    pub fn parsed_id<T: 'static>(&self) -> Option<&T> {
        self.key.parsed_id()
    }

    /// The name of the room's party.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.party()
    }

    /// The room's connections, oldest first.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.values()
    }

    /// The room's connections with this tag, oldest first.
    pub fn connections_with<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Connection> {
        self.connections.values().filter(move |connection| connection.has_tag(tag))
    }

    /// Sends a message to every connection except those in `without`. A connection that cannot take it does not stop the
    /// others.
    pub fn broadcast(&self, message: &Message, without: &[&Connection]) {
        for connection in self.connections.values() {
            if !without.contains(&connection) {
                // A connection that cannot take it is closing. Its close event follows.
                let _ = connection.send(message.clone());
            }
        }
    }

    /// What this room keeps across restarts.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The other rooms of this server.
    #[must_use]
    pub fn parties(&self) -> Parties {
        Parties::new(self.rooms.clone(), Some(self.key.clone()))
    }

    /// Sets the room's alarm: [`Party::on_alarm`](super::Party::on_alarm) runs after `delay`. A room has one alarm. A new one
    /// replaces it. The alarm wakes the room and survives a restart. Setting the machine's clock does not move it, except while
    /// the server is stopped.
    pub fn set_alarm(&self, delay: Duration) {
        self.rooms.shared().alarms.set(&self.key, delay);
    }

    /// Time left until the alarm. `None` if there is no alarm, and also while [`Party::on_alarm`](super::Party::on_alarm) runs,
    /// unless it sets a new one.
    #[must_use]
    pub fn alarm(&self) -> Option<Duration> {
        self.rooms.shared().alarms.get(&self.key)
    }

    /// Deletes the alarm.
    pub fn delete_alarm(&self) {
        self.rooms.shared().alarms.cancel(&self.key);
    }

    /// Runs [`Party::on_tick`](super::Party::on_tick) after `delay`. This replaces an earlier tick. The room stays in memory
    /// until then.
    pub fn tick_in(&mut self, delay: Duration) {
        self.tick_at = Some(Instant::now() + delay);
    }

    /// Keeps the room in memory even without connections, until this is called with `false`. Use this if the fields hold values
    /// that only other rooms could give it again.
    pub fn stay_awake(&mut self, stay: bool) {
        self.stays_awake = stay;
    }

    /// Whether the room starts again because one of its hooks panicked.
    #[must_use]
    pub fn failed_before(&self) -> bool {
        self.failures > 0
    }

    /// Whether the server is stopping. It then accepts no more connections, and closes the open ones over some seconds, so that
    /// they do not all come back at once.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.rooms.is_stopping()
    }

    /// The current time of a clock that never goes back.
    #[must_use]
    pub fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }

    /// The processor time of this thread. Subtract two values to get the cost of the work between them, if there was no `await`
    /// in between. Unlike elapsed time, it is the same on a busy machine.
    #[must_use]
    pub fn processor_time(&self) -> Duration {
        // It counts from the start of the thread, so it is never negative.
        clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
    }

    /// Whether new connections wait for their handshakes. Work that can wait should let them go first.
    #[must_use]
    pub fn is_rush(&self) -> bool {
        self.rooms.shared().turns.available_permits() == 0
    }

    /// A number larger than all numbers that this returned before, in any room. Use it to tell late messages from new ones.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.rooms.next_sequence()
    }

    /// The value of type `T` that was given to [`Server::with`](crate::Server::with).
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if there is none.
    pub fn setting<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.rooms.setting()
    }

    /// The server's current settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.rooms.shared().config()
    }
}
