//! The counter party: how many viewers each page of a site has, and which pages watch which.

pub(crate) mod elsewhere;
mod history;
mod overview;
mod past;
mod recording;
mod report;
mod tally;
mod telling;

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    time::{Duration, Instant},
};

use connection_counter_protocol::{CounterRequest, Counts, DEFAULT_COUNTER_ROOM, PageId, PageRequest};
use http::{Method, StatusCode};

use crate::{
    Error, Reading, Refusal, Settings,
    access::{Access, spell_site},
    gate,
    pace::{Budget, Pace},
    party::{Lobby, Party, Request, Response, Result, Room, RoomId, Stub, http::HeaderMap, json, post, text},
};
use elsewhere::Feed;
use history::History;
pub(crate) use overview::{AskOverview, HOUR_MINUTES, MONTH_HOURS, Overview, PageOverview};
use past::{ALL, PATIENCE, PATIENCE_AT_START};
use recording::Recording;
use report::Reports;
use tally::Tally;

/// How long pages may take to report everything again, in addition to the interval that they may have to wait.
const RECOVERY_TIME: Duration = Duration::from_millis(200);
/// Rounds per interval in which waiting pages are told.
const TICKS_PER_INTERVAL: u32 = 10;

/// The counts of one site.
#[derive(Default)]
pub struct Counter {
    /// All known pages.
    pages: HashMap<PageId, Tally>,
    /// Bytes of memory that the pages take.
    bytes: usize,
    /// Below this many bytes, pages are not searched for some to forget.
    crowded: usize,
    /// Pages with viewers.
    viewed: HashSet<PageId>,
    /// The pages whose viewers watch other pages.
    subscribers: HashMap<PageId, Subscriber>,
    /// Subscribers with news that could not be sent yet, and when it can.
    waiting: BTreeSet<(Instant, PageId)>,
    /// When the next tick is due.
    tick_at: Option<Instant>,
    /// What it costs to tell pages, including the sending to their viewers.
    budget: Budget,
    /// Until then, pages report their counts after a failure of this room. Counts that are not known yet must not look like 0.
    recovering_until: Option<Instant>,
    /// Answers to requests from outside that are kept for a moment.
    reports: Reports,
    /// The stored values that are not read yet, and when to read on. `None` once all are read. Until then nothing is stored,
    /// because it could be less than what is stored already.
    past: Option<(Reading, Instant)>,
    /// The clean-up was due before everything was read.
    clean_up_due: bool,
    /// The highest counts over time.
    history: History,
    /// When the history records and saves.
    recording: Recording,
    /// The counts of other machines, if there are any.
    feed: Option<Box<dyn Feed>>,
}

/// A page whose viewers watch other pages.
struct Subscriber {
    /// The handle to its room.
    page: Stub,
    /// The pages that it watches.
    pages: HashSet<PageId>,
    /// Pages whose new count it has not been told yet.
    news: BTreeSet<PageId>,
    /// It has asked for counts, so it gets them even in a rush.
    asked: bool,
    /// Whether it is in `waiting`.
    waits: bool,
    /// When it may be told again.
    pace: Pace,
}

impl Party for Counter {
    /// A site, or the room of all ids without a site.
    fn room_id(id: &str) -> Result<RoomId> {
        let site = if id == DEFAULT_COUNTER_ROOM { id.to_owned() } else { spell_site(id).map_err(Refusal::from)? };
        Ok(RoomId::new(site))
    }

    /// The counter of another name of a site is the counter of that site.
    fn same_as(lobby: &Lobby) -> Option<RoomId> {
        let main = lobby.setting::<Access>().ok()?.main_site(lobby.room_id())?;
        Some(RoomId::new(main.into_owned()))
    }

    fn is_paced(headers: &HeaderMap, lobby: &Lobby) -> bool {
        gate::is_paced(headers, lobby)
    }

    async fn on_before_connect(_: Request, _: &Lobby) -> Result<Request, Response> {
        Err(text(StatusCode::FORBIDDEN, "counters are read with GET; connect to /parties/page/:id instead"))
    }

    async fn on_before_request(request: Request, lobby: &Lobby) -> Result<Request, Response> {
        let site = Some(lobby.room_id()).filter(|id| *id != DEFAULT_COUNTER_ROOM);
        gate::check(request, lobby, site)
    }

