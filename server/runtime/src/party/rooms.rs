//! All rooms of a server. This starts them, sends them events, and holds what they share.

use std::{
    collections::HashMap,
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use http::HeaderMap;
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use super::{
    AlarmClock, Close, Connection, Group, Message, Request, Response, Result, RoomId, RoomKey,
    calls::{Call, Calls},
    event::Event,
    mailbox::{Inbox, mailbox},
    table::{Connections, Table},
};
use crate::{
    account::Account,
    client::Held,
    config::Config,
    error::Error,
    notice::Notice,
    reload::Running,
    sockets::{Ears, Socket},
    storage::Db,
};

/// Wait between two alarms. After a long stop thousands are due at once, and readers come first.
const ALARM_PAUSE: Duration = Duration::from_millis(2);

/// Connections that may handle their first request at the same time. When thousands come together, the others wait with hardly
/// any memory, and each finishes soon once it has its turn.
const TURNS: usize = 128;

/// All rooms of the server. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Shared>);

pub(crate) struct Shared {
    /// The parties by name.
    kinds: HashMap<&'static str, Box<dyn Kind>>,
    /// The rooms in memory.
    table: Table,
    /// Which room waits for which other room.
    calls: Calls,
    /// The key of the next connection.
    connection_keys: AtomicU64,
    /// The next result of [`Rooms::next_sequence`].
    sequence: AtomicU64,
    /// The turns of connections that handle their first request.
    pub(crate) turns: Semaphore,
    /// The tasks of the rooms that are awake.
    pub(crate) tasks: TaskTracker,
    /// The server's settings, and the program's own values.
    running: Running,
    /// The alarms of all rooms.
    pub(crate) alarms: AlarmClock,
    /// The database behind the storage of all rooms.
    pub(crate) db: Db,
}

impl Shared {
    /// The server's current settings.
    pub(crate) fn config(&self) -> &'static Config {
        self.running.config.get()
    }
}

/// The code of a party, without its type.
pub(super) trait Kind: Send + Sync {
    fn id_has_slashes(&self) -> bool;
    fn room_id(&self, id: &str) -> Result<RoomId>;
    fn same_as(&self, rooms: &Rooms, key: &RoomKey) -> Option<RoomId>;
    fn group(&self, rooms: &Rooms, key: &RoomKey) -> Option<Group>;
    fn is_paced(&self, headers: &HeaderMap, rooms: &Rooms, key: &RoomKey) -> bool;
    fn admit(&self, request: Request, rooms: Rooms, key: RoomKey, websocket: bool) -> Admission;
    fn start(&self, rooms: Rooms, key: RoomKey, connections: Connections, inbox: Inbox);
}

/// The future result of a gatekeeper: the request for the room, or the response to send instead.
pub(super) type Admission = Pin<Box<dyn Future<Output = Result<Request, Response>> + Send>>;

impl Rooms {
    pub(super) fn new(
        kinds: HashMap<&'static str, Box<dyn Kind>>,
        running: Running,
        alarms: AlarmClock,
        db: Db,
    ) -> Self {
        Self(Arc::new(Shared {
            kinds,
            table: Table::default(),
            calls: Calls::default(),
            connection_keys: AtomicU64::new(0),
            // It starts above the initial value of its readers, so that the first message counts as new.
            sequence: AtomicU64::new(1),
            turns: Semaphore::new(TURNS),
            tasks: TaskTracker::new(),
            running,
            alarms,
            db,
        }))
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    pub(super) fn setting<T: Send + Sync + 'static>(&self) -> Result<&T> {
        self.0.running.program.get().values.get().ok_or_else(|| Error::Setting(std::any::type_name::<T>()))
    }

    fn kind(&self, party: &str) -> Result<(&'static str, &dyn Kind)> {
        let (name, kind) = self.0.kinds.get_key_value(party).ok_or_else(|| Error::UnknownParty(party.to_owned()))?;
        Ok((name, &**kind))
    }

