//! The counter party: how many viewers each page of a site has, and which pages want to know.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use connection_counter_protocol::{CounterRequest, Counts, DEFAULT_COUNTER_ROOM, PageDetail, PageId, PageRequest};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    gate,
    pace::Pace,
    party::{Lobby, Party, Request, Response, Result, Room, alarm::unix_ms, json, text},
    report::{Question, Reports},
    site::spell_site,
    storage::ListOptions,
};

/// How many update intervals pages get to tell everything again: one that they may have to wait, and one to be safe.
const RECOVERY_INTERVALS: u32 = 2;

/// The counts of one site.
#[derive(Default)]
pub struct Counter {
    pages: HashMap<PageId, Tally>,
    /// Pages with viewers.
    viewed: HashSet<PageId>,
    subscribers: HashMap<PageId, Subscriber>,
    /// Subscribers with news that could not go out yet.
    waiting: BTreeSet<PageId>,
    tick_pending: bool,
    /// Until then pages are telling their counts after a failure of this room; what is not known yet must not look like 0.
    recovering_until: Option<Instant>,
    reports: Reports,
}

/// One page that has viewers, had some, or is linked to.
#[derive(Default)]
struct Tally {
    viewers: u32,
    /// Of the last report.
    sequence: u64,
    subscribers: HashSet<PageId>,
    history: History,
}

/// What of a page stays true after a restart.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    peak: u32,
    peak_at_ms: u64,
    last_activity_ms: u64,
}

/// A page whose viewers watch others.
#[derive(Default)]
struct Subscriber {
    pages: HashSet<PageId>,
    /// Pages whose count it has not been told yet.
    news: BTreeSet<PageId>,
    pace: Pace,
}

impl Party for Counter {
    /// A site, or the room of all ids without one.
    fn room_id(id: &str) -> Result<String> {
        if id == DEFAULT_COUNTER_ROOM { Ok(id.to_owned()) } else { Ok(spell_site(id)?) }
    }

    async fn on_before_connect(_: Request, _: &Lobby) -> std::result::Result<Request, Response> {
        Err(text(StatusCode::FORBIDDEN, "counters are read with GET; connect to /parties/page/:id instead"))
    }

    async fn on_before_request(request: Request, lobby: &Lobby) -> std::result::Result<Request, Response> {
        let site = Some(lobby.room_id()).filter(|id| *id != DEFAULT_COUNTER_ROOM);
        gate::check(request, lobby, site)
    }

    fn new(_: &Room) -> Self {
        Self::default()
    }

    async fn on_start(&mut self, room: &mut Room) -> Result {
        let options = ListOptions { prefix: "page:", ..ListOptions::default() };
        match room.storage().list::<History>(options).await {
            Ok(rows) => {
                for (key, history) in rows {
                    if let Some(Ok(id)) = key.strip_prefix("page:").map(PageId::parse) {
                        self.pages.insert(id, Tally { history, ..Tally::default() });
                    }
                }
            }
            // The past is a convenience; the present is not.
            Err(error) => tracing::error!(site = room.id(), %error, "peaks could not be read; starting without"),
        }
        if room.failed_before() {
            self.recovering_until = Some(room.now() + RECOVERY_INTERVALS * room.config().update_interval);
            self.ask_for_everything(room)?;
        }
        Ok(())
    }

    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        let response = match *request.method() {
            Method::GET | Method::HEAD => return self.report(room, &request),
            Method::POST => match serde_json::from_slice(request.body())? {
                CounterRequest::Update { id, connection_count, sequence } => {
                    self.update(room, &id, connection_count, sequence)?;
                    json(&gate::SUCCESS)
                }
                CounterRequest::Subscribe { subscriber_id, subscribe_to_room_ids } => {
                    json(&self.subscribe(room, &subscriber_id, subscribe_to_room_ids)?)
                }
                CounterRequest::Unsubscribe { subscriber_id, unsubscribe_from_room_ids } => {
                    self.unsubscribe(&subscriber_id, &unsubscribe_from_room_ids);
                    json(&gate::SUCCESS)
                }
            },
            _ => Err(Error::Method("GET, HEAD, POST, OPTIONS")),
        };
        // What is counted lives in memory only, so the room stays there while anything is.
        room.stay_awake(!self.viewed.is_empty() || !self.subscribers.is_empty());
        response
    }

    async fn on_tick(&mut self, room: &mut Room) -> Result {
        self.tick_pending = false;
        for subscriber in std::mem::take(&mut self.waiting) {
            self.tell(room, subscriber)?;
        }
        Ok(())
    }

    /// Forgets pages that no one views, no one links to, and no one viewed for long.
    async fn on_alarm(&mut self, room: &mut Room) -> Result {
        let forget_after = u64::try_from(room.config().forget_after.as_millis()).unwrap_or(u64::MAX);
        let before = unix_ms().saturating_sub(forget_after);
        let inactive = |tally: &Tally| {
            tally.viewers == 0 && tally.subscribers.is_empty() && tally.history.last_activity_ms <= before
        };
        for (id, _) in self.pages.extract_if(|_, tally| inactive(tally)) {
            room.storage().delete(&page_key(&id))?;
        }
        if !self.pages.is_empty() {
            room.set_alarm(room.config().cleanup_interval);
        }
        Ok(())
    }
}

