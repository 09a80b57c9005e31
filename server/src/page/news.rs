//! The counts that a page gets from counters and sends to viewers, and its own count that it reports.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, Weak},
    time::Duration,
};

use connection_counter_protocol::{CounterRequest, Counts, PageId, PageMessage};

use super::{Link, Page, links::keep, page_id, sets::Shared};
use crate::{
    Error, Settings,
    pace::RETRY,
    party::{Connection, Message, Result, Room, Stub, post},
};

/// Bytes of counts in one message, approximately. A connection keeps a buffer as large as its largest message.
const FRAME_BYTES: usize = 16 * 1024;
/// Bytes of a count in JSON, in addition to the page id.
const COUNT_BYTES: usize = r#""":4294967295,"#.len();

impl Page {
    /// Applies counts from a counter. Links that no one watches any more are ignored.
    pub(super) fn heard(&mut self, room: &Room, connections: Counts, sequence: Option<u64>) -> Result {
        for (id, count) in connections {
            let Some(link) = self.links.get_mut(&id).filter(|link| link.subscribed) else { continue };
            // With several machines, messages can overtake each other. An old count must not replace a newer one.
            if sequence.is_some_and(|sequence| sequence < link.sequence) {
                continue;
            }
            link.sequence = sequence.unwrap_or(link.sequence);
            if count > 0 {
                keep(&id, link, room)?;
            }
            let before = link.count.replace(count);
            if before != Some(count) {
                link.changed = self.telling.change();
            }
            if before.is_none() {
                self.telling.first_count();
            }
        }
        Ok(())
    }

    /// The counter has lost everything. Reports and subscribes again.
    pub(super) fn forget_what_was_told(&mut self) {
        self.reported = false;
        for (id, link) in &mut self.links {
            link.subscribed = false;
            if link.sets > 0 {
                self.unsettled.insert(id.clone());
            }
        }
    }

    /// After a failure of this room, counters still have its subscriptions, which it has lost. Asks them to forget these.
    pub(super) fn ask_to_be_forgotten(&self, room: &Room) -> Result {
        let request = CounterRequest::Forget { subscriber_id: page_id(room) };
        for counter in room.parties().get("counter")?.awake() {
            // A counter that is too busy for this sends counts that no one watches, which does no harm.
            tell(&counter, &request)?;
        }
        Ok(())
    }

    /// Does everything that is due after an event: updates subscriptions, reports the count, sends changes to viewers, and asks
    /// for a tick for what is too early.
    pub(super) fn settle(&mut self, room: &mut Room) -> Result {
        let waits = [self.settle_subscriptions(room)?, self.settle_report(room)?, self.settle_updates(room)?];
        if let Some(wait) = waits.into_iter().flatten().min() {
            room.tick_in(wait);
        }
        Ok(())
    }

    /// Updates the subscriptions at the counters. Returns how long to wait before trying again.
    fn settle_subscriptions(&mut self, room: &Room) -> Result<Option<Duration>> {
        let mut requests: BTreeMap<(&str, bool), Vec<PageId>> = BTreeMap::new();
        for id in &self.unsettled {
            if let Some(link) = self.links.get(id) {
                let watched = link.sets > 0;
                if watched != link.subscribed {
                    requests.entry((id.counter_room(), watched)).or_default().push(id.clone());
                }
            }
        }
        let mut failed = BTreeSet::new();
        for ((counter, watched), ids) in requests {
            let subscriber_id = page_id(room);
            let request = if watched {
                CounterRequest::Subscribe { subscriber_id, subscribe_to_room_ids: ids.clone() }
            } else {
                CounterRequest::Unsubscribe { subscriber_id, unsubscribe_from_room_ids: ids.clone() }
            };
            if !tell(&counter_stub(room, counter)?, &request)? {
                failed.extend(ids);
                continue;
            }
            for id in ids {
                if let Some(link) = self.links.get_mut(&id) {
                    link.subscribed = watched;
                    if !watched {
                        link.count = None;
                        if !link.kept {
                            self.links.remove(&id);
                        }
                    }
                }
            }
        }
        self.unsettled = failed;
        Ok((!self.unsettled.is_empty()).then_some(RETRY))
    }

