//! Sets of links that viewers watch. Most viewers of a page watch the same links, so each set is stored once.

use std::{collections::HashSet, sync::Arc};

use connection_counter_protocol::PageId;

/// Links that viewers watch, in order. Viewers who watch the same links share one list.
pub(super) type Shared = Arc<Vec<PageId>>;

/// The links of one viewer. `None` means no links. It is a single pointer, because every viewer has one.
pub(super) type LinkSet = Option<Shared>;

/// All sets that viewers of a page watch.
#[derive(Default)]
pub(super) struct LinkSets(HashSet<Shared>);

/// What has changed for a page because a viewer watches another set.
#[derive(Default)]
pub(super) struct Change {
    /// The set, if nobody watched it before.
    pub(super) new: LinkSet,
    /// The set that nobody watches any more.
    pub(super) gone: LinkSet,
}

impl LinkSets {
    /// Replaces `before` by the set with these links, which are in order.
    pub(super) fn replace(&mut self, before: &mut LinkSet, links: Vec<PageId>) -> Change {
        let (mut set, mut new) = (None, None);
        if let Some(known) = self.0.get(&links) {
            set = Some(Arc::clone(known));
        } else if !links.is_empty() {
            let added = Arc::new(links);
            self.0.insert(Arc::clone(&added));
            (set, new) = (Some(Arc::clone(&added)), Some(added));
        }
        let left = std::mem::replace(before, set);
        Change { new, gone: left.and_then(|left| self.leave(left)) }
    }

    /// One viewer less watches this set. Returns it if nobody watches it any more.
    pub(super) fn leave(&mut self, set: Shared) -> LinkSet {
        // Only the leaving viewer and this table still have it.
        let is_gone = Arc::strong_count(&set) == 2;
        (is_gone && self.0.remove(&set)).then_some(set)
    }
}

/// Whether the set has this link.
pub(super) fn has(set: &LinkSet, id: &PageId) -> bool {
    set.as_ref().is_some_and(|links| links.binary_search(id).is_ok())
}

/// The links of a set and some more, in order.
pub(super) fn with(set: &LinkSet, more: &[PageId]) -> Vec<PageId> {
    let before = set.as_ref().map_or(&[][..], |links| links);
    let mut links = [before, more].concat();
    links.sort_unstable();
    links.dedup();
    links
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
        assert!(sets.replace(&mut anna, ids(&["a", "b"])).new.is_some());
        assert!(sets.replace(&mut ben, ids(&["a", "b"])).new.is_none(), "Anna watches it already");
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
        assert!(sets.replace(&mut anna, ids(&["a", "b"])).gone.is_none(), "Ben still watches it");
        assert_eq!(sets.0.len(), 2);
        assert_eq!(sets.leave(ben.take().unwrap()).as_deref(), Some(&ids(&["a"])));
        assert_eq!(sets.0.len(), 1);
        assert_eq!(sets.replace(&mut anna, Vec::new()).gone.as_deref(), Some(&ids(&["a", "b"])));
        assert!(anna.is_none() && sets.0.is_empty());
    }

    #[test]
    fn added_links_are_sorted_into_the_set() {
        let mut sets = LinkSets::default();
        let mut anna = None;
        sets.replace(&mut anna, ids(&["b", "d"]));
        assert_eq!(with(&anna, &ids(&["d", "c", "a"])), ids(&["a", "b", "c", "d"]));
    }
}
