//! All rooms that are awake: starts one on its first event, hands it events, and lets it go when it is idle.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    fmt,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use http::{Extensions, HeaderMap, Uri};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{
    AlarmClock, Close, Connection, Group, Lobby, Message, Request, Response, Result,
    calls::{Call, Calls},
    event::Event,
    kinds::{Kind, Kinds},
    query_value,
    room::{self, Connections},
};
use crate::{close, config::Config, error::Error, storage::Db};

/// Wait between two alarms: after a long stop thousands are overdue at the same moment, and readers come first.
const ALARM_PAUSE: Duration = Duration::from_millis(2);

/// The part of all rooms, one in so many, up to which a room stays a while for whoever asks it something next.
const QUIET_SHARE: usize = 16;

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
}

impl fmt::Display for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.party, self.id)
    }
}

/// All rooms of the server. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Shared>);

pub(crate) struct Shared {
    kinds: HashMap<&'static str, Box<dyn Kind>>,
    seats: Mutex<HashMap<RoomKey, Seat>>,
    calls: Calls,
    stopping: AtomicBool,
    connection_keys: AtomicU64,
    sequence: AtomicU64,
    pub(crate) tasks: TaskTracker,
    settings: Extensions,
    pub(crate) config: Arc<Config>,
    pub(crate) alarms: AlarmClock,
    pub(crate) db: Db,
}

/// How a room is present.
enum Seat {
    /// It has a task, which takes events from its mailbox.
    Awake(Mailbox),
    /// It has connections and nothing else: no task, and no memory of its own.
    Asleep(Connections),
}

struct Mailbox {
    events: mpsc::UnboundedSender<Box<Event>>,
    /// Events sent and not yet taken. The channel itself is unbounded, so that news of a closed connection, which must
    /// never be lost, always fits; and it makes room for 32 of them at a time, so they are boxed.
    depth: Arc<AtomicUsize>,
}

/// The receiving end of a room's mailbox.
pub(crate) struct Inbox {
    events: mpsc::UnboundedReceiver<Box<Event>>,
    depth: Arc<AtomicUsize>,
}

impl Inbox {
    pub(crate) async fn recv(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        self.depth.fetch_sub(1, Ordering::Relaxed);
        Some(*event)
    }
}

impl Rooms {
    pub(crate) fn new(kinds: Kinds, settings: Extensions, config: Arc<Config>, alarms: AlarmClock, db: Db) -> Self {
        Self(Arc::new(Shared {
            kinds: kinds.0,
            seats: Mutex::default(),
            calls: Calls::default(),
            stopping: AtomicBool::new(false),
            connection_keys: AtomicU64::new(0),
            // Above what anyone starts with, so that the very first message is new to them.
            sequence: AtomicU64::new(1),
            tasks: TaskTracker::new(),
            settings,
            config,
            alarms,
            db,
        }))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(super) fn setting<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.0.settings.get().ok_or_else(|| Error::Setting(std::any::type_name::<T>()))
    }

    fn kind(&self, party: &str) -> Result<(&'static str, &dyn Kind)> {
        let (name, kind) = self.0.kinds.get_key_value(party).ok_or_else(|| Error::UnknownParty(party.to_owned()))?;
        Ok((name, &**kind))
    }

