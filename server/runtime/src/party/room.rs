//! One running instance of a party: an actor that handles its events one after another.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    Connection, Message, Parties, Party, Request, Result,
    event::Event,
    rooms::{Inbox, RoomKey, Rooms},
};
use crate::{close, config::Config, error::Error, storage::Storage};

/// Wait before a room that failed starts again by itself; doubled each time that fails as well, up to a quarter of an hour.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
const MAX_RESTART_DOUBLINGS: u32 = 11;

/// Connections by their key: oldest first.
pub(super) type Connections = BTreeMap<u64, Connection>;

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
    key: RoomKey,
    rooms: Rooms,
    storage: Storage,
    connections: Connections,
    tick_at: Option<Instant>,
    stays_awake: bool,
    /// How often it panicked since it last started well.
    failures: u32,
}

impl Room {
    fn new(rooms: Rooms, key: RoomKey, connections: Connections) -> Self {
        let storage = Storage::of_room(rooms.shared().db.clone(), key.party(), key.id());
        Self { key, rooms, storage, connections, tick_at: None, stays_awake: false, failures: 0 }
    }

    /// The id of this room within its party, in its one spelling.
    #[must_use]
    pub fn id(&self) -> &str {
        self.key.id()
    }

    /// The name of its party.
    #[must_use]
    pub fn name(&self) -> &str {
        self.key.party()
    }

    /// Its connections, oldest first.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.values()
    }

    /// Its connections with this tag, oldest first.
    pub fn connections_with<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Connection> {
        self.connections.values().filter(move |connection| connection.has_tag(tag))
    }

    /// Sends a message to every connection but those in `without`. One that cannot take it does not stop the others.
    pub fn broadcast(&self, message: &Message, without: &[&Connection]) {
        for connection in self.connections.values() {
            if !without.contains(&connection) {
                // A connection that cannot take it is closing, and says so by its close event.
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

    /// Sets the room's one alarm, in place of the one it may have: [`Party::on_alarm`] runs after `delay`. It wakes the
    /// room, and outlives a restart. The wall clock may be set back or forth meanwhile; only while the server is stopped
    /// does it tell how much of the delay is over.
    pub fn set_alarm(&self, delay: Duration) {
        self.rooms.shared().alarms.set(&self.key, delay);
    }

    /// How long until the alarm; `None` without one, and in [`Party::on_alarm`] until it is set anew.
    #[must_use]
    pub fn alarm(&self) -> Option<Duration> {
        self.rooms.shared().alarms.get(&self.key)
    }

    /// Forgets the alarm.
    pub fn delete_alarm(&self) {
        self.rooms.shared().alarms.cancel(&self.key);
    }

    /// Has [`Party::on_tick`] run after `delay`, in place of a tick asked for before. The room stays in memory for it.
    pub fn tick_in(&mut self, delay: Duration) {
        self.tick_at = Some(Instant::now() + delay);
    }

    /// Whether the room stays in memory even without connections: for one that keeps what can be told by others only.
    pub fn stay_awake(&mut self, stay: bool) {
        self.stays_awake = stay;
    }

    /// Whether the room starts again because one of its hooks panicked.
    #[must_use]
    pub fn failed_before(&self) -> bool {
        self.failures > 0
    }

    /// Time that only goes forward.
    #[must_use]
    pub fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }

    /// A number that grows with every call in any room, to tell a late message from a new one.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.rooms.next_sequence()
    }

    /// The value of this type that all parties were given with [`Server::with`](crate::Server::with).
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none.
    pub fn setting<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.rooms.setting()
    }

    /// How the server is set up.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.rooms.shared().config
    }

    fn may_sleep<P: Party>(&self) -> bool {
        (P::HIBERNATES || self.connections.is_empty()) && self.tick_at.is_none() && !self.stays_awake
    }
}

/// What woke the room.
enum Woken {
    Event(Event),
    Tick,
    Idle,
    Ended,
}

