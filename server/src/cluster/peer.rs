//! What one other node has told, and for how long that counts.

use std::time::{Duration, Instant};

use super::{
    key::{Key, KeyMap, Table},
    wire::{Body, Entry, Frame, Refused},
};

/// A node that was not heard for this long does not count: five of its signs of life are missing.
pub(super) const TTL: Duration = Duration::from_secs(5);
/// What a silent node said is kept for this long, so that its counts are back with its first word.
const MEMORY: Duration = Duration::from_secs(60);
/// Bytes that one node may send in a second, and at once: four times what the busiest sent in measurements.
const BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Pages with viewers on one node. A machine holds fewer viewers than this.
const MAX_PAGES_PER_NODE: usize = 1_000_000;

/// Whether a node counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It does.
    Alive,
    /// It has not been heard for too long.
    Silent,
    /// It said goodbye. Frames of it that come late are not taken.
    Left,
}

/// One other node.
pub(super) struct Peer {
    pub(super) state: State,
    /// When a frame of it was last taken.
    pub(super) heard: Instant,
    /// Of the last frame taken.
    sequence: u64,
    counts: Table,
    /// The newest version it reads: what it wrote at first, until it has said so.
    pub(super) newest: u8,
    /// Bytes it may send now, reckoned at `budget_at`.
    budget: u64,
    budget_at: Instant,
}

impl Peer {
    /// A node of which this frame is the first.
    pub(super) fn new(now: Instant, first: &Frame) -> Self {
        Self {
            state: State::Alive,
            heard: now,
            sequence: first.sequence.saturating_sub(1),
            counts: Table::default(),
            newest: first.version,
            budget: BYTES_PER_SECOND,
            budget_at: now,
        }
    }

    /// Whether a frame may be taken. Says how many were lost before it.
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

    /// A frame came that is for others.
    pub(super) fn pass_over(&mut self, sequence: u64) {
        if self.sequence.checked_add(1) == Some(sequence) {
            self.sequence = sequence;
        }
    }

    /// Takes in what it says. Adds the pages whose count is another now to `changed`.
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

    /// How many view the page there, if the node counts.
    pub(super) fn viewers(&self, key: Key) -> u32 {
        if self.state == State::Alive { self.counts.get(key) } else { 0 }
    }

    pub(super) fn pages(&self) -> usize {
        self.counts.len()
    }

    /// The node begins or ceases to count.
    pub(super) fn turn(&mut self, state: State, changed: &mut Vec<Key>) {
        self.state = state;
        changed.extend(self.counts.keys());
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.state == State::Alive && now.saturating_duration_since(self.heard) > TTL
    }

    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > MEMORY
    }
}