    /// The party's name as it was registered.
    pub(super) fn party(&self, name: &str) -> Result<&'static str> {
        self.kind(name).map(|(name, _)| name)
    }

    pub(super) fn awake_of(&self, party: &str) -> Vec<RoomKey> {
        let seats = self.seats();
        let awake = seats.iter().filter(|(key, seat)| key.party == party && matches!(seat, Seat::Awake(_)));
        awake.map(|(key, _)| key.clone()).collect()
    }

    /// Notes that `caller` waits for `target`, until the value returned is dropped.
    pub(super) fn enter_call(&self, caller: Option<&RoomKey>, target: &RoomKey) -> Result<Call<'_>> {
        self.0.calls.enter(caller, target, self.0.config.limits.calls)
    }

    pub(crate) fn room_key(&self, party: &str, id: &str) -> Result<RoomKey> {
        let (party, kind) = self.kind(party)?;
        // Whatever the party makes of it: a control character in it could reach into another room's storage.
        Ok(RoomKey::new(party, &plain_room_id(&kind.room_id(id)?)?))
    }

    /// A number that grows with every call, across all rooms of this run.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.0.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// The group whose connections the room shares, if its party puts it into one.
    pub(crate) fn group(&self, key: &RoomKey) -> Option<Group> {
        let (_, kind) = self.kind(key.party).ok()?;
        kind.group(&Lobby::new(key.clone(), self.clone()))
    }

    /// Whether a request counts towards the rate of its address.
    pub(crate) fn is_paced(&self, key: &RoomKey, headers: &HeaderMap) -> bool {
        let kind = self.kind(key.party);
        kind.is_ok_and(|(_, kind)| kind.is_paced(headers, &Lobby::new(key.clone(), self.clone())))
    }

    /// Runs the party's gatekeeper on a request from outside.
    pub(crate) async fn admit(&self, key: &RoomKey, request: Request, websocket: bool) -> Result<Request, Response> {
        match self.kind(key.party) {
            Ok((_, kind)) => {
                let admission = kind.admit(request, Lobby::new(key.clone(), self.clone()), websocket);
                AssertUnwindSafe(admission).catch_unwind().await.unwrap_or_else(|_| {
                    tracing::error!(room = %key, "a gatekeeper panicked: whoever asked is refused");
                    Err(Error::RoomFailed.into())
                })
            }
            // The key was made from a party that exists.
            Err(error) => Err(error.into()),
        }
    }

    /// Has a room handle a request of another room, and waits for the answer.
    pub(crate) async fn request(&self, key: &RoomKey, request: Request) -> Result<Response> {
        self.ask(key, request, false).await
    }

    /// Has a room handle a request that its gatekeeper let in, and waits for the answer.
    pub(crate) async fn request_from_outside(&self, key: &RoomKey, request: Request) -> Result<Response> {
        self.ask(key, request, true).await
    }

    async fn ask(&self, key: &RoomKey, request: Request, outside: bool) -> Result<Response> {
        let (reply, answer) = oneshot::channel();
        self.deliver(key, Event::Request { request: Box::new(request), reply: Some(reply), outside })?;
        self.answer(answer).await
    }

    /// Adds a connection to a room, and waits until the room has greeted it.
    pub(crate) async fn connect(&self, key: &RoomKey, id: String, request: Request) -> Result<Attached> {
        let limits = &self.0.config.limits;
        let connection_key = self.0.connection_keys.fetch_add(1, Ordering::Relaxed);
        let connection = Connection::new(connection_key, id, request.uri(), limits);
        // From here on the room may know it, so whatever happens to this future must tell the room.
        let attached = Attached::new(self.clone(), key.clone(), connection.clone());
        let (reply, answer) = oneshot::channel();
        self.deliver(key, Event::Connect { connection, request: Box::new(request), reply })?;
        match self.answer(answer).await {
            // As when the hook fails without a panic: browsers show a page the close reason, not a failed handshake's body.
            Err(error @ Error::RoomFailed) => attached.connection().close_with(error.close()),
            answer => answer?,
        }
        Ok(attached)
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        let limit = self.0.config.limits.call_timeout;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::RoomFailed),
            Err(_) => Err(Error::Deadline(limit)),
        }
    }

    /// Puts an event into a room's mailbox, and starts the room if it sleeps.
    pub(crate) fn deliver(&self, key: &RoomKey, event: Event) -> Result {
        let limits = &self.0.config.limits;
        let mut seats = self.seats();
        let stopping = self.0.stopping.load(Ordering::Relaxed);
        if stopping && matches!(event, Event::Connect { .. }) {
            // The room has said goodbye to its connections already; this one would never hear it.
            return Err(Error::Stopping);
        }
        let rooms = seats.len();
        let seat = match seats.entry(key.clone()) {
            Entry::Occupied(seat) => seat.into_mut(),
            // Where there is no room, there is no connection in it.
            Entry::Vacant(_) if matches!(event, Event::Close { .. }) => return Ok(()),
            Entry::Vacant(_) if stopping => return Err(Error::Stopping),
            Entry::Vacant(_) if rooms >= limits.rooms.div_ceil(event.share()) => return Err(Error::TooManyRooms),
            Entry::Vacant(seat) => seat.insert(Seat::Asleep(Connections::new())),
        };
        if let Seat::Asleep(connections) = seat {
            let connections = std::mem::take(connections);
            *seat = Seat::Awake(self.start(key, connections)?);
        }
        let Seat::Awake(mailbox) = seat else { return Err(Error::RoomFailed) };
        let waiting = mailbox.depth.fetch_add(1, Ordering::Relaxed);
        if waiting >= limits.mailbox_events && !matches!(event, Event::Close { .. }) {
            mailbox.depth.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::RoomBusy);
        }
        mailbox.events.send(Box::new(event)).map_err(|_| Error::Stopping)
    }

    fn start(&self, key: &RoomKey, connections: Connections) -> Result<Mailbox> {
        let (events, inbox) = mpsc::unbounded_channel();
        let depth = Arc::new(AtomicUsize::new(0));
        let inbox = Inbox { events: inbox, depth: Arc::clone(&depth) };
        let (_, kind) = self.kind(key.party)?;
        kind.start(self.clone(), key.clone(), connections, inbox);
        Ok(Mailbox { events, depth })
    }

    /// Whether so many rooms are there that one should not stay for a stranger's request alone.
    pub(super) fn are_crowded(&self) -> bool {
        self.seats().len() > self.0.config.limits.rooms / QUIET_SHARE
    }

    /// Ends an idle room, unless something has just arrived for it; its connections stay where the next event finds them.
    /// As events are only sent under the same lock, none can be lost in between.
    pub(super) fn retire(&self, key: &RoomKey, inbox: &Inbox, connections: &mut Connections) -> bool {
        let mut seats = self.seats();
        if !inbox.events.is_empty() {
            return false;
        }
        if connections.is_empty() {
            seats.remove(key);
        } else {
            seats.insert(key.clone(), Seat::Asleep(std::mem::take(connections)));
        }
        true
    }

    /// Starts no more rooms, and has those awake close their connections.
    pub(crate) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        for seat in self.seats().values() {
            match seat {
                Seat::Awake(mailbox) => {
                    mailbox.depth.fetch_add(1, Ordering::Relaxed);
                    // A room that has just ended has no connections.
                    let _ = mailbox.events.send(Box::new(Event::Stop));
                }
                Seat::Asleep(connections) => room::announce_stop(connections),
            }
        }
    }

    /// Wakes rooms whose alarm is due, for ever.
    pub(crate) async fn ring_alarms(&self) -> Infallible {
        loop {
            let key = self.0.alarms.next().await;
            if let Err(error) = self.deliver(&key, Event::Alarm) {
                tracing::warn!(room = %key, %error, "an alarm must wait");
                self.0.alarms.postpone(&key);
            }
            tokio::time::sleep(ALARM_PAUSE).await;
        }
    }

    /// Lets go of all rooms: each ends when it has handled what it was sent, or when that takes too long.
    pub(crate) async fn end(&self) {
        self.seats().clear();
        self.0.tasks.close();
        let limit = self.0.config.limits.shutdown_timeout;
        if tokio::time::timeout(limit, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some rooms did not end in time");
        }
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<RoomKey, Seat>> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in its room. Dropping it tells the room that the connection is gone, whatever the reason: a
/// finished handshake, a broken one, a closed socket or a panic.
pub(crate) struct Attached {
    rooms: Rooms,
    key: RoomKey,
    connection: Connection,
    /// How it ended.
    close: Close,
}

impl Attached {
    fn new(rooms: Rooms, key: RoomKey, connection: Connection) -> Self {
        // Gone without a goodbye, until it says otherwise.
        Self { rooms, key, connection, close: Close::new(close::ABNORMAL, "") }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn message(&self, message: Message) -> Result {
        self.rooms.deliver(&self.key, Event::Message { connection: self.connection.clone(), message })
    }

    /// Says how the connection ended.
    pub(crate) fn closed(&mut self, close: Close) {
        self.close = close;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let event = Event::Close { connection: self.connection.clone(), close: self.close.clone() };
        // Only a stopping server refuses this, and it forgets every connection anyway.
        let _ = self.rooms.deliver(&self.key, event);
    }
}

/// The id a connection asks for in its URL.
pub(crate) fn connection_id(uri: &Uri) -> String {
    let asked = query_value(uri, "_pk").filter(|id| !id.is_empty());
    asked.unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
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
