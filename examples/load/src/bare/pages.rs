//! The viewers of each page, and the pages that they watch. All viewers of a page watch the same links.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One page.
#[derive(Default)]
struct Page {
    id: String,
    viewers: BTreeSet<usize>,
    links: BTreeSet<usize>,
    watched_by: BTreeSet<usize>,
}

/// All pages.
#[derive(Default)]
pub(crate) struct Pages {
    by_id: HashMap<String, usize>,
    pages: Vec<Page>,
    changed: BTreeSet<usize>,
}

/// An update as a server sends it.
pub(crate) fn update(counts: &[(&str, u32)]) -> String {
    let connections: BTreeMap<_, _> = counts.iter().copied().collect();
    serde_json::json!({ "type": "update", "connections": connections }).to_string()
}

impl Pages {
    /// Adds a viewer.
    pub(crate) fn join(&mut self, id: &str, viewer: usize) -> usize {
        let idx = self.find(id);
        if let Some(page) = self.pages.get_mut(idx) {
            page.viewers.insert(viewer);
        }
        self.changed.insert(idx);
        idx
    }

    /// Removes a viewer.
    pub(crate) fn leave(&mut self, page: usize, viewer: usize) {
        if let Some(page) = self.pages.get_mut(page) {
            page.viewers.remove(&viewer);
        }
        self.changed.insert(page);
    }

    /// Adds links to those that viewers of a page watch. Returns their counts.
    pub(crate) fn watch(&mut self, page: usize, links: &[String]) -> String {
        let idxs: Vec<usize> = links.iter().map(|id| self.find(id)).collect();
        for idx in &idxs {
            if let Some(link) = self.pages.get_mut(*idx) {
                link.watched_by.insert(page);
            }
        }
        if let Some(page) = self.pages.get_mut(page) {
            page.links.extend(&idxs);
        }
        update(&self.counts(&idxs))
    }

    /// Whether any count has changed.
    pub(crate) fn changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The updates to send, and their receivers.
    pub(crate) fn take_changes(&mut self) -> Vec<(String, Vec<usize>)> {
        let mut news: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for idx in std::mem::take(&mut self.changed) {
            for page in self.pages.get(idx).into_iter().flat_map(|page| &page.watched_by) {
                news.entry(*page).or_default().push(idx);
            }
        }
        let told = news.into_iter().filter_map(|(page, changed)| {
            let viewers = self.pages.get(page)?.viewers.iter().copied().collect();
            Some((update(&self.counts(&changed)), viewers))
        });
        told.collect()
    }

    fn counts(&self, idxs: &[usize]) -> Vec<(&str, u32)> {
        let pages = idxs.iter().filter_map(|idx| self.pages.get(*idx));
        pages.map(|page| (page.id.as_str(), u32::try_from(page.viewers.len()).unwrap_or(u32::MAX))).collect()
    }

    fn find(&mut self, id: &str) -> usize {
        if let Some(idx) = self.by_id.get(id) {
            return *idx;
        }
        let idx = self.pages.len();
        self.by_id.insert(id.to_owned(), idx);
        self.pages.push(Page { id: id.to_owned(), ..Page::default() });
        idx
    }
}
