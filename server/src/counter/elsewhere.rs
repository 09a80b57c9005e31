//! What a counter needs to know of other machines, whatever joins them.

use std::sync::Arc;

use connection_counter_protocol::PageId;

use super::Counter;
use crate::party::{Result, Room, Stub};

/// What other machines count.
pub(crate) trait Elsewhere: Send + Sync {
    /// The counter of a site begins. It is sent [`CounterRequest::Elsewhere`] when there are changes to ask for.
    ///
    /// [`CounterRequest::Elsewhere`]: connection_counter_protocol::CounterRequest::Elsewhere
    fn join(&self, site: &str, counter: Stub) -> Box<dyn Feed>;

    /// How many view a page there.
    fn viewers(&self, page: &PageId) -> u32;
}

/// One counter's part in that. Dropped with the counter.
pub(crate) trait Feed: Send + Sync {
    /// The counter keeps a tally of this page from now on. Says how many view it elsewhere.
    fn watch(&mut self, page: &PageId) -> u32;
    /// How many view the page here.
    fn set(&mut self, page: &PageId, viewers: u32);
    /// The counter keeps no tally of this page any more.
    fn forget(&mut self, page: &PageId);
    /// Pages whose viewers elsewhere changed, and how many they are now. Some may be new to the counter.
    fn changes(&mut self) -> Vec<(PageId, u32)>;
}

/// The other machines, if there are any: a setting of the server.
#[derive(Clone, Default)]
pub(crate) struct OtherMachines(pub(crate) Option<Arc<dyn Elsewhere>>);

impl OtherMachines {
    /// How many view a page there.
    pub(crate) fn viewers(&self, page: &PageId) -> u32 {
        self.0.as_ref().map_or(0, |machines| machines.viewers(page))
    }
}

impl Counter {
    /// Begins to count together with the counters of other machines.
    pub(super) fn join_others(&mut self, room: &Room) -> Result {
        // There is no such setting where nothing joins machines.
        if let Ok(OtherMachines(Some(machines))) = room.setting::<OtherMachines>() {
            let own = room.parties().get("counter")?.room(room.id())?;
            self.feed = Some(machines.join(room.id(), own));
        }
        Ok(())
    }

    /// Takes in what other machines count. Says who is to be told.
    pub(super) fn hear_elsewhere(&mut self, room: &mut Room) -> Result<Vec<PageId>> {
        let mut interested = Vec::new();
        for (page, viewers) in self.feed.as_mut().map(|feed| feed.changes()).unwrap_or_default() {
            if !self.pages.contains_key(&page) && (viewers == 0 || !self.has_place_for_others(room)?) {
                continue;
            }
            let tally = self.page(room, &page)?;
            if tally.elsewhere != viewers {
                let before = tally.total();
                tally.elsewhere = viewers;
                interested.extend(self.changed(room, &page, before)?);
            }
        }
        Ok(interested)
    }
}