impl Counter {
    fn update(&mut self, room: &mut Room, id: &PageId, viewers: u32, sequence: Option<u64>) -> Result {
        // A page that was never seen and has no viewers is nothing to keep.
        if viewers == 0 && !self.pages.contains_key(id) {
            return Ok(());
        }
        let Some(tally) = self.page(room, id) else { return Ok(()) };
        // Reports can overtake each other once there is more than one machine; an old count must not stick.
        if sequence.is_some_and(|sequence| sequence <= tally.sequence) {
            return Ok(());
        }
        tally.sequence = sequence.unwrap_or(tally.sequence);
        if tally.viewers == viewers {
            return Ok(());
        }
        tally.viewers = viewers;
        tally.history.last_activity_ms = unix_ms();
        if viewers > tally.history.peak {
            tally.history.peak = viewers;
            tally.history.peak_at_ms = tally.history.last_activity_ms;
        }
        room.storage().put(&page_key(id), &tally.history)?;
        let subscribers: Vec<PageId> = tally.subscribers.iter().cloned().collect();
        if viewers > 0 {
            self.viewed.insert(id.clone());
        } else {
            self.viewed.remove(id);
        }
        for subscriber in subscribers {
            self.news(room, subscriber, [id.clone()])?;
        }
        Ok(())
    }

    fn subscribe(&mut self, room: &mut Room, subscriber: &PageId, pages: Vec<PageId>) -> Result<Counts> {
        let mut counts = Counts::new();
        for id in pages {
            let Some(tally) = self.page(room, &id) else { continue };
            tally.subscribers.insert(subscriber.clone());
            counts.insert(id.clone(), tally.viewers);
            self.subscribers.entry(subscriber.clone()).or_default().pages.insert(id);
        }
        self.news(room, subscriber.clone(), counts.keys().cloned())?;
        Ok(counts)
    }

    fn unsubscribe(&mut self, subscriber: &PageId, pages: &[PageId]) {
        for id in pages {
            if let Some(tally) = self.pages.get_mut(id) {
                tally.subscribers.remove(subscriber);
                // Nothing of it was ever stored.
                if tally.subscribers.is_empty() && tally.history.last_activity_ms == 0 {
                    self.pages.remove(id);
                }
            }
            if let Some(state) = self.subscribers.get_mut(subscriber) {
                state.pages.remove(id);
                state.news.remove(id);
                if state.pages.is_empty() {
                    self.subscribers.remove(subscriber);
                    self.waiting.remove(subscriber);
                }
            }
        }
    }

    /// The page's tally, made if there is room for one more.
    fn page(&mut self, room: &Room, id: &PageId) -> Option<&mut Tally> {
        if !self.pages.contains_key(id) {
            if self.pages.len() >= room.config().limits.pages_per_site {
                tracing::debug!(site = room.id(), "the site has as many pages as it may; a new one is not counted");
                return None;
            }
            if room.alarm().is_none() {
                room.set_alarm(room.config().cleanup_interval);
            }
        }
        Some(self.pages.entry(id.clone()).or_default())
    }

    /// A subscriber should hear of these pages: at once if it heard nothing lately, else with the next tick.
    fn news(&mut self, room: &mut Room, subscriber: PageId, pages: impl IntoIterator<Item = PageId>) -> Result {
        let Some(state) = self.subscribers.get_mut(&subscriber) else { return Ok(()) };
        state.news.extend(pages);
        if self.waiting.contains(&subscriber) { Ok(()) } else { self.tell(room, subscriber) }
    }

    /// Tells a subscriber its news if it is time; otherwise with a later tick.
    fn tell(&mut self, room: &mut Room, subscriber: PageId) -> Result {
        let interval = room.config().update_interval;
        let Some(state) = self.subscribers.get_mut(&subscriber) else { return Ok(()) };
        if state.news.is_empty() {
            return Ok(());
        }
        let recovering = self.recovering_until.map(|until| until.saturating_duration_since(room.now()));
        let wait = state.pace.wait(room.now(), interval).max(recovering.unwrap_or_default());
        if !wait.is_zero() {
            self.tell_later(room, subscriber, wait);
            return Ok(());
        }
        let viewers = |id: &PageId| self.pages.get(id).map_or(0, |tally| tally.viewers);
        let connections = state.news.iter().map(|id| (id.clone(), viewers(id))).collect();
        let update = PageRequest::Update { connections, sequence: Some(room.next_sequence()) };
        let page = room.parties().get("page")?.room(subscriber.as_str())?;
        match page.send(gate::post(&update)?) {
            Ok(()) => {
                state.news.clear();
                state.pace.sent(room.now());
            }
            // It hears the newest counts when it has room for them.
            Err(error) => {
                tracing::debug!(%subscriber, %error, "a page could not be told");
                self.tell_later(room, subscriber, interval);
            }
        }
        Ok(())
    }

    fn tell_later(&mut self, room: &mut Room, subscriber: PageId, wait: Duration) {
        self.waiting.insert(subscriber);
        if !std::mem::replace(&mut self.tick_pending, true) {
            room.tick_in(wait);
        }
    }

    /// After a failure of this room nothing is left of who views and who watches; the pages know.
    fn ask_for_everything(&self, room: &Room) -> Result {
        // Pages of other sites may watch ours, so all are asked.
        for page in room.parties().get("page")?.awake() {
            page.send(gate::post(&PageRequest::Resync)?)?;
        }
        Ok(())
    }

    fn report(&mut self, room: &Room, request: &Request) -> Result<Response> {
        let question = match Question::parse(request.uri().query().unwrap_or_default()) {
            Ok(question) => question,
            Err(sentence) => return Ok(text(StatusCode::BAD_REQUEST, sentence)),
        };
        let detail = |tally: &Tally| PageDetail {
            viewers: tally.viewers,
            peak: tally.history.peak,
            peak_at_ms: tally.history.peak_at_ms,
            last_activity_ms: tally.history.last_activity_ms,
        };
        let pages = || self.pages.iter().map(|(id, tally)| (id, detail(tally)));
        self.reports.answer(question, room.now(), pages)
    }
}

fn page_key(id: &PageId) -> String {
    format!("page:{id}")
}
