//! The protocol between nodes, without a network and without a clock: frames in, frames out.
//!
//! Each node sends only its own counts. A page's total is the sum of the last counts of all live nodes. Changes are sent with
//! the next tick. In addition all counts are sent part by part, again and again. So if a frame is lost, doubled or late, the
//! next frame about that part corrects it. No frame needs an earlier one to be understood.

mod hearing;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    key::{BUCKETS, Key, Table},
    peer::{Peer, State, TTL},
    wire::{Body, ENTRIES_PER_FRAME, Entry, Frame, MAX_COUNT, NEWEST, Node, OLDEST, Refused},
};

/// Time between two calls of [`Member::on_tick`]. Changes wait so long to be sent together.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Time between two signs of life.
const ALIVE_INTERVAL: Duration = Duration::from_millis(500);
/// Buckets that each tick sends again if a node has missed something: all of them within 0.8 s.
const HASTY_BUCKETS: usize = 32;
/// Otherwise each tick sends one bucket, and more if these have fewer pages than this: 40 KB a second, and all within 25.6 s.
const STEADY_PAGES: usize = 200;
/// Counts that may wait for the next tick, so that they take at most 2 MB. Beyond this, they are entered sooner.
const MAX_FRESH: usize = 65_536;
/// Time between two requests for everything, after a node came or we were away.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// After connecting, this node writes the oldest version for this long, until every node has said which versions it reads.
const SETTLING: Duration = Duration::from_secs(2);

/// A range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) oldest: u8,
    pub(crate) newest: u8,
}

impl Default for Versions {
    fn default() -> Self {
        Self { oldest: OLDEST, newest: NEWEST }
    }
}

/// An event for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A node was heard for the first time, or again.
    Came(Node),
    /// For [`super::peer::TTL`], a node has not shown that it hears us. Its viewers no longer count.
    Silent(Node),
    /// A node stopped.
    Left(Node),
}

/// What a frame asks for or brings, in addition to what [`Member`] keeps.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Pages whose names a node asks for.
    pub(crate) wanted: Vec<Key>,
    /// Ids of pages.
    pub(crate) names: Vec<Box<str>>,
}

/// What the protocol did, for the metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tallies {
    /// Frames of other nodes that did not arrive.
    pub(crate) lost: u64,
    /// Changes that we have sent to the others.
    pub(crate) told: u64,
    /// How often we asked for everything.
    pub(crate) asked: u64,
    /// Refused frames, by reason.
    pub(crate) refused: Vec<(Refused, u64)>,
}

impl Tallies {
    pub(crate) fn refuse(&mut self, reason: Refused) {
        match self.refused.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, times)) => *times += 1,
            None => self.refused.push((reason, 1)),
        }
    }
}

/// One node's side of the protocol.
pub(crate) struct Member {
    me: Node,
    reads: Versions,
    /// The sequence number of our last frame.
    sequence: u64,
    /// For each of the last ticks, its time and the sequence number before its frames.
    said: VecDeque<(Instant, u64)>,
    /// Our own counts, as they were at the last tick or later.
    local: Table,
    /// Our own counts that were set since then, by bucket.
    fresh: Vec<Vec<Entry>>,
    freshly_set: usize,
    /// Our own counts that the others do not know yet. The last one of a page is the current one.
    dirty: Vec<Entry>,
    peers: HashMap<Node, Peer>,
    /// Since when frames can be sent and received. `None` while they cannot.
    connected_at: Option<Instant>,
    /// The bucket to send next.
    next_bucket: usize,
    /// How many buckets to send in haste.
    hasty_buckets: usize,
    /// We need all counts, and may ask again at this time.
    ask_after: Option<Duration>,
    asked_at: Option<Instant>,
    told_alive_at: Option<Instant>,
    /// The version of our last frames.
    writes: u8,
    /// Pages whose count on other nodes has changed since they were last asked for.
    changed: Vec<Key>,
    events: Vec<Event>,
    pub(crate) tallies: Tallies,
}

impl Member {
    pub(crate) fn new(me: Node, reads: Versions) -> Self {
        Self {
            me,
            reads,
            sequence: 0,
            said: VecDeque::new(),
            local: Table::default(),
            fresh: vec![Vec::new(); BUCKETS],
            freshly_set: 0,
            dirty: Vec::new(),
            peers: HashMap::new(),
            connected_at: None,
            next_bucket: 0,
            hasty_buckets: 0,
            ask_after: None,
            asked_at: None,
            told_alive_at: None,
            writes: reads.oldest,
            changed: Vec::new(),
            events: Vec::new(),
            tallies: Tallies::default(),
        }
    }

