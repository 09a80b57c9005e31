//! The interface between a counter and the other machines that count with it.

use std::sync::Arc;

use connection_counter_protocol::PageId;

use super::Counter;
use crate::party::{Result, Room, Stub};

/// The counts of other machines.
pub(crate) trait Elsewhere: Send + Sync {
    /// Adds the counter of a site. It gets a [`CounterRequest::Elsewhere`] when there are changes to ask for.
    ///
    /// [`CounterRequest::Elsewhere`]: connection_counter_protocol::CounterRequest::Elsewhere
    fn join(&self, site: &str, counter: Stub) -> Box<dyn Feed>;

    /// How many viewers a page has on other machines.
    fn viewers(&self, page: &PageId) -> u32;
}

/// The name of a page among the machines.
pub(crate) type PageKey = [u8; 16];

/// The connection of one counter to the other machines. It is dropped with the counter.
pub(crate) trait Feed: Send + Sync {
    /// From now on the counter keeps a tally of this page. Returns its key, and its viewers on other machines.
    fn watch(&mut self, page: &PageId) -> (PageKey, u32);
    /// Sets the viewers of the page on this machine. `key` is from [`Self::watch`].
    fn set(&mut self, page: &PageId, key: PageKey, viewers: u32);
    /// From now on the counter keeps no tally of this page.
    fn forget(&mut self, page: &PageId, key: PageKey);
    /// The pages whose viewers on other machines have changed, with the new numbers. The counter may not know some of these
    /// pages.
    fn changes(&mut self) -> Vec<(PageId, u32)>;
}

/// The other machines, if there are any. It is a setting of the server.
#[derive(Clone, Default)]
pub(crate) struct OtherMachines(pub(crate) Option<Arc<dyn Elsewhere>>);

impl OtherMachines {
    /// How many viewers a page has on other machines.
    pub(crate) fn viewers(&self, page: &PageId) -> u32 {
        self.0.as_ref().map_or(0, |machines| machines.viewers(page))
    }
}

impl Counter {
    /// Starts to count together with the counters of other machines.
    pub(super) fn join_others(&mut self, room: &Room) -> Result {
        // Without a cluster there is no such setting.
        if let Ok(OtherMachines(Some(machines))) = room.setting::<OtherMachines>() {
            let own = room.parties().get("counter")?.room(room.id())?;
            self.feed = Some(machines.join(room.id(), own));
        }
        Ok(())
    }

    /// Applies the changes of other machines. Returns the pages whose counts have changed.
    pub(super) fn hear_elsewhere(&mut self, room: &mut Room) -> Result<Vec<PageId>> {
        let mut interested = Vec::new();
        for (page, viewers) in self.feed.as_mut().map(|feed| feed.changes()).unwrap_or_default() {
            if !self.pages.contains_key(&page) && (viewers == 0 || !self.may_list_one_more(room)?) {
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
