//! All rooms of a server: reaches them, starts them, and holds what they share.

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
use http::{Extensions, HeaderMap, Uri};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::{
    AlarmClock, Close, Connection, Group, Message, Request, Response, Result, RoomId, RoomKey,
    calls::{Call, Calls},
    event::Event,
    mailbox::{Inbox, mailbox},
    query_value,
    table::{Connections, Table},
};
use crate::{close, config::Config, error::Error, storage::Db};

/// Wait between two alarms: after a long stop thousands are overdue at the same moment, and readers come first.
const ALARM_PAUSE: Duration = Duration::from_millis(2);

/// All rooms of the server. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Rooms(Arc<Shared>);

pub(crate) struct Shared {
    /// The parties by name.
    kinds: HashMap<&'static str, Box<dyn Kind>>,
    /// The rooms in memory.
    table: Table,
    /// Which room waits for which.
    calls: Calls,
    /// What the next connection is told apart by.
    connection_keys: AtomicU64,
    /// What [`Rooms::next_sequence`] answers next.
    sequence: AtomicU64,
    /// The rooms that are awake, as tasks.
    pub(crate) tasks: TaskTracker,
    /// The program's own values, by their types.
    settings: Extensions,
    /// How the server is set up.
    pub(crate) config: Arc<Config>,
    /// The alarms of all rooms.
    pub(crate) alarms: AlarmClock,
    /// The database behind the storage of all rooms.
    pub(crate) db: Db,
}

/// A party with its type erased: the code that rooms run.
pub(super) trait Kind: Send + Sync {
    fn room_id(&self, id: &str) -> Result<RoomId>;
    fn same_as(&self, rooms: &Rooms, key: &RoomKey) -> Option<RoomId>;
    fn group(&self, rooms: &Rooms, key: &RoomKey) -> Option<Group>;
    fn is_paced(&self, headers: &HeaderMap, rooms: &Rooms, key: &RoomKey) -> bool;
    fn admit(&self, request: Request, rooms: Rooms, key: RoomKey, websocket: bool) -> Admission;
    fn start(&self, rooms: Rooms, key: RoomKey, connections: Connections, inbox: Inbox);
}

/// What a gatekeeper says, some time: the request for the room, or the answer to give instead.
pub(super) type Admission = Pin<Box<dyn Future<Output = Result<Request, Response>> + Send>>;

impl Rooms {
    pub(super) fn new(
        kinds: HashMap<&'static str, Box<dyn Kind>>,
        settings: Extensions,
        config: Arc<Config>,
        alarms: AlarmClock,
        db: Db,
    ) -> Self {
        Self(Arc::new(Shared {
            kinds,
            table: Table::default(),
            calls: Calls::default(),
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
        self.0.table.awake_of(party)
    }

    /// Notes that `caller` waits for `target`, until the value returned is dropped.
    pub(super) fn enter_call(&self, caller: Option<&RoomKey>, target: &RoomKey) -> Result<Call<'_>> {
        self.0.calls.enter(caller, target, self.0.config.limits.calls)
    }

    pub(crate) fn room_key(&self, party: &str, id: &str) -> Result<RoomKey> {
        let (party, kind) = self.kind(party)?;
        let key = RoomKey::new(party, kind.room_id(id)?)?;
        match kind.same_as(self, &key) {
            Some(other) => RoomKey::new(party, other),
            None => Ok(key),
        }
    }

    /// A number that grows with every call, across all rooms of this run.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.0.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// The group whose connections the room shares, if its party puts it into one.
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
        let (_, kind) = self.kind(key.party())?;
        self.0.table.deliver(key, event, &self.0.config.limits, |connections| {
            let (mailbox, inbox) = mailbox();
            kind.start(self.clone(), key.clone(), connections, inbox);
            mailbox
        })
    }

    /// Whether so many rooms are there that one should not stay for a stranger's request alone.
    pub(super) fn are_crowded(&self) -> bool {
        self.0.table.is_crowded(&self.0.config.limits)
    }

    /// Ends an idle room, unless something has just arrived for it.
    pub(super) fn retire(&self, key: &RoomKey, inbox: &Inbox, connections: &mut Connections) -> bool {
        self.0.table.retire(key, inbox, connections)
    }

    /// Starts no more rooms, and has those there are close their connections.
    pub(crate) fn stop(&self) {
        self.0.table.stop();
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
        self.0.table.clear();
        self.0.tasks.close();
        let limit = self.0.config.limits.shutdown_timeout;
        if tokio::time::timeout(limit, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some rooms did not end in time");
        }
    }
}

/// A connection's place in its room. Dropping it tells the room that the connection is gone, whatever the reason: a
/// finished handshake, a broken one, a closed socket or a panic.
pub(crate) struct Attached {
    /// Through which it reaches its room.
    rooms: Rooms,
    /// Its room.
    key: RoomKey,
    /// What the room has of it.
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