    pub(crate) fn me(&self) -> Node {
        self.me
    }

    /// Sets how many viewers the page has here.
    pub(crate) fn set_local(&mut self, key: Key, viewers: u32) {
        if let Some(bucket) = self.fresh.get_mut(key.bucket()) {
            bucket.push((key, viewers.min(MAX_COUNT)));
        }
        self.freshly_set += 1;
        if self.freshly_set >= MAX_FRESH {
            self.take_fresh();
        }
    }

    /// Enters the counts that were set into the table. One bucket after the other takes a quarter of the time that one count
    /// after the other takes, because a bucket fits into the processor's caches. The other nodes gain from this order too.
    fn take_fresh(&mut self) {
        let mut changed = Vec::new();
        for bucket in &mut self.fresh {
            changed
                .extend(bucket.drain(..).filter(|(key, viewers)| self.local.set(*key, *viewers)).map(|(key, _)| key));
            changed.sort_unstable();
            changed.dedup();
            // Once connected, everything is sent.
            if self.connected_at.is_some() {
                self.dirty.extend(changed.iter().map(|key| (*key, self.local.get(*key))));
            }
            changed.clear();
        }
        self.freshly_set = 0;
    }

    /// How many viewers the page had here at the last tick or later.
    pub(crate) fn local(&self, key: Key) -> u32 {
        self.local.get(key)
    }

    /// How many viewers the page has on the other nodes.
    pub(crate) fn elsewhere(&self, key: Key) -> u32 {
        self.peers.values().fold(0, |sum, peer| sum.saturating_add(peer.viewers(key)))
    }

    /// Takes the pages whose count on other nodes may have changed.
    pub(crate) fn take_changed(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.changed)
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The nodes that count: their names, how long ago each was heard, and how many pages with viewers each has.
    pub(crate) fn peers(&self, now: Instant) -> impl Iterator<Item = (Node, Duration, usize)> {
        let alive = self.peers.iter().filter(|(_, peer)| peer.state == State::Alive);
        alive.map(move |(node, peer)| (*node, now.saturating_duration_since(peer.heard), peer.pages()))
    }