    /// The party's name, as it was registered.
    pub(super) fn party(&self, name: &str) -> Result<&'static str> {
        self.kind(name).map(|(name, _)| name)
    }

    pub(super) fn awake_of(&self, party: &str) -> Vec<RoomKey> {
        self.0.table.awake_of(party)
    }

    /// Notes that `caller` waits for `target`, until the returned value is dropped.
    pub(super) fn enter_call(&self, caller: Option<&RoomKey>, target: &RoomKey) -> Result<Call<'_>> {
        self.0.calls.enter(caller, target, self.0.config().limits.calls)
    }

    pub(crate) fn room_key(&self, party: &str, id: &str) -> Result<RoomKey> {
        let (party, kind) = self.kind(party)?;
        let key = RoomKey::new(party, kind.room_id(id)?)?;
        match kind.same_as(self, &key) {
            Some(other) => RoomKey::new(party, other),
            None => Ok(key),
        }
    }

    /// Whether slashes in a URL belong to the ids of the party's rooms.
    pub(crate) fn id_has_slashes(&self, party: &str) -> bool {
        self.kind(party).is_ok_and(|(_, kind)| kind.id_has_slashes())
    }

    /// A number that grows with every call, in all rooms of this run.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.0.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// The room's group, if its party puts it into one.
    pub(crate) fn group(&self, key: &RoomKey) -> Option<Group> {
        let (_, kind) = self.kind(key.party()).ok()?;
        kind.group(self, key)
    }

    /// Whether a request counts towards the rate of its address.
    pub(crate) fn is_paced(&self, key: &RoomKey, headers: &HeaderMap) -> bool {
        self.kind(key.party()).is_ok_and(|(_, kind)| kind.is_paced(headers, self, key))
    }

    /// Runs the party's gatekeeper on a request from outside.
    pub(crate) async fn admit(&self, key: &RoomKey, request: Request, websocket: bool) -> Result<Request, Response> {
        match self.kind(key.party()) {
            Ok((_, kind)) => {
                let admission = kind.admit(request, self.clone(), key.clone(), websocket);
                AssertUnwindSafe(admission).catch_unwind().await.unwrap_or_else(|_| {
                    static PANICKED: Notice = Notice::fault();
                    PANICKED.give(|| format!("room {key}: the gatekeeper panicked; the request is refused"));
                    Err(Error::RoomFailed.into())
                })
            }
            // The key was made from a party that exists.
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a room a request of another room, and waits for the answer.
    pub(crate) async fn request(&self, key: &RoomKey, request: Request) -> Result<Response> {
        self.ask(key, request, false).await
    }

    /// Sends a room a request that its gatekeeper accepted, and waits for the answer.
    pub(crate) async fn request_from_outside(&self, key: &RoomKey, request: Request) -> Result<Response> {
        self.ask(key, request, true).await
    }

    async fn ask(&self, key: &RoomKey, request: Request, outside: bool) -> Result<Response> {
        let (reply, answer) = oneshot::channel();
        self.deliver(key, Event::Request { request: Box::new(request), reply: Some(reply), outside })?;
        self.answer(answer).await
    }

    /// Adds a connection to a room, and waits until `on_connect` has returned.
    pub(crate) async fn connect(
        &self,
        key: &RoomKey,
        socket: Socket,
        account: Option<Arc<Account>>,
        request: Request,
    ) -> Result<Attached> {
        // This uses the room's own key, so that all of its connections share one.
        let key = self.0.table.own_key(key);
        let connection_key = self.0.connection_keys.fetch_add(1, Ordering::Relaxed);
        let limits = &self.0.config().limits;
        let connection = Connection::new(connection_key, key.clone(), socket, account, request.uri(), limits);
        // From here on the room may know the connection. So if this future is dropped, the room must be told.
        let attached = Attached::new(self.clone(), connection.clone());
        let (reply, answer) = oneshot::channel();
        self.deliver(&key, Event::Connect { connection, request: Box::new(request), reply })?;
        match self.answer(answer).await {
            // This is the same as when the hook fails without a panic: browsers show a page the close reason, but not the body
            // of a failed handshake.
            Err(error @ Error::RoomFailed) => attached.connection().close_with(error.close()),
            answer => answer?,
        }
        Ok(attached)
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        let limit = self.0.config().limits.call_timeout;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::RoomFailed),
            Err(_) => Err(Error::Deadline(limit)),
        }
    }

    /// Puts an event into a room's mailbox, and starts the room if it sleeps.
    pub(crate) fn deliver(&self, key: &RoomKey, event: Event) -> Result {
        let (_, kind) = self.kind(key.party())?;
        self.0.table.deliver(key, event, &self.0.config().limits, |connections| {
            let (mailbox, inbox) = mailbox();
            kind.start(self.clone(), key.clone(), connections, inbox);
            mailbox
        })
    }

    /// How many rooms of each party are in memory.
    pub(crate) fn in_memory(&self) -> Vec<(&'static str, usize)> {
        self.0.table.in_memory(self.0.kinds.keys().copied())
    }

    /// Whether so many rooms are in memory that a room should not stay only because of a stranger's request.
    pub(super) fn are_crowded(&self) -> bool {
        self.0.table.is_crowded(&self.0.config().limits)
    }

    /// Ends an idle room, unless an event has just arrived for it.
    pub(super) fn retire(&self, key: &RoomKey, inbox: &Inbox, connections: &mut Connections) -> bool {
        self.0.table.retire(key, inbox, connections)
    }

    /// Starts no more rooms, and accepts no more connections.
    pub(crate) fn stop(&self) {
        self.0.table.stop();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.table.is_stopping()
    }

    /// Runs the alarms that are due, for ever.
    pub(crate) async fn ring_alarms(&self) -> Infallible {
        loop {
            let key = self.0.alarms.next().await;
            if let Err(error) = self.deliver(&key, Event::Alarm) {
                static WAITS: Notice = Notice::warning();
                WAITS.give(|| format!("room {key}: the alarm must wait: {error}"));
                self.0.alarms.postpone(&key);
            }
            tokio::time::sleep(ALARM_PAUSE).await;
        }
    }

    /// Ends all rooms. Each handles the events that it has, until the deadline.
    pub(crate) async fn end(&self, deadline: Instant) {
        self.0.table.clear();
        self.0.tasks.close();
        if tokio::time::timeout_at(deadline, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some rooms did not end before --shutdown-timeout-ms");
        }
    }
}

