//! The page party: who views this page, which links they watch, and what they are told.
//!
//! It knows nothing of sockets or of the disk. Counts are the size of a set and never read back: after a restart no one
//! is here, until they are.

mod links;
mod news;
mod sets;
mod shares;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use connection_counter_protocol::{PageId, PageReport, PageRequest, ViewerMessage};
use http::Method;

use crate::{
    Access, Error, Reading, Refusal, Reservation, Settings,
    counter::elsewhere::OtherMachines,
    gate,
    pace::{Bill, Pace},
    party::{
        Connection, Group, Lobby, Message, Party, Request, Response, Result, Room, RoomId, http::HeaderMap, json,
        refusal_in_words,
    },
};
use links::forget_unwatched;
use news::Snapshot;
use sets::{LinkSet, LinkSets};
use shares::Brought;
use telling::Telling;

/// Bytes of a `viewer` token: a UUID, or anything as short.
const MAX_TOKEN_BYTES: usize = 64;
/// How long an event waits for remembered links: no one notices.
const PATIENCE: Duration = Duration::from_millis(100);
/// How the keys of remembered links begin.
const LINKS: &str = "link:";

/// One page.
#[derive(Default)]
pub struct Page {
    /// Who is here, by the key of the connection.
    viewers: HashMap<u64, Viewer>,
    /// The pages that viewers watch, and those that are remembered.
    links: BTreeMap<PageId, Link>,
    /// Which of them viewers watch.
    sets: LinkSets,
    /// Who brought those that are watched.
    brought: Brought,
    /// Links that began or ceased to be watched, and whose counter does not know yet.
    unsettled: BTreeSet<PageId>,
    /// What viewers have been told, and when they are told more.
    telling: Telling,
    /// Of whoever told us counts last: it pays for what comes of them.
    bill: Bill,
    /// The last snapshot that was sent, for the next viewer that asks for the same.
    snapshot: Option<Snapshot>,
    /// Whether the counter knows how many viewers there are.
    reported: bool,
    /// When the counter may be told again.
    reports: Pace,
    /// Links that are remembered and not read yet; `None` once they are.
    past: Option<Reading>,
}

/// One connection of the page. Each viewer of the server has one, so it is small.
struct Viewer {
    /// How it is reached.
    connection: Connection,
    /// The links it watches: their counts are all it is sent.
    watches: LinkSet,
    /// What its address pays for these.
    held: Reservation,
    /// The version of the links' counts it was last told; see [`Telling`].
    told: u64,
    /// What sets it apart from most.
    unusual: Option<Box<Unusual>>,
}

/// What few viewers have.
#[derive(Default)]
struct Unusual {
    /// The name that it calls the site by, where that is another name.
    alias: Option<Box<str>>,
    /// How it is counted.
    counted: Counted,
    /// It has sent something that is no message.
    warned: bool,
}

impl Viewer {
    /// The name that it calls the site by, where that is another name.
    fn alias(&self) -> Option<&str> {
        self.unusual.as_ref()?.alias.as_deref()
    }

    /// How it is counted.
    fn counted(&self) -> &Counted {
        self.unusual.as_ref().map_or(&Counted::Alone, |unusual| &unusual.counted)
    }
}

/// The page of a room.
fn page_id(room: &Room) -> PageId {
    room.parsed_id::<PageId>().expect("`Page::room_id` makes ids of page ids").clone()
}

/// The page that is asked for.
fn page_of(lobby: &Lobby) -> &PageId {
    lobby.parsed_id().expect("`Page::room_id` makes ids of page ids")
}

/// How a connection is counted.
#[derive(Default, PartialEq, Eq, Hash)]
enum Counted {
    /// As one viewer.
    #[default]
    Alone,
    /// Together with all connections of this token, as one viewer.
    With(Box<str>),
    /// Not at all: it only watches.
    Not,
}

/// A page that viewers of this page can go to.
#[derive(Default)]
struct Link {
    /// How many viewers of this page watch it. None do when it is only remembered.
    watchers: u32,
    /// The address that brought it; see [`Brought`].
    brought_by: Option<u64>,
    /// Whether its counter has been asked to tell us.
    subscribed: bool,
    /// Its viewers; `None` until its counter has told us.
    count: Option<u32>,
    /// The version at which its count last changed.
    changed: u64,
    /// Of the last news of it.
    sequence: u64,
    /// Whether it is stored, to be known after a restart.
    kept: bool,
}

impl Party for Page {
    /// As they are in the page's own address.
    const ID_HAS_SLASHES: bool = true;

    fn room_id(id: &str) -> Result<RoomId> {
        Ok(RoomId::new(PageId::parse(id).map_err(Refusal::from)?))
    }

    /// A page of a site's other name is the page of the site.
    fn same_as(lobby: &Lobby) -> Option<RoomId> {
        lobby.setting::<Access>().ok()?.main_page(page_of(lobby)).map(RoomId::new)
    }

    /// The site's pages, where the operator has set a bound for all of them.
    fn group(lobby: &Lobby) -> Option<Group> {
        let connections = lobby.setting::<Settings>().ok()?.limits.connections_per_site;
        let page = page_of(lobby);
        let name = page.site().filter(|_| connections > 0)?.to_owned();
        Some(Group { name, connections })
    }

