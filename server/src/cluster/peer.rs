//! The counts of one other node, and how long they are valid.

use std::time::{Duration, Instant};

use super::{
    key::{Key, KeyMap, Table},
    wire::{Body, Entry, Frame, Refused},
};

/// A node that has not heard us for this long does not count. By then nine signs of life have been lost: that node's or
/// ours.
pub(super) const TTL: Duration = Duration::from_secs(5);
/// The counts of a silent node are kept for this long, so that they are back with its first frame.
const MEMORY: Duration = Duration::from_secs(60);
/// Bytes that one node may send in a second, and at once: four times what the busiest node sent in measurements.
const BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Pages with viewers on one node. A machine holds fewer viewers than this.
const MAX_PAGES_PER_NODE: usize = 1_000_000;

/// Whether a node counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It does not count, because it has not shown yet that it hears us.
    Stranger,
    /// It counts.
    Alive,
    /// It counted, but has not shown for too long that it hears us.
    Silent,
    /// It has stopped. Late frames of it are refused.
    Left,
}

/// Another node.
pub(super) struct Peer {
    pub(super) state: State,
    /// When its last frame arrived.
    pub(super) heard: Instant,
    /// When we sent the last frame that it says it has heard. Anyone can send recorded frames of a node that is gone, but no
    /// recording says that the node heard our current frames.
    heard_us: Option<Instant>,
    /// The sequence number of its last frame.
    sequence: u64,
    counts: Table,
    /// The newest version that it reads. Until it says so, the version of its first frame.
    pub(super) newest: u8,
    /// Bytes that it may send now, as of `budget_at`.
    budget: u64,
    budget_at: Instant,
}

impl Peer {
    /// A new node, from its first frame.
    pub(super) fn new(now: Instant, first: &Frame) -> Self {
        Self {
            state: State::Stranger,
            heard: now,
            heard_us: None,
            sequence: first.sequence.saturating_sub(1),
            counts: Table::default(),
            newest: first.version,
            budget: BYTES_PER_SECOND,
            budget_at: now,
        }
    }

    /// Whether a frame may be used. Returns how many were lost before it.
    pub(super) fn admit(&mut self, now: Instant, sequence: u64, bytes: usize) -> Result<u64, Refused> {
        if self.state == State::Left || sequence <= self.sequence {
            return Err(Refused::Late);
        }
        let elapsed = now.saturating_duration_since(self.budget_at).as_micros();
        let earned = u64::try_from(elapsed).unwrap_or(u64::MAX).saturating_mul(BYTES_PER_SECOND) / 1_000_000;
        self.budget = self.budget.saturating_add(earned).min(BYTES_PER_SECOND);
        self.budget_at = now;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.budget = self.budget.checked_sub(bytes).ok_or(Refused::TooFast)?;
        let lost = sequence - self.sequence - 1;
        self.sequence = sequence;
        self.heard = now;
        Ok(lost)
    }

    /// A frame arrived that is for other nodes.
    pub(super) fn pass_over(&mut self, sequence: u64) {
        if self.sequence.checked_add(1) == Some(sequence) {
            self.sequence = sequence;
        }
    }

    /// Applies its counts. Adds the pages whose count has changed to `changed`.
    pub(super) fn apply(&mut self, body: Body, changed: &mut Vec<Key>) -> Result<(), Refused> {
        match body {
            Body::Delta(entries) => self.set(entries, changed),
            Body::Full { low, high, entries } => {
                if self.counts.len() > MAX_PAGES_PER_NODE {
                    return Err(Refused::TooManyPages);
                }
                let fresh: KeyMap<u32> = entries.into_iter().collect();
                self.counts.replace(low, high, fresh, changed);
                Ok(())
            }
            Body::Alive { newest, .. } => {
                self.newest = newest;
                Ok(())
            }
            Body::Bye => {
                self.state = State::Left;
                changed.extend(self.counts.keys());
                self.counts = Table::default();
                Ok(())
            }
            Body::Who | Body::NamesWanted(_) | Body::Names(_) => Ok(()),
        }
    }

    fn set(&mut self, entries: Vec<Entry>, changed: &mut Vec<Key>) -> Result<(), Refused> {
        let mut all_fit = true;
        for (key, count) in entries {
            let fits = count == 0 || self.counts.len() < MAX_PAGES_PER_NODE || self.counts.get(key) != 0;
            all_fit &= fits;
            if fits && self.counts.set(key, count) {
                changed.push(key);
            }
        }
        all_fit.then_some(()).ok_or(Refused::TooManyPages)
    }

    /// How many viewers the page has there, if the node counts.
    pub(super) fn viewers(&self, key: Key) -> u32 {
        if self.state == State::Alive { self.counts.get(key) } else { 0 }
    }

    pub(super) fn pages(&self) -> usize {
        self.counts.len()
    }

    /// The node starts or stops to count.
    pub(super) fn turn(&mut self, state: State, changed: &mut Vec<Key>) {
        self.state = state;
        changed.extend(self.counts.keys());
    }

    /// Whether it does not count, and was silent for longer than this.
    pub(super) fn comes_back(&self, now: Instant, quiet: Duration) -> bool {
        matches!(self.state, State::Stranger | State::Silent) && now.saturating_duration_since(self.heard) > quiet
    }

    /// Records that the node has heard the frame that we sent at this time. Returns whether that makes it count.
    pub(super) fn hears_us(&mut self, now: Instant, said: Instant) -> bool {
        self.heard_us = self.heard_us.max(Some(said));
        matches!(self.state, State::Stranger | State::Silent) && !self.is_overdue(now)
    }

    /// Whether it has not shown for too long that it hears us.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.heard_us.is_none_or(|said| now.saturating_duration_since(said) > TTL)
    }

    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        let memory = if self.state == State::Stranger { TTL } else { MEMORY };
        now.saturating_duration_since(self.heard) > memory
    }

    /// The sequence number that we heard last, if we hear it.
    pub(super) fn heard_up_to(&self, now: Instant) -> Option<u64> {
        let is_here = self.state != State::Left && now.saturating_duration_since(self.heard) <= TTL;
        is_here.then_some(self.sequence)
    }
}