/// The room's life, from its first event until it is idle.
pub(super) async fn run<P: Party>(rooms: Rooms, key: RoomKey, connections: Connections, mut inbox: Inbox) {
    let mut room = Room::new(rooms.clone(), key.clone(), connections);
    let mut party: Option<P> = None;
    // Nothing but requests of strangers has come yet.
    let mut only_asked = true;
    loop {
        let leaves_at_once = only_asked && rooms.are_crowded();
        let idle_after = if leaves_at_once { Duration::ZERO } else { rooms.shared().config.limits.room_idle };
        let woken = tokio::select! {
            event = inbox.recv() => event.map_or(Woken::Ended, Woken::Event),
            () = sleep_until(room.tick_at) => Woken::Tick,
            () = tokio::time::sleep(idle_after), if room.may_sleep::<P>() => Woken::Idle,
        };
        match woken {
            Woken::Event(event) => {
                only_asked &= matches!(event, Event::Request { outside: true, .. });
                guarded(&mut room, &mut party, Woken::Event(event)).await;
            }
            Woken::Tick => {
                room.tick_at = None;
                guarded(&mut room, &mut party, Woken::Tick).await;
            }
            Woken::Idle if !rooms.retire(&key, &inbox, &mut room.connections) => {}
            Woken::Idle | Woken::Ended => return,
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Handles one event. A panic ends the party's value and its connections, not the room.
async fn guarded<P: Party>(room: &mut Room, party: &mut Option<P>, woken: Woken) {
    let handled = AssertUnwindSafe(handle(room, party, woken)).catch_unwind().await;
    if handled.is_err() {
        // The panic itself, with its place in the code, is on standard error already.
        tracing::error!(room = %room.key, "a hook panicked: connections are closed, and the next event starts afresh");
        *party = None;
        // Does nothing unless the room panicked with its alarm still to be handled, such as in `on_start`.
        room.rooms.shared().alarms.failed(&room.key);
        // The next event starts it afresh, and if none comes, this does: others may rely on what it has just forgotten.
        room.tick_in(RESTART_PAUSE * 2_u32.pow(room.failures.min(MAX_RESTART_DOUBLINGS)));
        room.stays_awake = false;
        room.failures = room.failures.saturating_add(1);
        for connection in std::mem::take(&mut room.connections).into_values() {
            connection.close_with(Error::RoomFailed.close());
        }
    }
}

async fn handle<P: Party>(room: &mut Room, started: &mut Option<P>, woken: Woken) {
    let party = match started {
        Some(party) => party,
        None => {
            let mut party = P::default();
            match party.on_start(room).await {
                Ok(()) => {
                    room.failures = 0;
                    started.insert(party)
                }
                Err(error) => return refuse(room, woken, error),
            }
        }
    };
    let hook = match woken {
        Woken::Event(Event::Connect { connection, request, reply }) => {
            let answer = connect(room, party, connection, &request).await;
            // Whoever asked may be gone; then the close event is on its way.
            let _ = reply.send(answer);
            Ok(())
        }
        Woken::Event(Event::Message { connection, message }) => {
            if !room.connections.contains_key(&connection.key()) {
                return;
            }
            party.on_message(room, &connection, message).await
        }
        Woken::Event(Event::Close { connection, close }) => {
            if room.connections.remove(&connection.key()).is_none() {
                return;
            }
            if close.code == close::ABNORMAL
                && let Err(error) = party.on_error(room, &connection, &close.reason).await
            {
                log_failure(room, &error);
            }
            party.on_close(room, &connection, close.code, &close.reason).await
        }
        // Whoever asked has gone: no work for no one.
        Woken::Event(Event::Request { reply: Some(reply), .. }) if reply.is_closed() => Ok(()),
        Woken::Event(Event::Request { request, reply, .. }) => {
            let answer = party.on_request(room, *request).await;
            match reply {
                Some(reply) => {
                    // Whoever asked may no longer wait.
                    let _ = reply.send(answer);
                    Ok(())
                }
                None => answer.map(drop),
            }
        }
        // Set anew or cancelled while it was on its way.
        Woken::Event(Event::Alarm) if !room.rooms.shared().alarms.is_ringing(&room.key) => Ok(()),
        Woken::Event(Event::Alarm) => {
            let rung = AssertUnwindSafe(party.on_alarm(room)).catch_unwind().await;
            return settle_alarm(room, rung);
        }
        Woken::Event(Event::Stop) => {
            announce_stop(&room.connections);
            Ok(())
        }
        Woken::Tick => party.on_tick(room).await,
        Woken::Idle | Woken::Ended => Ok(()),
    };
    if let Err(error) = hook {
        log_failure(room, &error);
    }
}

/// The server stops.
pub(super) fn announce_stop(connections: &Connections) {
    for connection in connections.values() {
        connection.close(close::GOING_AWAY, &Error::Stopping.to_string());
    }
}

/// Greets a connection. When the party fails, the handshake still succeeds, and the reason is in the close frame:
/// browsers hide the body of a failed handshake from the page.
async fn connect<P: Party>(room: &mut Room, party: &mut P, connection: Connection, request: &Request) -> Result {
    if room.connections.len() >= room.config().limits.connections_per_room {
        return Err(Error::RoomFull);
    }
    let tagged = party.connection_tags(&connection, request).and_then(|tags| connection.set_tags(tags));
    let greeted = match tagged {
        Ok(()) => {
            room.connections.insert(connection.key(), connection.clone());
            party.on_connect(room, &connection, request).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = greeted {
        close_ungreeted(room, &connection, &error);
    }
    Ok(())
}

fn close_ungreeted(room: &Room, connection: &Connection, error: &Error) {
    log_failure(room, error);
    connection.close(close::INTERNAL, &error.to_string());
}

/// What a hook failed with: our fault is for the operator to see; a stranger's bad input is not.
fn log_failure(room: &Room, error: &Error) {
    if error.status().is_client_error() {
        tracing::debug!(room = %room.key, %error, "a hook refused its input");
    } else {
        tracing::error!(room = %room.key, %error, "a hook failed");
    }
}

/// The room could not start: whoever waits for it is told.
fn refuse(room: &Room, woken: Woken, error: Error) {
    tracing::error!(room = %room.key, %error, "the room could not start");
    match woken {
        Woken::Event(Event::Connect { connection, reply, .. }) => {
            close_ungreeted(room, &connection, &error);
            drop(reply.send(Ok(())));
        }
        Woken::Event(Event::Request { reply: Some(reply), .. }) => drop(reply.send(Err(error))),
        Woken::Event(Event::Alarm) => drop(room.rooms.shared().alarms.failed(&room.key)),
        _ => {}
    }
}

/// An alarm that did its work is forgotten; one that failed comes again, each time later.
fn settle_alarm(room: &mut Room, rung: std::result::Result<Result, Box<dyn std::any::Any + Send>>) {
    let alarms = &room.rooms.shared().alarms;
    let failure = match &rung {
        Ok(Ok(())) => return alarms.done(&room.key),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked".to_owned(),
    };
    let again_in = alarms.failed(&room.key);
    tracing::error!(room = %room.key, error = failure, ?again_in, "an alarm failed");
    if let Err(panic) = rung {
        // The rest of a panic is the same for every hook.
        std::panic::resume_unwind(panic);
    }
}