    async fn on_start(&mut self, room: &mut Room) -> Result {
        self.recording = Recording::start(room.now());
        self.join_others(room)?;
        self.past = Some((room.storage().read(ALL), room.now()));
        self.read_past(room, PATIENCE_AT_START).await?;
        if room.failed_before() {
            self.recovering_until = Some(room.now() + RECOVERY_TIME + room.setting::<Settings>()?.update_interval);
            self.ask_for_everything(room)?;
        }
        Ok(())
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let response = match *request.method() {
            Method::GET if request.extensions().get::<AskOverview>().is_some() => return Ok(self.overview(room)),
            Method::GET | Method::HEAD => return self.report(room, &request),
            Method::POST => match serde_json::from_slice(request.body())? {
                CounterRequest::Update { id, connection_count, sequence } => {
                    let interested = self.update(room, &id, connection_count, sequence)?;
                    self.tell(room, interested).await?;
                    json(&gate::SUCCESS)
                }
                CounterRequest::Subscribe { subscriber_id, subscribe_to_room_ids } => {
                    let counts = self.subscribe(room, &subscriber_id, subscribe_to_room_ids)?;
                    self.tell(room, vec![subscriber_id]).await?;
                    json(&counts)
                }
                CounterRequest::Unsubscribe { subscriber_id, unsubscribe_from_room_ids } => {
                    self.unsubscribe(&subscriber_id, &unsubscribe_from_room_ids);
                    json(&gate::SUCCESS)
                }
                CounterRequest::Forget { subscriber_id } => {
                    let watched = self.subscribers.get(&subscriber_id).into_iter().flat_map(|state| &state.pages);
                    let pages: Vec<PageId> = watched.cloned().collect();
                    self.unsubscribe(&subscriber_id, &pages);
                    json(&gate::SUCCESS)
                }
                CounterRequest::Elsewhere => {
                    let interested = self.hear_elsewhere(room)?;
                    self.tell(room, interested).await?;
                    json(&gate::SUCCESS)
                }
            },
            _ => Err(Error::Method("GET, HEAD, POST, OPTIONS")),
        };
        // Counts are only in memory, so the room stays there while it has any.
        room.stay_awake(!self.viewed.is_empty() || !self.subscribers.is_empty());
        response
    }

    async fn on_tick(&mut self, room: &mut Room) -> Result {
        self.tick_at = None;
        self.read_past(room, PATIENCE).await?;
        self.record_due(room)?;
        let mut due = Vec::new();
        let now = room.now();
        while self.waiting.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, subscriber)) = self.waiting.pop_first()
        {
            if let Some(state) = self.subscribers.get_mut(&subscriber) {
                state.waits = false;
                due.push(subscriber);
            }
        }
        self.tell(room, due).await?;
        if let Some((at, _)) = self.waiting.first() {
            // The tick is rounded, so that subscribers of the same moment are told together.
            let wait = at
                .saturating_duration_since(room.now())
                .max(room.setting::<Settings>()?.update_interval / TICKS_PER_INTERVAL);
            self.tick_by(room, wait);
        }
        Ok(())
    }

    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        if self.past.is_some() {
            self.clean_up_due = true;
            return Ok(());
        }
        self.clean_up(room)
    }
}

impl Counter {
    /// Applies a page's count. Returns the pages whose counts have changed.
    fn update(&mut self, room: &mut Room, id: &PageId, viewers: u32, sequence: Option<u64>) -> Result<Vec<PageId>> {
        // A page that is not known and has no viewers is not kept.
        if viewers == 0 && !self.pages.contains_key(id) {
            return Ok(Vec::new());
        }
        let tally = self.page(room, id)?;
        // With several machines, reports can overtake each other. An old count must not replace a newer one.
        if sequence.is_some_and(|sequence| sequence <= tally.sequence) {
            return Ok(Vec::new());
        }
        tally.sequence = sequence.unwrap_or(tally.sequence);
        if tally.viewers == viewers {
            return Ok(Vec::new());
        }
        let (before, key) = (tally.total(), tally.key);
        tally.viewers = viewers;
        if let Some(feed) = &mut self.feed {
            feed.set(id, key, viewers);
        }
        self.changed(room, id, before)
    }

    fn subscribe(&mut self, room: &mut Room, subscriber: &PageId, pages: Vec<PageId>) -> Result<Counts> {
        let mut counts = Counts::new();
        let subscriber = self.own_id(subscriber);
        for id in pages {
            if !self.pages.contains_key(&id) && !self.may_keep_one_more(room)? {
                tracing::debug!(
                    site = room.id(),
                    "the site has as many pages as it may have; a new link is not watched"
                );
                continue;
            }
            let tally = self.page(room, &id)?;
            tally.subscribers.insert(subscriber.clone());
            counts.insert(id.clone(), tally.total());
            let id = self.own_id(&id);
            let state = match self.subscribers.entry(subscriber.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let page = room.parties().get("page")?.room(subscriber.as_str())?;
                    let (pages, news) = (HashSet::new(), BTreeSet::new());
                    place.insert(Subscriber { page, pages, news, asked: true, waits: false, pace: Pace::default() })
                }
            };
            state.asked = true;
            state.news.insert(id.clone());
            state.pages.insert(id);
        }
        Ok(counts)
    }

    fn unsubscribe(&mut self, subscriber: &PageId, pages: &[PageId]) {
        for id in pages {
            if let Some(tally) = self.pages.get_mut(id) {
                tally.subscribers.remove(subscriber);
                // Nothing of this page was ever stored.
                if tally.subscribers.is_empty() && tally.remembered.last_activity_ms == 0 {
                    self.remove(id);
                }
            }
            if let Some(state) = self.subscribers.get_mut(subscriber) {
                state.pages.remove(id);
                state.news.remove(id);
                if state.pages.is_empty() {
                    self.subscribers.remove(subscriber);
                }
            }
        }
    }

    /// After a failure, this room has lost who views and who watches. The pages know it.
    fn ask_for_everything(&self, room: &Room) -> Result {
        // Pages of other sites may watch ours, so all pages are asked.
        for page in room.parties().get("page")?.awake() {
            page.send(post(&PageRequest::Resync)?)?;
        }
        Ok(())
    }
}
