//! The ids behind the keys. Only keys travel with counts; a counter that wants to list pages asks for the ids it lacks.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    key::{Key, KeyMap},
    wire::NAMES_PER_FRAME,
};

/// Frames with questions, and with answers, in one tick: 10,000 names a second.
const FRAMES_PER_TICK: usize = 10;
/// After this a question that no one answered is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// Names that are lacked; beyond, pages are not listed until some are known.
const MAX_LACKED: usize = 1_000_000;
/// Questions of others that wait; beyond, they ask again.
const MAX_WANTED: usize = 10_000;

/// Which ids are lacked, here and elsewhere.
#[derive(Default)]
pub(super) struct Names {
    /// Keys whose ids we lack.
    lacked: KeyMap<()>,
    /// Those not asked for yet.
    fresh: VecDeque<Key>,
    /// Those asked for, and when to ask again.
    asked: VecDeque<(Instant, Key)>,
    /// Keys whose ids others lack.
    wanted: VecDeque<Key>,
}

impl Names {
    /// This key has no id here.
    pub(super) fn lack(&mut self, key: Key) {
        if self.lacked.len() < MAX_LACKED && self.lacked.insert(key, ()).is_none() {
            self.fresh.push_back(key);
        }
    }

    /// The id of this key is known now. Says whether it was lacked.
    pub(super) fn learn(&mut self, key: Key) -> bool {
        self.lacked.remove(&key).is_some()
    }

    pub(super) fn wanted_by_others(&mut self, keys: Vec<Key>) {
        let free = MAX_WANTED.saturating_sub(self.wanted.len());
        self.wanted.extend(keys.into_iter().take(free));
    }

    /// What to ask for now, by frame. Pages that no one views any more are not lacked any more.
    pub(super) fn take_questions(&mut self, now: Instant, is_viewed: impl Fn(Key) -> bool) -> Vec<Vec<Key>> {
        let mut keys = Vec::new();
        while keys.len() < FRAMES_PER_TICK * NAMES_PER_FRAME {
            let again = self.asked.front().is_some_and(|(due, _)| *due <= now);
            let next = if again { self.asked.pop_front().map(|(_, key)| key) } else { self.fresh.pop_front() };
            let Some(key) = next else { break };
            if !self.lacked.contains_key(&key) {
                continue;
            }
            if is_viewed(key) {
                self.asked.push_back((now + RETRY, key));
                keys.push(key);
            } else {
                self.lacked.remove(&key);
            }
        }
        keys.chunks(NAMES_PER_FRAME).map(<[Key]>::to_vec).collect()
    }

    /// What to tell now, by frame: the ids that `name` knows.
    pub(super) fn take_answers(&mut self, name: impl Fn(Key) -> Option<Box<str>>) -> Vec<Vec<Box<str>>> {
        let many = self.wanted.len().min(FRAMES_PER_TICK * NAMES_PER_FRAME);
        let names: Vec<Box<str>> = self.wanted.drain(..many).filter_map(name).collect();
        names.chunks(NAMES_PER_FRAME).map(<[Box<str>]>::to_vec).collect()
    }
}
