//! The ids of the keys. Only keys are sent with counts. A counter that lists pages asks for the ids that it does not know.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    key::{Buckets, Key},
    wire::NAMES_PER_FRAME,
};

/// Frames with requests, and frames with answers, in one tick: 10,000 names a second.
const FRAMES_PER_TICK: usize = 10;
/// After this time an unanswered request is sent again.
const RETRY: Duration = Duration::from_secs(5);
/// Names that may be missing. Beyond this, pages are not listed until some names are known.
const MAX_LACKED: usize = 1_000_000;
/// Requests of other nodes that may wait. Beyond this, they ask again.
const MAX_WANTED: usize = 10_000;

/// Which ids are missing, here and on other nodes.
#[derive(Default)]
pub(super) struct Names {
    /// Keys whose ids are missing here, and how many these are.
    lacked: Buckets<()>,
    lacked_len: usize,
    /// Keys that were not asked for yet.
    fresh: VecDeque<Key>,
    /// Keys that were asked for, and when to ask again.
    asked: VecDeque<(Instant, Key)>,
    /// Keys whose ids are missing on other nodes.
    wanted: VecDeque<Key>,
}

impl Names {
    /// The id of this key is not known here.
    pub(super) fn lack(&mut self, key: Key) {
        if self.lacked.get(key).is_none() && self.lacked_len < MAX_LACKED {
            self.lacked.entry(key).or_insert(());
            self.lacked_len += 1;
            self.fresh.push_back(key);
        }
    }

    /// The id of this key is known now, or no longer needed. Returns whether it was missing.
    pub(super) fn learn(&mut self, key: Key) -> bool {
        let was_lacked = self.lacked.remove(key).is_some();
        self.lacked_len -= usize::from(was_lacked);
        was_lacked
    }

    pub(super) fn wanted_by_others(&mut self, keys: Vec<Key>) {
        let free = MAX_WANTED.saturating_sub(self.wanted.len());
        self.wanted.extend(keys.into_iter().take(free));
    }

    /// The keys to ask for now, by frame. Names of pages without viewers are no longer needed.
    pub(super) fn take_questions(&mut self, now: Instant, is_viewed: impl Fn(Key) -> bool) -> Vec<Vec<Key>> {
        let mut keys = Vec::new();
        while keys.len() < FRAMES_PER_TICK * NAMES_PER_FRAME {
            let again = self.asked.front().is_some_and(|(due, _)| *due <= now);
            let next = if again { self.asked.pop_front().map(|(_, key)| key) } else { self.fresh.pop_front() };
            let Some(key) = next else { break };
            if self.lacked.get(key).is_none() {
                continue;
            }
            if is_viewed(key) {
                self.asked.push_back((now + RETRY, key));
                keys.push(key);
            } else {
                self.learn(key);
            }
        }
        keys.chunks(NAMES_PER_FRAME).map(<[Key]>::to_vec).collect()
    }

    /// The ids to send now, by frame: those that `name` knows.
    pub(super) fn take_answers(&mut self, name: impl Fn(Key) -> Option<Box<str>>) -> Vec<Vec<Box<str>>> {
        let many = self.wanted.len().min(FRAMES_PER_TICK * NAMES_PER_FRAME);
        let names: Vec<Box<str>> = self.wanted.drain(..many).filter_map(name).collect();
        names.chunks(NAMES_PER_FRAME).map(<[Box<str>]>::to_vec).collect()
    }
}
