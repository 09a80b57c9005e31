//! What a page hears from counters and passes on: to them its own count, to its viewers what changed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    time::Duration,
};

use connection_counter_protocol::{CounterRequest, Counts, PageId, PageMessage};

use super::{Link, Page, links::keep, page_id};
use crate::{
    Error, Settings,
    pace::stretched,
    party::{Message, Result, Room, Stub, post},
};

/// Messages to viewers of one page in a second: more of them hear news less often. One took 15 µs of processor time, on its
/// way through two sockets of one machine (release build, 5,000 viewers), so that no page takes more than half a core.
const WATCHERS_PER_SECOND: u32 = 30_000;
/// Bytes of counts in one message, about: a connection keeps a buffer as large as its largest message.
const FRAME_BYTES: usize = 16 * 1024;
/// Bytes of a count besides its page id, in JSON.
const COUNT_BYTES: usize = r#""":4294967295,"#.len();

impl Page {
    /// Takes in what a counter says. A link that no one watches any more is none of our business.
    pub(super) fn heard(&mut self, room: &Room, connections: Counts, sequence: Option<u64>) -> Result {
        for (id, count) in connections {
            let Some(link) = self.links.get_mut(&id).filter(|link| link.subscribed) else { continue };
            // Messages can overtake each other once there is more than one machine; an old count must not stick.
            if sequence.is_some_and(|sequence| sequence < link.sequence) {
                continue;
            }
            link.sequence = sequence.unwrap_or(link.sequence);
            if count > 0 {
                keep(&id, link, room)?;
            }
            match link.count.replace(count) {
                // Only who asked for it waits for a first count: to send it to all would let one viewer flood the others.
                None => self.awaited = true,
                Some(before) if before != count => {
                    self.version += 1;
                    link.changed = self.version;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Tells the counter everything anew, for it has lost it.
    pub(super) fn forget_what_was_told(&mut self) {
        self.reported = false;
        for (id, link) in &mut self.links {
            link.subscribed = false;
            if link.watchers > 0 {
                self.unsettled.insert(id.clone());
            }
        }
    }

    /// After a failure of this room counters still believe that it watches what it watched; it does not know what that was.
    pub(super) fn ask_to_be_forgotten(&self, room: &Room) -> Result {
        let request = CounterRequest::Forget { subscriber_id: page_id(room) };
        for counter in room.parties().get("counter")?.awake() {
            // One that is too busy tells us of links that no one watches, which does no harm.
            tell(&counter, &request)?;
        }
        Ok(())
    }

    /// Does all that is due after an event: brings subscriptions in line with what viewers watch, tells the counter our
    /// count, tells viewers what changed, and asks for a tick where it is too early for that.
    pub(super) fn settle(&mut self, room: &mut Room) -> Result {
        let waits = [
            self.settle_subscriptions(room)?,
            self.settle_report(room)?,
            self.settle_snapshots(room)?,
            self.settle_updates(room)?,
        ];
        if let Some(wait) = waits.into_iter().flatten().min() {
            room.tick_in(wait);
        }
        Ok(())
    }

    /// Brings the counters in line with what is watched; or says how long to wait before trying again.
    fn settle_subscriptions(&mut self, room: &Room) -> Result<Option<Duration>> {
        let mut requests: BTreeMap<(&str, bool), Vec<PageId>> = BTreeMap::new();
        for id in &self.unsettled {
            if let Some(link) = self.links.get(id) {
                let watched = link.watchers > 0;
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
        let interval = room.setting::<Settings>()?.update_interval;
        Ok((!self.unsettled.is_empty()).then_some(interval))
    }

    /// Tells the counter our count if it changed; or says how long to wait for that.
    fn settle_report(&mut self, room: &Room) -> Result<Option<Duration>> {
        if self.reported {
            return Ok(None);
        }
        let interval = room.setting::<Settings>()?.update_interval;
        let wait = self.reports.wait(room.now(), interval);
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        let count = self.count();
        let page = page_id(room);
        let request =
            CounterRequest::Update { id: page.clone(), connection_count: count, sequence: Some(room.next_sequence()) };
        self.reports.sent(room.now());
        if tell(&counter_stub(room, page.counter_room())?, &request)? {
            self.reported = true;
            return Ok(None);
        }
        Ok(Some(interval))
    }

    /// Tells viewers the first counts of links they have just begun to watch; or says how long to wait for that.
    pub(super) fn settle_snapshots(&mut self, room: &Room) -> Result<Option<Duration>> {
        if !std::mem::take(&mut self.awaited) {
            return Ok(None);
        }
        let page = page_id(room);
        for viewer in self.viewers.values_mut().filter(|viewer| !viewer.awaited.is_empty()) {
            let known = viewer.awaited.iter().filter_map(|id| News::of(id, self.links.get(id)?));
            let known: Vec<_> = known.collect();
            let mut told: Vec<PageId> = Vec::new();
            for frame in frames(&known) {
                let message = update(frame, viewer.alias.as_deref(), page.site())?;
                if !viewer.connection.has_room_for(&message) {
                    self.awaited = true;
                    break;
                }
                // Who cannot take it is closing.
                let _ = viewer.connection.send(message);
                told.extend(frame.iter().map(|news| news.id.clone()));
            }
            for id in &told {
                viewer.awaited.remove(id);
            }
        }
        let interval = room.setting::<Settings>()?.update_interval;
        Ok(self.awaited.then_some(interval))
    }

    /// Tells viewers what changed since they were last told; or says how long to wait for that. Who is still being
    /// written to is left out: it gets what is newest once it can take it, one message however long that takes.
    fn settle_updates(&mut self, room: &Room) -> Result<Option<Duration>> {
        if self.told == self.version {
            return Ok(None);
        }
        let interval = stretched(room.setting::<Settings>()?.update_interval, self.viewers.len(), WATCHERS_PER_SECOND);
        let wait = self.updates.wait(room.now(), interval);
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        self.updates.sent(room.now());
        // The same messages for all that were told the same before, by the same name of the site: encoded once, shared by them.
        let mut messages: HashMap<Told, Vec<(u64, Message)>> = HashMap::new();
        let page = page_id(room);
        let mut behind = false;
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.seen != self.version) {
            if !viewer.connection.is_idle() {
                behind = true;
                continue;
            }
            let parts = match messages.entry((viewer.seen, viewer.alias.clone())) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let names = (viewer.alias.as_deref(), page.site());
                    place.insert(changes_since(&self.links, viewer.seen, names)?)
                }
            };
            let fits = |(_, message): &&(u64, Message)| viewer.connection.has_room_for(message);
            for (seen, message) in parts.iter().take_while(fits) {
                // Who cannot take it is closing.
                let _ = viewer.connection.send(message.clone());
                viewer.seen = *seen;
            }
            if parts.last().is_none_or(|(seen, _)| *seen == viewer.seen) {
                viewer.seen = self.version;
            } else {
                behind = true;
            }
        }
        if behind {
            return Ok(Some(interval));
        }
        self.told = self.version;
        Ok(None)
    }
}

/// What viewers have in common who get the same messages: the version they were last told, and their other name of the site.
type Told = (u64, Option<Box<str>>);

/// One link's count, as it is told.
struct News<'a> {
    id: &'a PageId,
    count: u32,
    /// The version at which it changed.
    changed: u64,
}

impl<'a> News<'a> {
    fn of(id: &'a PageId, link: &Link) -> Option<Self> {
        Some(Self { id, count: link.count?, changed: link.changed })
    }
}

/// What changed after this version, oldest first: each message, and the version of who has been told it.
fn changes_since(
    links: &BTreeMap<PageId, Link>,
    version: u64,
    (alias, site): (Option<&str>, Option<&str>),
) -> Result<Vec<(u64, Message)>> {
    let changed = links.iter().filter(|(_, link)| link.changed > version);
    let mut news: Vec<_> = changed.filter_map(|(id, link)| News::of(id, link)).collect();
    news.sort_unstable_by_key(|news| news.changed);
    frames(&news)
        .map(|frame| Ok((frame.last().map_or(version, |news| news.changed), update(frame, alias, site)?)))
        .collect()
}

/// What fits into one message at a time.
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

/// The message that tells these counts, under both names to a viewer who calls the `site` by an `alias`.
fn update(frame: &[News<'_>], alias: Option<&str>, site: Option<&str>) -> Result<Message> {
    let mut connections: BTreeMap<_, _> = frame.iter().map(|news| (news.id.clone(), news.count)).collect();
    if let (Some(alias), Some(site)) = (alias, site) {
        for news in frame.iter().filter(|news| news.id.site() == Some(site)) {
            let rest = news.id.as_str().strip_prefix(site).unwrap_or_default();
            // One that would be too long under the other name was not asked for under it.
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

/// Sends one way. `false` if the counter cannot take it now; counts are whole, so a later try makes good for it.
fn tell(counter: &Stub, request: &CounterRequest) -> Result<bool> {
    match counter.send(post(request)?) {
        Ok(()) => Ok(true),
        Err(Error::RoomBusy | Error::TooManyRooms | Error::Stopping) => Ok(false),
        Err(error) => Err(error),
    }
}
