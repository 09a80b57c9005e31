//! Sets of links that viewers watch. Most viewers of a page watch the same links, so each set is stored once.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use connection_counter_protocol::PageId;

/// The links of one viewer, in order. Viewers who watch the same links share one list. `None` means no links. It is a single
/// pointer, because every viewer has one.
pub(super) type LinkSet = Option<Arc<Vec<PageId>>>;

/// All sets that viewers of a page watch.
#[derive(Default)]
pub(super) struct LinkSets(HashSet<Arc<Vec<PageId>>>);

impl LinkSets {
    /// Replaces `before` by the set with these links, which are in order.
    pub(super) fn replace(&mut self, before: &mut LinkSet, links: Vec<PageId>) {
        let set = (!links.is_empty()).then(|| match self.0.get(&links) {
            Some(known) => Arc::clone(known),
            None => {
                let set = Arc::new(links);
                self.0.insert(Arc::clone(&set));
                set
            }
        });
        if let Some(left) = std::mem::replace(before, set) {
            self.leave(left);
        }
    }

    /// One viewer less watches this set.
    pub(super) fn leave(&mut self, set: Arc<Vec<PageId>>) {
        // Only the leaving viewer and this table still have it.
        if Arc::strong_count(&set) == 2 {
            self.0.remove(&set);
        }
    }
}

/// Whether the set has this link.
pub(super) fn has(set: &LinkSet, id: &PageId) -> bool {
    set.as_ref().is_some_and(|links| links.binary_search(id).is_ok())
}

/// The links of a set and some more, in order.
pub(super) fn with(set: &LinkSet, more: BTreeSet<PageId>) -> Vec<PageId> {
    let mut links: BTreeSet<PageId> = set.iter().flat_map(|links| links.iter().cloned()).collect();
    links.extend(more);
    links.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<PageId> {
        names.iter().map(|name| PageId::parse(name).unwrap()).collect()
    }

    #[test]
    fn viewers_who_watch_the_same_links_share_one_set() {
        let mut sets = LinkSets::default();
        let (mut anna, mut ben) = (None, None);
        sets.replace(&mut anna, ids(&["a", "b"]));
        sets.replace(&mut ben, ids(&["a", "b"]));
        assert!(Arc::ptr_eq(anna.as_ref().unwrap(), ben.as_ref().unwrap()));
        assert!(has(&anna, &ids(&["b"])[0]) && !has(&anna, &ids(&["c"])[0]));
        assert_eq!(sets.0.len(), 1);
    }

    #[test]
    fn unwatched_sets_are_dropped() {
        let mut sets = LinkSets::default();
        let (mut anna, mut ben) = (None, None);
        sets.replace(&mut anna, ids(&["a"]));
        sets.replace(&mut ben, ids(&["a"]));
        sets.replace(&mut anna, ids(&["a", "b"]));
        assert_eq!(sets.0.len(), 2);
        sets.leave(ben.take().unwrap());
        assert_eq!(sets.0.len(), 1);
        sets.replace(&mut anna, Vec::new());
        assert!(anna.is_none() && sets.0.is_empty());
    }

    #[test]
    fn added_links_are_sorted_into_the_set() {
        let mut sets = LinkSets::default();
        let mut anna = None;
        sets.replace(&mut anna, ids(&["b", "d"]));
        assert_eq!(with(&anna, ids(&["a", "c", "d"]).into_iter().collect()), ids(&["a", "b", "c", "d"]));
    }
}