impl Ears for Rooms {
    type Connection = Connection;
    type Held = Held;

    fn heard(&self, connection: &Connection, message: Message) -> Result<(), Close> {
        let Some(room) = connection.room() else { return Ok(()) };
        let event = Event::Message { connection: connection.clone(), message };
        self.deliver(room, event).map_err(|error| error.close())
    }

    fn gone(&self, connection: &Connection, close: Close) {
        let Some(room) = connection.room() else { return };
        // Only a stopping server refuses this, and it drops every connection anyway.
        let _ = self.deliver(room, Event::Close { connection: connection.clone(), close });
    }
}

/// A connection that is attached to its room. Dropping it tells the room that the connection is gone, for whatever reason: a
/// failed handshake, a closed connection, or a panic.
pub(crate) struct Attached {
    /// The way to the room.
    rooms: Rooms,
    /// The connection, as the room sees it.
    connection: Connection,
    /// How the connection ends. `None` once somebody else tells the room.
    close: Option<Close>,
}

impl Attached {
    fn new(rooms: Rooms, connection: Connection) -> Self {
        // Unless somebody says otherwise, the connection broke.
        Self { rooms, connection, close: Some(Close::abnormal("")) }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn message(&self, message: Message) -> Result {
        let event = Event::Message { connection: self.connection.clone(), message };
        self.connection.room().map_or(Ok(()), |room| self.rooms.deliver(room, event))
    }

    /// Sets how the connection ended.
    pub(crate) fn closed(&mut self, close: Close) {
        self.close = Some(close);
    }

    /// From now on the socket tells the room when the connection ends.
    pub(crate) fn hand_over(mut self) {
        self.close = None;
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            self.rooms.gone(&self.connection, close);
        }
    }
}