    /// Reports the count if it has changed. Returns how long to wait if it is too early.
    fn settle_report(&mut self, room: &Room) -> Result<Option<Duration>> {
        if self.reported {
            return Ok(None);
        }
        let wait = self.reports.wait(room.now(), room.is_rush());
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        let count = self.count();
        let page = page_id(room);
        let request =
            CounterRequest::Update { id: page.clone(), connection_count: count, sequence: Some(room.next_sequence()) };
        self.reports.sent(room.now(), room.setting::<Settings>()?.update_interval);
        if tell(&counter_stub(room, page.counter_room())?, &request)? {
            self.reported = true;
            return Ok(None);
        }
        Ok(Some(RETRY))
    }

    /// Sends a viewer the known counts of links that it has just asked for.
    pub(super) fn send_snapshot(&mut self, room: &Room, connection: &Connection, asked: Arc<[PageId]>) -> Result {
        let Some(viewer) = self.viewers.get_mut(connection.key()) else { return Ok(()) };
        let version = self.telling.version();
        let mut snapshot = match self.snapshot.take() {
            Some(last) if last.version == version && last.alias.as_deref() == viewer.alias() && last.asked == asked => {
                last
            }
            _ => {
                let known: Vec<_> = asked.iter().filter_map(|id| News::of(id, self.links.get(id)?)).collect();
                let page = page_id(room);
                let names = Names { site: page.site(), alias: viewer.alias() };
                let messages = frames(&known).map(|frame| update(frame, names)).collect::<Result<_>>()?;
                Snapshot { asked, set: Weak::new(), alias: viewer.alias().map(Into::into), version, messages }
            }
        };
        snapshot.set = viewer.watches.as_ref().map_or_else(Weak::new, Arc::downgrade);
        for message in &snapshot.messages {
            if !connection.has_room_for(message) {
                // It gets everything with the next update that it can take.
                viewer.told = 0;
                self.telling.fall_behind();
                break;
            }
            // A connection that cannot take it is closing.
            let _ = connection.send(message.clone());
        }
        self.snapshot = Some(snapshot);
        Ok(())
    }

    /// Sends viewers what has changed since their last update. Returns how long to wait if it is too early. A viewer that still
    /// has unsent data is skipped. Later it gets the newest counts in one message.
    fn settle_updates(&mut self, room: &Room) -> Result<Option<Duration>> {
        // Viewers of a stopping server leave one after another. Nobody should see counts fall because of that.
        if room.is_stopping() {
            return Ok(None);
        }
        let now = room.now();
        let Some(wait) = self.telling.wait(now, room.is_rush()) else { return Ok(None) };
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        let start = room.processor_time();
        let version = self.telling.version();
        let page = page_id(room);
        let mut updates = Updates { links: &self.links, site: page.site(), made: HashMap::new() };
        let mut all = true;
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.told != version) {
            let Some(watches) = &viewer.watches else {
                viewer.told = version;
                continue;
            };
            if !viewer.connection.is_idle() {
                all = false;
                continue;
            }
            let parts = updates.since(viewer.told, watches, viewer.alias())?;
            let fits = |(_, message): &&(u64, Message)| viewer.connection.has_room_for(message);
            for (told, message) in parts.iter().take_while(fits) {
                // A connection that cannot take it is closing.
                let _ = viewer.connection.send(message.clone());
                viewer.told = *told;
            }
            if parts.last().is_none_or(|(told, _)| *told == viewer.told) {
                viewer.told = version;
            } else {
                all = false;
            }
        }
        let cost = room.processor_time().saturating_sub(start);
        self.bill.add(std::mem::take(&mut self.unbilled) + cost);
        // The time counts from the start, because sending to thousands takes a while, and must not delay the next update.
        self.telling.done(now, cost, room.setting::<Settings>()?.update_interval, all);
        Ok(self.telling.wait(room.now(), room.is_rush()))
    }
}

/// The snapshot for a viewer that asked for these links.
pub(super) struct Snapshot {
    /// The links, in the order in which the viewer named them.
    asked: Arc<[PageId]>,
    /// The set that the viewer watched then.
    set: Weak<Vec<PageId>>,
    /// The viewer's name for the site; see [`Viewer::alias`](super::Viewer::alias).
    alias: Option<Box<str>>,
    /// The version of the counts.
    version: u64,
    /// The messages.
    messages: Box<[Message]>,
}

