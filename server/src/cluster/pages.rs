//! The table of what the other machines count: the pages whose ids are known here, and their sites.

use std::{collections::HashMap, sync::Arc, time::Instant};

use connection_counter_protocol::PageId;

use crate::party::Stub;

/// A page whose id is known.
pub(super) struct Page {
    pub(super) id: PageId,
    /// The name of its counter. Pages of a site share it, so it is at hand when many of them change at once.
    pub(super) site: Arc<str>,
    /// The counter here keeps a tally of it.
    pub(super) watched: bool,
    /// Where it is, or was, in `changed` of its site.
    place: usize,
}

/// A site that has a counter here, or had one a moment ago.
#[derive(Default)]
pub(super) struct Site {
    pub(super) counter: Option<Stub>,
    /// Pages whose viewers on other nodes have changed since the counter asked, with their number.
    pub(super) changed: Vec<(PageId, u32)>,
    /// Whether the counter was told that there are some.
    pub(super) told: bool,
    /// When a counter was last dropped, while pages may be left over from it.
    pub(super) left_at: Option<Instant>,
}

impl Page {
    pub(super) fn new(id: PageId, sites: &HashMap<Arc<str>, Site>) -> Self {
        let name = id.counter_room();
        let site = sites.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone());
        Self { id, site, watched: false, place: 0 }
    }
}

impl Site {
    /// Notes how many viewers one of its pages has on other nodes now.
    pub(super) fn note(&mut self, page: &mut Page, viewers: u32) {
        match self.changed.get_mut(page.place).filter(|(id, _)| *id == page.id) {
            Some((_, noted)) => *noted = viewers,
            None => {
                page.place = self.changed.len();
                self.changed.push((page.id.clone(), viewers));
            }
        }
    }
}
