//! What a counter keeps of each page.

use std::collections::HashSet;

use connection_counter_protocol::PageId;

use super::{
    Counter,
    past::{History, page_key},
};
use crate::{
    Settings,
    party::{Result, Room, unix_ms},
};

/// One page that has viewers, had some, or is linked to.
#[derive(Default)]
pub(super) struct Tally {
    /// Viewers on this machine, as it last told us.
    pub(super) viewers: u32,
    /// Viewers on other machines.
    pub(super) elsewhere: u32,
    /// Of the last report.
    pub(super) sequence: u64,
    /// The pages whose viewers watch it.
    pub(super) subscribers: HashSet<PageId>,
    /// What is remembered of it.
    pub(super) history: History,
    /// The history is newer than what is stored.
    pub(super) unsaved: bool,
}

impl Tally {
    /// Viewers on all machines.
    pub(super) fn total(&self) -> u32 {
        self.viewers.saturating_add(self.elsewhere)
    }
}

impl Counter {
    /// A page has more or fewer viewers now; says who is to be told.
    pub(super) fn changed(&mut self, room: &Room, id: &PageId) -> Result<Vec<PageId>> {
        let past_is_known = self.past.is_none();
        let Some(tally) = self.pages.get_mut(id) else { return Ok(Vec::new()) };
        let viewers = tally.total();
        tally.history.last_activity_ms = unix_ms();
        tally.unsaved = true;
        let is_peak = viewers > tally.history.peak;
        if is_peak {
            tally.history.peak = viewers;
            tally.history.peak_at_ms = tally.history.last_activity_ms;
        }
        // Not at each change: on a lively site these are thousands a second. The rest is stored with the next clean-up.
        if (is_peak || viewers == 0) && past_is_known {
            room.storage().put(&page_key(id), &tally.history)?;
            tally.unsaved = false;
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
        Ok(interested)
    }

    /// Whether it may keep one page more that has no viewers here.
    pub(super) fn has_place(&self, room: &Room) -> Result<bool> {
        Ok(self.pages.len() < room.setting::<Settings>()?.limits.pages_per_site)
    }

    /// The page's tally.
    pub(super) fn page(&mut self, room: &Room, id: &PageId) -> Result<&mut Tally> {
        if !self.pages.contains_key(id) {
            if room.alarm().is_none() {
                room.set_alarm(room.setting::<Settings>()?.cleanup_interval);
            }
            let elsewhere = self.feed.as_mut().map_or(0, |feed| feed.watch(id));
            self.pages.insert(id.clone(), Tally { elsewhere, ..Tally::default() });
            if elsewhere > 0 {
                self.changed(room, id)?;
            }
        }
        Ok(self.pages.entry(id.clone()).or_default())
    }
}