impl Snapshot {
    /// The links and their set, if a message names the same links, and somebody still watches exactly these. Nothing about them
    /// has to be found out again.
    pub(super) fn if_asked_again(&self, texts: &[String]) -> Option<(Arc<[PageId]>, Shared)> {
        let is_same = self.asked.iter().map(PageId::as_str).eq(texts.iter().map(String::as_str));
        // The set has all links that were asked for. So if it has as many, it has no others.
        let set = self.set.upgrade().filter(|set| is_same && set.len() == self.asked.len())?;
        Some((Arc::clone(&self.asked), set))
    }
}

/// The names of the page's site: its own, and the one that a viewer uses.
#[derive(Clone, Copy)]
struct Names<'a> {
    /// Its own name.
    site: Option<&'a str>,
    /// The viewer's name; see [`Viewer::alias`](super::Viewer::alias).
    alias: Option<&'a str>,
}

/// What decides whether two viewers get the same update: the version that they were told last, where their set of links is
/// stored, and their name for the site.
type Sameness = (u64, *const PageId, Option<Box<str>>);

/// The messages of one update. Each is encoded once, for all viewers who get the same.
struct Updates<'a> {
    /// The page's links, with their counts.
    links: &'a HashMap<PageId, Link>,
    /// The page's site.
    site: Option<&'a str>,
    /// The updates that were encoded so far.
    made: HashMap<Sameness, Vec<(u64, Message)>>,
}

impl Updates<'_> {
    /// The changes of these links after this version, oldest first. Each message comes with the version that it leads to.
    fn since(&mut self, told: u64, watches: &[PageId], alias: Option<&str>) -> Result<&[(u64, Message)]> {
        Ok(match self.made.entry((told, watches.as_ptr(), alias.map(Into::into))) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => {
                let names = Names { site: self.site, alias };
                place.insert(changes_since(self.links, told, watches, names)?)
            }
        })
    }
}

/// The count of one link, as it is sent.
struct News<'a> {
    /// Where the link leads.
    id: &'a PageId,
    /// Its viewers.
    count: u32,
    /// The version at which it changed.
    changed: u64,
}

impl<'a> News<'a> {
    fn of(id: &'a PageId, link: &Link) -> Option<Self> {
        Some(Self { id, count: link.count?, changed: link.changed })
    }
}

fn changes_since(
    links: &HashMap<PageId, Link>,
    told: u64,
    watches: &[PageId],
    names: Names<'_>,
) -> Result<Vec<(u64, Message)>> {
    let known = watches.iter().filter_map(|id| News::of(id, links.get(id)?));
    let mut news: Vec<_> = known.filter(|news| news.changed > told).collect();
    news.sort_unstable_by_key(|news| news.changed);
    frames(&news).map(|frame| Ok((frame.last().map_or(told, |news| news.changed), update(frame, names)?))).collect()
}

/// Splits the news into parts that fit into one message.
fn frames<'a, 'b>(mut news: &'b [News<'a>]) -> impl Iterator<Item = &'b [News<'a>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fitting = news.iter().take_while(|news| {
            bytes += news.id.as_str().len() + COUNT_BYTES;
            bytes <= FRAME_BYTES
        });
        let (frame, rest) = news.split_at(fitting.count());
        news = rest;
        (!frame.is_empty()).then_some(frame)
    })
}

/// The message with these counts. A viewer that uses another name of the site gets the counts under both names.
fn update(frame: &[News<'_>], names: Names<'_>) -> Result<Message> {
    let mut connections: BTreeMap<_, _> = frame.iter().map(|news| (news.id.clone(), news.count)).collect();
    if let Names { site: Some(site), alias: Some(alias) } = names {
        for news in frame.iter().filter(|news| news.id.site() == Some(site)) {
            let rest = news.id.as_str().strip_prefix(site).unwrap_or_default();
            // A link that would be too long under the other name was not asked for with it.
            if let Ok(id) = PageId::parse(&format!("{alias}{rest}")) {
                connections.insert(id, news.count);
            }
        }
    }
    Message::json(&PageMessage::Update { connections })
}

fn counter_stub(room: &Room, counter: &str) -> Result<Stub> {
    room.parties().get("counter")?.room(counter)
}

/// Sends a request without waiting. Returns `false` if the counter cannot take it now. Counts are absolute, so a later report
/// makes up for it.
fn tell(counter: &Stub, request: &CounterRequest) -> Result<bool> {
    match counter.send(post(request)?) {
        Ok(()) => Ok(true),
        Err(Error::RoomBusy | Error::TooManyRooms | Error::Stopping) => Ok(false),
        Err(error) => Err(error),
    }
}