    fn is_paced(headers: &HeaderMap, lobby: &Lobby) -> bool {
        gate::is_paced(headers, lobby)
    }

    async fn on_before_connect(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        let access = lobby.setting::<Access>()?;
        match access.check_origin(request.headers(), page_of(lobby)) {
            Ok(()) => Ok(request),
            Err(refusal) => {
                refusal.tell();
                // Where there is an origin there is a web page, and a widget that is better told to stay away.
                Err(match refusal {
                    Refusal::OriginMissing => gate::refusal(refusal),
                    refusal => refusal_in_words(&refusal.into()),
                })
            }
        }
    }

    async fn on_before_request(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        gate::check(request, lobby, page_of(lobby).site())
    }

    async fn on_start(&mut self, room: &mut Room) -> Result {
        // No viewers is what counters believe of a page, unless it failed when it had some.
        self.reported = !room.failed_before();
        // What it remembers is read when it is asked for: who is here must not wait for a disk.
        self.past = Some(room.storage().read(LINKS));
        if room.failed_before() {
            self.ask_to_be_forgotten(room)?;
        }
        self.settle(room)
    }

    async fn on_connect(&mut self, room: &mut Room, connection: &Connection, request: &Request) -> Result {
        let counted = counted(request);
        let unusual = (counted != Counted::Alone).then(|| Box::new(Unusual { counted, ..Unusual::default() }));
        let viewer = Viewer {
            connection: connection.clone(),
            watches: None,
            held: connection.reserve(),
            told: self.telling.version(),
            unusual,
        };
        self.viewers.insert(connection.key(), viewer);
        self.reported = false;
        self.settle(room)
    }

    async fn on_close(&mut self, room: &mut Room, connection: &Connection, _code: u16, _reason: &str) -> Result {
        if let Some(viewer) = self.viewers.remove(&connection.key()) {
            if let Some(links) = viewer.watches {
                self.unwatch(links.iter());
                self.sets.leave(links);
            }
            self.reported = false;
        }
        self.settle(room)
    }

    async fn on_message(&mut self, room: &mut Room, connection: &Connection, message: Message) -> Result {
        let parsed = match &message {
            Message::Text(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
            Message::Binary(_) => Err("binary messages are not understood".to_owned()),
        };
        match parsed {
            Ok(ViewerMessage::Subscribe { links }) => self.subscribe(room, connection, &links)?,
            Ok(ViewerMessage::Unsubscribe { links }) => self.unsubscribe(room, connection, &links)?,
            Ok(ViewerMessage::Unknown) => {}
            Err(reason) => self.warn(connection, &reason)?,
        }
        self.settle(room)
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        match *request.method() {
            Method::GET | Method::HEAD => {
                self.recall(room).await;
                let connections = self.links.iter().map(|(id, link)| (id.clone(), link.count.unwrap_or(0))).collect();
                let id = page_id(room);
                // There is no such setting where nothing joins machines.
                let elsewhere = room.setting::<OtherMachines>().map_or(0, |machines| machines.viewers(&id));
                gate::public(&PageReport { viewers: self.count().saturating_add(elsewhere), id, connections })
            }
            Method::POST => {
                let start = room.processor_time();
                match serde_json::from_slice(request.body())? {
                    PageRequest::Update { connections, sequence } => self.heard(room, connections, sequence)?,
                    PageRequest::Resync => self.forget_what_was_told(),
                }
                if let Some(bill) = request.extensions().get::<Bill>() {
                    self.bill = bill.clone();
                    bill.add(room.processor_time().saturating_sub(start));
                }
                self.settle(room)?;
                json(&gate::SUCCESS)
            }
            _ => Err(Error::Method("GET, HEAD, POST, OPTIONS")),
        }
    }

    async fn on_tick(&mut self, room: &mut Room) -> Result {
        self.settle(room)
    }

    /// Forgets the links that no one here watches any more.
    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        self.recall(room).await;
        forget_unwatched(&mut self.links, room)?;
        if self.past.is_some() || self.links.values().any(|link| link.kept) {
            room.set_alarm(room.setting::<Settings>()?.cleanup_interval);
        }
        self.settle(room)
    }
}

impl Page {
    /// Who views the page: connections, or the people behind them where they said who belongs together.
    fn count(&self) -> u32 {
        let mut people = HashSet::new();
        let counted = self.viewers.values().filter(|viewer| match viewer.counted() {
            Counted::Alone => true,
            together @ Counted::With(_) => people.insert(together),
            Counted::Not => false,
        });
        u32::try_from(counted.count()).unwrap_or(u32::MAX)
    }
}

/// What the connection's address says about counting it: `?observe` or `?viewer=<token>`.
fn counted(request: &Request) -> Counted {
    let mut counted = Counted::Alone;
    for pair in request.uri().query().unwrap_or_default().split('&') {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("observe", _) => return Counted::Not,
            ("viewer", token) if (1..=MAX_TOKEN_BYTES).contains(&token.len()) => counted = Counted::With(token.into()),
            _ => {}
        }
    }
    counted
}
