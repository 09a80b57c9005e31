//! What a page hears from counters and passes on: to them its own count, to its viewers what changed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use connection_counter_protocol::{CounterRequest, Counts, PageId, PageMessage};

use super::{Link, Page, links::keep};
use crate::{
    error::Error,
    gate,
    party::{Message, Result, Room, Stub},
};

/// Viewers of one page above which updates become rarer, and by how much: one second for each so many.
const WATCHERS_PER_SECOND: u32 = 100_000;
/// However many they are, they hear news this often.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

impl Page {
    /// Takes in what a counter says. A link that no one watches any more is none of our business.
    pub(super) fn heard(&mut self, room: &Room, connections: Counts, sequence: Option<u64>) -> Result {
        let version = self.version + 1;
        let mut new = false;
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
                None => new = true,
                Some(before) if before != count => {
                    link.changed = version;
                    self.version = version;
                }
                Some(_) => {}
            }
        }
        if !new {
            return Ok(());
        }
        for viewer in self.viewers.values_mut().filter(|viewer| !viewer.awaited.is_empty()) {
            let mut snapshot = Counts::new();
            viewer.awaited.retain(|id| match self.links.get(id).and_then(|link| link.count) {
                Some(count) => snapshot.insert(id.clone(), count).is_some(),
                None => true,
            });
            if !snapshot.is_empty() {
                // Who cannot take it is closing.
                let _ = viewer.connection.send(Message::json(&PageMessage::Update { connections: snapshot })?);
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
        let request = CounterRequest::Forget { subscriber_id: self.id.clone() };
        for counter in room.parties().get("counter")?.awake() {
            // One that is too busy tells us of links that no one watches, which does no harm.
            tell(&counter, &request)?;
        }
        Ok(())
    }

    /// Does all that is due after an event: brings subscriptions in line with what viewers watch, tells the counter our
    /// count, tells viewers what changed, and asks for a tick where it is too early for that.
    pub(super) fn settle(&mut self, room: &mut Room) -> Result {
        let waits = [self.settle_subscriptions(room)?, self.settle_report(room)?, self.settle_updates(room)?];
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
            let subscriber_id = self.id.clone();
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
        Ok((!self.unsettled.is_empty()).then(|| room.config().update_interval))
    }

    /// Tells the counter our count if it changed; or says how long to wait for that.
    fn settle_report(&mut self, room: &Room) -> Result<Option<Duration>> {
        if self.reported {
            return Ok(None);
        }
        let interval = room.config().update_interval;
        let wait = self.reports.wait(room.now(), interval);
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        let count = self.count();
        let request = CounterRequest::Update {
            id: self.id.clone(),
            connection_count: count,
            sequence: Some(room.next_sequence()),
        };
        self.reports.sent(room.now());
        if tell(&counter_stub(room, self.id.counter_room())?, &request)? {
            self.reported = true;
            return Ok(None);
        }
        Ok(Some(interval))
    }

    /// Tells viewers what changed since they were last told; or says how long to wait for that. Who is still being
    /// written to is left out: it gets what is newest once it can take it, one message however long that takes.
    fn settle_updates(&mut self, room: &Room) -> Result<Option<Duration>> {
        if self.told == self.version {
            return Ok(None);
        }
        let watchers = u32::try_from(self.viewers.len()).unwrap_or(u32::MAX);
        let stretched = (Duration::from_secs(1) * watchers / WATCHERS_PER_SECOND).min(LONGEST_INTERVAL);
        let interval = room.config().update_interval.max(stretched);
        let wait = self.updates.wait(room.now(), interval);
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        self.updates.sent(room.now());
        // One message for all that were told the same before: encoded once, shared by them.
        let mut messages: HashMap<u64, Message> = HashMap::new();
        let mut behind = false;
        for viewer in self.viewers.values_mut().filter(|viewer| viewer.seen != self.version) {
            if !viewer.connection.is_idle() {
                behind = true;
                continue;
            }
            let message = match messages.get(&viewer.seen) {
                Some(message) => message.clone(),
                None => {
                    let message = changes_since(&self.links, viewer.seen)?;
                    messages.entry(viewer.seen).or_insert(message).clone()
                }
            };
            // Who cannot take it is closing.
            let _ = viewer.connection.send(message);
            viewer.seen = self.version;
        }
        if behind {
            return Ok(Some(interval));
        }
        self.told = self.version;
        Ok(None)
    }
}

fn changes_since(links: &BTreeMap<PageId, Link>, version: u64) -> Result<Message> {
    let changed = links.iter().filter(|(_, link)| link.changed > version);
    let connections = changed.filter_map(|(id, link)| Some((id.clone(), link.count?))).collect();
    Message::json(&PageMessage::Update { connections })
}

fn counter_stub(room: &Room, counter: &str) -> Result<Stub> {
    room.parties().get("counter")?.room(counter)
}

/// Sends one way. `false` if the counter cannot take it now; counts are whole, so a later try makes good for it.
fn tell(counter: &Stub, request: &CounterRequest) -> Result<bool> {
    match counter.send(gate::post(request)?) {
        Ok(()) => Ok(true),
        Err(Error::RoomBusy | Error::TooManyRooms | Error::Stopping) => Ok(false),
        Err(error) => Err(error),
    }
}