    /// The bus can be reached again. Frames from before did not reach anyone.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.connected_at = Some(now);
        self.told_alive_at = None;
        self.missed_something();
    }

    /// The bus cannot be reached.
    pub(crate) fn disconnected(&mut self) {
        self.connected_at = None;
    }

    /// Frames were lost. Sends everything, and asks for everything.
    pub(crate) fn missed_something(&mut self) {
        self.take_fresh();
        self.dirty.clear();
        self.hasty_buckets = BUCKETS;
        self.ask(ASK_INTERVAL);
    }

    fn ask(&mut self, interval: Duration) {
        self.ask_after = Some(self.ask_after.map_or(interval, |sooner| sooner.min(interval)));
    }

    /// The frames to send now. Call it every [`TICK`], connected or not.
    pub(crate) fn on_tick(&mut self, now: Instant) -> Vec<Frame> {
        self.look_for_silence(now);
        self.take_fresh();
        let Some(connected_at) = self.connected_at else { return Vec::new() };
        self.said.push_back((now, self.sequence));
        while self.said.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > TTL) {
            self.said.pop_front();
        }
        let mut frames = Vec::new();
        let writes = self.version_all_read(now, connected_at);
        if writes != std::mem::replace(&mut self.writes, writes) {
            // Some node may not have been able to read our last frames.
            self.hasty_buckets = BUCKETS;
        }
        if is_due(self.told_alive_at, now, ALIVE_INTERVAL) {
            self.told_alive_at = Some(now);
            let Versions { oldest, newest } = self.reads;
            let heard = self.peers.iter().filter_map(|(node, peer)| Some((*node, peer.heard_up_to(now)?))).collect();
            frames.extend(self.frames_for_all(&Body::Alive { oldest, newest, heard }));
        }
        if self.ask_after.is_some_and(|interval| is_due(self.asked_at, now, interval)) {
            self.asked_at = Some(now);
            self.ask_after = None;
            self.tallies.asked += 1;
            frames.extend(self.frames_for_all(&Body::Who));
        }
        self.tell_changes(&mut frames);
        self.tell_again(&mut frames);
        frames
    }

    /// The last frames, when all viewers here have left.
    pub(crate) fn goodbye(&mut self) -> Vec<Frame> {
        self.frames_for_all(&Body::Bye)
    }

    /// A request for the names of pages.
    pub(crate) fn ask_names(&mut self, keys: &[Key]) -> Frame {
        self.frame(&Body::NamesWanted(keys.to_vec()))
    }

    /// The answer to such a request.
    pub(crate) fn tell_names(&mut self, names: Vec<Box<str>>) -> Frame {
        self.frame(&Body::Names(names))
    }

    /// The newest version that all nodes read.
    fn version_all_read(&self, now: Instant, connected_at: Instant) -> u8 {
        if now.saturating_duration_since(connected_at) < SETTLING {
            return self.reads.oldest;
        }
        let alive = self.peers.values().filter(|peer| peer.state == State::Alive);
        let theirs = alive.map(|peer| peer.newest).min().unwrap_or(self.reads.newest);
        theirs.clamp(self.reads.oldest, self.reads.newest)
    }

    fn tell_changes(&mut self, frames: &mut Vec<Frame>) {
        let dirty = std::mem::take(&mut self.dirty);
        self.tallies.told += u64::try_from(dirty.len()).unwrap_or(0);
        for entries in dirty.chunks(ENTRIES_PER_FRAME) {
            frames.push(self.frame(&Body::Delta(entries.to_vec())));
        }
    }

    /// Sends the next buckets, several in a frame if they fit.
    fn tell_again(&mut self, frames: &mut Vec<Frame>) {
        let in_haste = self.hasty_buckets > 0;
        let (mut buckets, mut pages) = (0, 0);
        while buckets < HASTY_BUCKETS && (in_haste || buckets == 0 || pages < STEADY_PAGES) {
            let first = self.next_bucket;
            let mut last = first;
            let mut entries: Vec<Entry> = self.local.bucket(first).collect();
            while last + 1 < BUCKETS
                && buckets + last + 1 - first < HASTY_BUCKETS
                && (in_haste || pages + entries.len() < STEADY_PAGES)
                && entries.len() + self.local.bucket_len(last + 1) <= ENTRIES_PER_FRAME
            {
                last += 1;
                entries.extend(self.local.bucket(last));
            }
            buckets += last + 1 - first;
            pages += entries.len();
            self.next_bucket = (last + 1) % BUCKETS;
            self.tell_range(frames, prefix_of(first), prefix_of(last) | LAST_OF_BUCKET, entries);
        }
        self.hasty_buckets = self.hasty_buckets.saturating_sub(buckets);
    }

    /// Sends all counts of a range of keys. If they do not fit into a frame, it splits the range.
    fn tell_range(&mut self, frames: &mut Vec<Frame>, low: u32, high: u32, entries: Vec<Entry>) {
        if entries.len() <= ENTRIES_PER_FRAME || high - low <= LAST_OF_SHARD {
            frames.push(self.frame(&Body::Full { low, high, entries }));
            return;
        }
        let middle = low + (high - low) / 2;
        let (lower, upper) = entries.into_iter().partition(|(key, _)| key.prefix() <= middle);
        self.tell_range(frames, low, middle, lower);
        self.tell_range(frames, middle + 1, high, upper);
    }

    /// A frame of the newest version that all read.
    fn frame(&mut self, body: &Body) -> Frame {
        self.sequence += 1;
        Frame { version: self.writes, node: self.me, sequence: self.sequence, payload: body.write() }
    }

    /// A frame that every node must understand, even if its versions are not known yet. It is written in all versions that we
    /// read.
    fn frames_for_all(&mut self, body: &Body) -> Vec<Frame> {
        let Versions { oldest, newest } = self.reads;
        (oldest..=newest).map(|version| Frame { version, ..self.frame(body) }).collect()
    }
}

/// The part of a prefix that is the same for all keys of a bucket.
fn prefix_of(bucket: usize) -> u32 {
    u32::try_from(bucket).unwrap_or(0) << 24
}

/// The other part, of the last key of a bucket.
const LAST_OF_BUCKET: u32 = (1 << 24) - 1;
/// The same for a shard.
const LAST_OF_SHARD: u32 = (1 << (32 - super::wire::SHARD_BITS)) - 1;

fn is_due(last: Option<Instant>, now: Instant, interval: Duration) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= interval)
}
