//! While the secret is changed, some nodes have the old one, some both, and some the new one. A node counts those that have the
//! first of its secrets. This sends its counts to those that have another one, so that they count it.

use std::time::Instant;

use connection_counter_protocol::PageId;

use super::{
    key::{Key, KeyMap},
    member::{Member, Versions},
    names::Names,
    seal::Seal,
    wire::{Frame, Node, Refused},
};

/// The nodes that have one of our other secrets.
pub(super) struct Audience {
    seal: Seal,
    member: Member,
    /// Names that they have asked for.
    names: Names,
    /// The pages with viewers here, by their hashes among these nodes.
    ids: KeyMap<PageId>,
}

impl Audience {
    pub(super) fn new(seal: Seal, node: Node) -> Self {
        let member = Member::new(node, Versions::default());
        Self { seal, member, names: Names::default(), ids: KeyMap::default() }
    }

    pub(super) fn set_connected(&mut self, now: Instant, connected: bool) {
        if connected {
            self.member.connected(now);
        } else {
            self.member.disconnected();
        }
    }

    pub(super) fn missed_something(&mut self) {
        self.member.missed_something();
    }

    /// Sets how many viewers a page has here.
    pub(super) fn set(&mut self, page: &PageId, viewers: u32) {
        let key = self.seal.key(page);
        self.member.set_local(key, viewers);
        if viewers == 0 {
            self.ids.remove(&key);
        } else {
            self.ids.insert(key, page.clone());
        }
    }

    pub(super) fn on_message(&mut self, now: Instant, bytes: &[u8]) -> Result<(), Refused> {
        let frame = self.seal.open(bytes)?;
        let heard = self.member.on_frame(now, &frame)?;
        self.names.wanted_by_others(heard.wanted);
        self.ignore_counts();
        Ok(())
    }

    pub(super) fn on_tick(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut frames = self.member.on_tick(now);
        self.ignore_counts();
        if !frames.is_empty() {
            let ids = &self.ids;
            let name = |key: Key| ids.get(&key).map(|id| Box::from(id.as_str()));
            for names in self.names.take_answers(name) {
                frames.push(self.member.tell_names(names));
            }
        }
        self.sealed(frames)
    }

    pub(super) fn goodbye(&mut self) -> Vec<Vec<u8>> {
        let frames = self.member.goodbye();
        self.sealed(frames)
    }

    /// Drops the counts of these nodes. If they have our first secret, their counts also arrive with that one.
    fn ignore_counts(&mut self) {
        self.member.take_changed();
        self.member.take_events();
    }

    fn sealed(&self, frames: Vec<Frame>) -> Vec<Vec<u8>> {
        frames.into_iter().filter_map(|frame| self.seal.seal(frame)).collect()
    }
}
