//! What a counter keeps for each page.

use std::collections::HashSet;

use connection_counter_protocol::PageId;

use super::{
    Counter,
    elsewhere::PageKey,
    past::{Remembered, page_bytes, page_key},
};
use crate::{
    Settings,
    notice::Notice,
    party::{Result, Room, unix_ms},
    stored,
};

/// A page that has viewers, had some, or is linked to.
#[derive(Default)]
pub(super) struct Tally {
    /// Viewers on this machine, as the page last reported.
    pub(super) viewers: u32,
    /// Viewers on other machines.
    pub(super) elsewhere: u32,
    /// The page's key among these, if there are any.
    pub(super) key: PageKey,
    /// The sequence number of the last report.
    pub(super) sequence: u64,
    /// The pages whose viewers watch this one.
    pub(super) subscribers: HashSet<PageId>,
    /// What is stored of the page.
    pub(super) remembered: Remembered,
    /// Whether `remembered` is newer than what is stored.
    pub(super) unsaved: bool,
}

impl Tally {
    /// Viewers on all machines.
    pub(super) fn total(&self) -> u32 {
        self.viewers.saturating_add(self.elsewhere)
    }
}

impl Counter {
    /// The page has more or fewer viewers than `before`. Returns the pages that must be told.
    pub(super) fn changed(&mut self, room: &mut Room, id: &PageId, before: u32) -> Result<Vec<PageId>> {
        let past_is_known = self.past.is_none();
        let Some(tally) = self.pages.get_mut(id) else { return Ok(Vec::new()) };
        let viewers = tally.total();
        tally.remembered.last_activity_ms = unix_ms();
        tally.unsaved = true;
        let is_peak = viewers > tally.remembered.peak;
        if is_peak {
            tally.remembered.peak = viewers;
            tally.remembered.peak_at_ms = tally.remembered.last_activity_ms;
        }
        // Not every change is stored, because a busy site has thousands a second. The next clean-up stores the others.
        if (is_peak || viewers == 0) && past_is_known {
            tally.unsaved = !stored(room.storage().put(&page_key(id), &tally.remembered))?;
        }
        let mut interested = Vec::new();
        for subscriber in self.pages.get(id).into_iter().flat_map(|tally| &tally.subscribers) {
            let Some(state) = self.subscribers.get_mut(subscriber) else { continue };
            state.news.insert(id.clone());
            if !state.waits {
                interested.push(subscriber.clone());
            }
        }
        if viewers > 0 {
            self.viewed.insert(id.clone());
        } else {
            self.viewed.remove(id);
        }
        self.record(room, id, before, viewers)?;
        Ok(interested)
    }

    /// Whether the counter may keep one page more.
    pub(super) fn may_keep_one_more(&self, room: &Room) -> Result<bool> {
        static FULL: Notice = Notice::warning();
        let may = self.pages.len() < room.setting::<Settings>()?.limits.pages_per_site;
        if !may {
            FULL.give(|| {
                let site = room.id();
                format!("some links to {site} show no counts: its counter keeps as many pages as --max-pages-per-site allows")
            });
        }
        Ok(may)
    }

    /// Whether the counter may list one page more that nobody on this machine views or watches. Pages of other machines must
    /// not push out our own.
    pub(super) fn may_list_one_more(&self, room: &Room) -> Result<bool> {
        Ok(self.may_keep_one_more(room)? && self.bytes < room.setting::<Settings>()?.limits.bytes_per_site)
    }

    /// The id as this counter keeps it, if it does. Using it shares its memory.
    pub(super) fn own_id(&self, id: &PageId) -> PageId {
        self.pages.get_key_value(id).map_or(id, |(own, _)| own).clone()
    }

    /// The page's tally.
    pub(super) fn page(&mut self, room: &mut Room, id: &PageId) -> Result<&mut Tally> {
        if !self.pages.contains_key(id) {
            if room.alarm().is_none() {
                room.set_alarm(room.setting::<Settings>()?.cleanup_interval);
            }
            self.free_memory(room)?;
            self.bytes += page_bytes(id);
            let (key, elsewhere) = self.feed.as_mut().map(|feed| feed.watch(id)).unwrap_or_default();
            self.pages.insert(id.clone(), Tally { elsewhere, key, ..Tally::default() });
            if elsewhere > 0 {
                self.changed(room, id, 0)?;
            }
        }
        Ok(self.pages.entry(id.clone()).or_default())
    }
}
