//! More than one machine: the counts of the counters on other nodes.
//!
//! [`member::Member`] is the protocol, without network and clock. [`bus`] sends its frames over NATS. This file connects them
//! to the counters: it knows which pages the counters here keep, and which counter must be told of a change.

mod audience;
mod bus;
#[cfg(test)]
mod drill;
#[cfg(test)]
mod hostile;
mod key;
#[cfg(test)]
mod lost_counter;
mod member;
#[cfg(test)]
mod model;
mod names;
mod pages;
mod peer;
mod report;
mod seal;
mod settings;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use connection_counter_protocol::{CounterRequest, PageId};

use crate::{
    counter::elsewhere::{Elsewhere, Feed, PageKey},
    party::{Stub, post},
};
use audience::Audience;
use key::{Buckets, Key, KeyMap};
use member::{Event, Heard, Member, Versions};
use names::Names;
use pages::{Page, Site};
use seal::Seal;
use wire::{Node, Refused};

pub use settings::ClusterSettings;

/// If the counter of a site has failed, its counts stay this long. Pages report theirs to the next counter in that time.
const GRACE: Duration = Duration::from_secs(2);

/// The counts of the other machines. All clones share them.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Shared>);

struct Shared {
    seal: Seal,
    state: Mutex<State>,
}

struct State {
    member: Member,
    /// Pages whose id is known here.
    pages: Buckets<Page>,
    /// Pages whose count here is left over from a counter that is gone.
    stale: KeyMap<()>,
    /// Sites by the names of their counters.
    sites: HashMap<Arc<str>, Site>,
    names: Names,
    /// The nodes that have another one of our secrets, while the secret is changed.
    audiences: Vec<Audience>,
    /// Since when the bus cannot be reached, for `/readyz`.
    away_since: Option<Instant>,
}

