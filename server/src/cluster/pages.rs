//! The table of what the other machines count: the pages whose ids are known here, and their sites.

use std::{collections::HashMap, sync::Arc, time::Instant};

use connection_counter_protocol::PageId;

use super::key::Key;
use crate::party::Stub;

/// A page whose id is known.
pub(super) struct Page {
    pub(super) id: PageId,
    /// The name of its counter. Pages of a site share it, so it is at hand when many of them change at once.
    pub(super) site: Arc<str>,
    /// The counter here keeps a tally of it.
    pub(super) watched: bool,
    /// Whether it is in `changed` of its site.
    pub(super) changed: bool,
    /// Its count here is left over from a counter that is gone.
    pub(super) stale: bool,
}

/// A site that has a counter here, or had one a moment ago.
#[derive(Default)]
pub(super) struct Site {
    pub(super) counter: Option<Stub>,
    /// Pages whose viewers on other nodes may have changed since the counter asked.
    pub(super) changed: Vec<Key>,
    /// Whether the counter was told that there are some.
    pub(super) told: bool,
    /// When a counter was last dropped, while pages may be left over from it.
    pub(super) left_at: Option<Instant>,
}

impl Page {
    pub(super) fn new(id: PageId, sites: &HashMap<Arc<str>, Site>) -> Self {
        let name = id.counter_room();
        let site = sites.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone());
        Self { id, site, watched: false, changed: false, stale: false }
    }

    /// Notes that the page's counter must be told.
    pub(super) fn mark_changed(&mut self, key: Key, site: &mut Site) {
        if !std::mem::replace(&mut self.changed, true) {
            site.changed.push(key);
        }
    }
}
