//! The page party: it knows its viewers, the links that they watch, and the counts that they have got.
//!
//! It knows nothing of sockets or of the disk. A count is the size of a set and is never read back. After a restart there are
//! no viewers until they connect again.

mod costs;
mod links;
mod news;
mod sets;
mod telling;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use connection_counter_protocol::{PageId, PageReport, PageRequest, ViewerMessage};
use http::Method;
use percent_encoding::percent_decode_str;

use crate::{
    Access, Error, Reading, Refusal, Reservation, Settings,
    counter::elsewhere::OtherMachines,
    gate,
    pace::{Bill, Pace},
    party::{
        ByConnection, Connection, Group, Lobby, Message, Party, Request, Response, Result, Room, RoomId,
        http::HeaderMap, json, refusal_in_words,
    },
};
use costs::Brought;
use links::forget_unwatched;
use news::Snapshot;
use sets::{Change, LinkSet, LinkSets};
use telling::Telling;

/// Bytes of a `viewer` token. It may be a UUID, or another text of this length.
const MAX_TOKEN_BYTES: usize = 64;
/// How long an event waits for stored links. Nobody notices such a short time.
const PATIENCE: Duration = Duration::from_millis(100);
/// The prefix of the keys of stored links.
const LINKS: &str = "link:";

/// A page.
#[derive(Default)]
pub struct Page {
    /// The viewers.
    viewers: ByConnection<Viewer>,
    /// The pages that viewers watch, and those that are only stored.
    links: HashMap<PageId, Link>,
    /// The sets of links that viewers watch.
    sets: LinkSets,
    /// Which addresses added the watched links.
    brought: Brought,
    /// Links whose counter does not know yet that they are watched, or that they no longer are.
    unsettled: BTreeSet<PageId>,
    /// What viewers have been told, and when the next update may be sent.
    telling: Telling,
    /// The bill of the counter that sent counts last. Each round to the viewers is added to it.
    bill: Bill,
    /// What the counts since the last round have cost.
    unbilled: Duration,
    /// The last snapshot, for the next viewer that asks for the same links.
    snapshot: Option<Snapshot>,
    /// Whether the counter knows the current number of viewers.
    reported: bool,
    /// When the next report to the counter may be sent.
    reports: Pace,
    /// The stored links that are not read yet.
    past: Past,
}

/// The stored links that are not read yet. Most pages are never asked for them.
#[derive(Default)]
enum Past {
    /// All of them.
    #[default]
    Unread,
    /// Those that this has not read yet.
    Reading(Box<Reading>),
    /// None.
    Read,
}

/// A connection of the page. It is small, because each viewer of the server has one.
struct Viewer {
    /// The connection.
    connection: Connection,
    /// The links that it watches. It gets only their counts.
    watches: LinkSet,
    /// Memory that is reserved for these links.
    held: Reservation,
    /// The version of the links' counts that it was told last; see [`Telling`].
    told: u64,
    /// What only few viewers have.
    unusual: Option<Box<Unusual>>,
}

/// What only few viewers have.
#[derive(Default)]
struct Unusual {
    /// The name that it uses for the site, if that is not the main name.
    alias: Option<Box<str>>,
    /// How it is counted.
    counted: Counted,
    /// Whether it has sent something that is not a message.
    warned: bool,
}

impl Viewer {
    /// The name that it uses for the site, if that is not the main name.
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
    /// As one viewer, together with all connections with this token.
    With(Box<str>),
    /// Not at all. It only watches.
    Not,
}

/// A page that viewers of this page can go to.
#[derive(Default)]
struct Link {
    /// How many of the sets that viewers watch have it. 0 if it is only stored.
    sets: u32,
    /// The address that added it; see [`Brought`].
    brought_by: Option<u64>,
    /// Whether its counter was asked to send its count.
    subscribed: bool,
    /// Its viewers. `None` until its counter has sent them.
    count: Option<u32>,
    /// The version at which its count last changed.
    changed: u64,
    /// The sequence number of its last count.
    sequence: u64,
    /// Whether it is stored, so that it is known after a restart.
    kept: bool,
}

impl Party for Page {
    /// The id has slashes as in the page's own address.
    const ID_HAS_SLASHES: bool = true;

    fn room_id(id: &str) -> Result<RoomId> {
        // A page of a site has a slash. If a proxy has encoded the address a second time, it still has to be decoded.
        let is_encoded_twice = !id.contains('/') && id.to_ascii_uppercase().contains("%2F");
        let decoded = if is_encoded_twice { percent_decode_str(id).decode_utf8_lossy() } else { Cow::from(id) };
        Ok(RoomId::new(PageId::parse(&decoded).map_err(Refusal::from)?))
    }

    /// A page under another name of its site is the page of that site.
    fn same_as(lobby: &Lobby) -> Option<RoomId> {
        lobby.setting::<Access>().ok()?.main_page(page_of(lobby)).map(RoomId::new)
    }

    /// The pages of the site, if the operator has set a limit for all of them.
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
                // A request with an origin comes from a web page. Its widget should be told not to try again.
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
        // Counters take a page to have no viewers, unless it failed when it had some.
        self.reported = !room.failed_before();
        // Stored links are read when they are needed, because viewers must not wait for the disk.
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
        if let Some(viewer) = self.viewers.remove(connection.key()) {
            let gone = viewer.watches.and_then(|set| self.sets.leave(set));
            self.apply(Change { new: None, gone });
            self.reported = false;
        }
        self.settle(room)
    }

    async fn on_message(&mut self, room: &mut Room, connection: &Connection, message: Message) -> Result {
        let parsed = match &message {
            Message::Text(text) => serde_json::from_str(text).map_err(|error| match error.is_data() {
                true => "this JSON is not a message: it needs a type, and links as a list of strings",
                false => "this message is not JSON",
            }),
            Message::Binary(_) => Err("binary messages are not understood"),
        };
        match parsed {
            Ok(ViewerMessage::Subscribe { links }) => self.subscribe(room, connection, &links)?,
            Ok(ViewerMessage::Unsubscribe { links }) => self.unsubscribe(room, connection, &links)?,
            Ok(ViewerMessage::Unknown) => {}
            Err(reason) => self.warn(connection, reason)?,
        }
        self.settle(room)
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        match *request.method() {
            Method::GET | Method::HEAD => {
                self.recall(room).await;
                let connections = self.links.iter().map(|(id, link)| (id.clone(), link.count.unwrap_or(0))).collect();
                let id = page_id(room);
                // Without a cluster there is no such setting.
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
                    self.unbilled += room.processor_time().saturating_sub(start);
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

    /// Forgets the links that no viewer watches any more.
    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        self.recall(room).await;
        forget_unwatched(&mut self.links, room)?;
        if !matches!(self.past, Past::Read) || self.links.values().any(|link| link.kept) {
            room.set_alarm(room.setting::<Settings>()?.cleanup_interval);
        }
        self.settle(room)
    }
}

impl Page {
    /// The number of viewers: connections, where all connections with the same token count as one.
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

/// What the connection's address says about counting: `?observe` or `?viewer=<token>`.
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