impl Cluster {
    fn new(seal: Seal, node: Node, audiences: Vec<Audience>) -> Self {
        let state = State {
            member: Member::new(node, Versions::default()),
            pages: Buckets::default(),
            stale: KeyMap::default(),
            sites: HashMap::new(),
            names: Names::default(),
            audiences,
            away_since: Some(Instant::now()),
        };
        Self(Arc::new(Shared { seal, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change under the lock is complete, so a panic leaves nothing half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the bus can be reached has changed.
    fn set_connected(&self, now: Instant, connected: bool) {
        let mut state = self.state();
        if connected {
            state.member.connected(now);
            state.away_since = None;
        } else {
            state.member.disconnected();
            state.away_since.get_or_insert(now);
        }
        state.audiences.iter_mut().for_each(|audience| audience.set_connected(now, connected));
    }

    /// Messages were lost on the way.
    fn missed_something(&self) {
        let mut state = self.state();
        state.member.missed_something();
        state.audiences.iter_mut().for_each(Audience::missed_something);
    }

    fn on_message(&self, now: Instant, bytes: &[u8]) {
        let frame = self.0.seal.open(bytes);
        let mut state = self.state();
        let taken = match frame {
            Err(Refused::Forged) => state.hear_for_others(now, bytes),
            frame => {
                frame.and_then(|frame| state.member.on_frame(now, &frame)).map(|heard| state.hear(heard, &self.0.seal))
            }
        };
        if let Err(reason) = taken {
            state.member.tallies.refuse(reason);
        }
        state.follow_changes();
    }

    /// The messages to send now.
    fn on_tick(&self, now: Instant) -> Vec<Vec<u8>> {
        let mut state = self.state();
        state.forget_stale(now);
        let mut frames = state.member.on_tick(now);
        if !frames.is_empty() {
            state.exchange_names(now, &mut frames);
        }
        state.follow_changes();
        let for_others: Vec<Vec<u8>> = state.audiences.iter_mut().flat_map(|audience| audience.on_tick(now)).collect();
        drop(state);
        frames.into_iter().filter_map(|frame| self.0.seal.seal(frame)).chain(for_others).collect()
    }

    /// The name of this node in the logs of the others.
    fn own_name(&self) -> String {
        name(self.state().member.me())
    }

    fn goodbye(&self) -> Vec<Vec<u8>> {
        let mut state = self.state();
        let frames = state.member.goodbye();
        let for_others = state.audiences.iter_mut().flat_map(Audience::goodbye);
        frames.into_iter().filter_map(|frame| self.0.seal.seal(frame)).chain(for_others).collect()
    }
}

impl State {
    /// How many viewers a page has here.
    fn set_local(&mut self, key: Key, page: &PageId, viewers: u32) {
        self.member.set_local(key, viewers);
        self.audiences.iter_mut().for_each(|audience| audience.set(page, viewers));
    }

    /// Handles a message that our first secret does not open.
    fn hear_for_others(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Refused> {
        let heard = self.audiences.iter_mut().map(|audience| audience.on_message(now, bytes));
        heard.into_iter().find(|heard| *heard != Err(Refused::Forged)).unwrap_or(Err(Refused::Forged))
    }

    fn hear(&mut self, heard: Heard, seal: &Seal) {
        self.names.wanted_by_others(heard.wanted);
        for name in heard.names {
            // The text may be anything. It is only used if it was asked for and has this hash.
            let Ok(id) = PageId::parse(&name) else { continue };
            let key = seal.key(&id);
            let viewers = self.member.elsewhere(key);
            if self.names.learn(key) && viewers > 0 {
                let page = self.pages.entry(key).or_insert_with(|| Page::new(id, &self.sites));
                if let Some(site) = self.sites.get_mut(&page.site) {
                    site.note(page, viewers);
                }
            }
        }
    }

    /// Asks for names that are missing here, and sends names that are missing on other nodes.
    fn exchange_names(&mut self, now: Instant, frames: &mut Vec<wire::Frame>) {
        let member = &mut self.member;
        for keys in self.names.take_questions(now, |key| member.elsewhere(key) > 0) {
            frames.push(member.ask_names(&keys));
        }
        let pages = &self.pages;
        let name = |key: Key| pages.get(key).filter(|_| member.local(key) > 0).map(|page| Box::from(page.id.as_str()));
        for names in self.names.take_answers(name) {
            frames.push(member.tell_names(names));
        }
    }

    /// Tells the counters which of their pages have changed, and logs which nodes came and went.
    fn follow_changes(&mut self) {
        for event in self.member.take_events() {
            match event {
                Event::Came(node) => {
                    tracing::info!(node = name(node), "a node of the cluster is heard; its viewers count")
                }
                Event::Left(node) => tracing::info!(node = name(node), "a node of the cluster has stopped"),
                Event::Silent(node) => tracing::warn!(
                    node = name(node),
                    "a node of the cluster has not answered for {} s; its viewers do not count until it does",
                    peer::TTL.as_secs()
                ),
            }
        }
        // Most pages that change at once are of the same site, which is looked up only once.
        let (mut name, mut site) = (Arc::default(), None);
        for key in self.member.take_changed() {
            let Some(page) = self.pages.get_mut(key) else {
                self.names.lack(key);
                continue;
            };
            let viewers = self.member.elsewhere(key);
            if page.site != name {
                name = page.site.clone();
                site = self.sites.get_mut(&name);
            }
            if let Some(site) = &mut site {
                site.note(page, viewers);
            }
            if viewers == 0 && !page.watched && !self.stale.contains_key(&key) {
                self.pages.remove(key);
            }
        }
        for site in self.sites.values_mut().filter(|site| !site.told && !site.changed.is_empty()) {
            if let Some(counter) = &site.counter
                && let Ok(request) = post(&CounterRequest::Elsewhere)
            {
                // If the counter is too busy now, it is told with the next tick.
                site.told = counter.send(request).is_ok();
            }
        }
    }

    /// Forgets what is left over from a counter that does not come back.
    fn forget_stale(&mut self, now: Instant) {
        let due = |site: &Site| site.left_at.is_some_and(|at| now.saturating_duration_since(at) >= GRACE);
        if !self.sites.values().any(due) {
            return;
        }
        let State { member, audiences, pages, sites, stale, .. } = self;
        stale.retain(|&key, ()| {
            let Some(page) = pages.get(key) else { return false };
            if !sites.get(&page.site).is_some_and(due) {
                return true;
            }
            member.set_local(key, 0);
            audiences.iter_mut().for_each(|audience| audience.set(&page.id, 0));
            if !page.watched && member.elsewhere(key) == 0 {
                pages.remove(key);
            }
            false
        });
        sites.retain(|_, site| {
            if due(site) {
                site.left_at = None;
            }
            site.counter.is_some() || site.left_at.is_some()
        });
    }
}

impl Elsewhere for Cluster {
    fn join(&self, site: &str, counter: Stub) -> Box<dyn Feed> {
        let mut state = self.state();
        let State { member, pages, sites, .. } = &mut *state;
        let joined = sites.entry(site.into()).or_default();
        joined.counter = Some(counter);
        joined.told = false;
        // The counter does not know yet how many viewers its pages have on other nodes.
        for (key, page) in pages.iter_mut().filter(|(_, page)| &*page.site == site) {
            let viewers = member.elsewhere(key);
            if viewers > 0 {
                joined.note(page, viewers);
            }
        }
        drop(state);
        Box::new(ClusterFeed { cluster: self.clone(), site: site.to_owned() })
    }

    fn viewers(&self, page: &PageId) -> u32 {
        let key = self.0.seal.key(page);
        self.state().member.elsewhere(key)
    }
}

/// The cluster, for one counter.
struct ClusterFeed {
    cluster: Cluster,
    site: String,
}

impl Feed for ClusterFeed {
    fn watch(&mut self, page: &PageId) -> (PageKey, u32) {
        let key = self.cluster.0.seal.key(page);
        let mut state = self.cluster.state();
        state.names.learn(key);
        let State { pages, sites, .. } = &mut *state;
        let known = pages.entry(key).or_insert_with(|| Page::new(page.clone(), sites));
        known.watched = true;
        (key.0, state.member.elsewhere(key))
    }

    fn set(&mut self, page: &PageId, key: PageKey, viewers: u32) {
        let mut state = self.cluster.state();
        state.stale.remove(&Key(key));
        state.set_local(Key(key), page, viewers);
    }

    fn forget(&mut self, page: &PageId, key: PageKey) {
        let key = Key(key);
        let mut state = self.cluster.state();
        state.stale.remove(&key);
        state.set_local(key, page, 0);
        if state.member.elsewhere(key) == 0 {
            state.pages.remove(key);
        } else if let Some(page) = state.pages.get_mut(key) {
            page.watched = false;
        }
    }

    fn changes(&mut self) -> Vec<(PageId, u32)> {
        let mut state = self.cluster.state();
        let Some(site) = state.sites.get_mut(&*self.site) else { return Vec::new() };
        site.told = false;
        std::mem::take(&mut site.changed)
    }
}

impl Drop for ClusterFeed {
    fn drop(&mut self) {
        let mut state = self.cluster.state();
        let State { pages, sites, stale, .. } = &mut *state;
        if let Some(site) = sites.get_mut(&*self.site) {
            // It refers to all rooms, and must not outlive them.
            site.counter = None;
            site.changed = Vec::new();
            site.left_at = Some(Instant::now());
        }
        for (key, page) in pages.iter_mut().filter(|(_, page)| *page.site == self.site) {
            page.watched = false;
            stale.insert(key, ());
        }
    }
}

/// The name of a node in the log.
fn name(Node(node): Node) -> String {
    format!("{node:012x}")
}
