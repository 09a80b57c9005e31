//! The documents and shadow roots that we search for links, and what an `href` means there.

use crate::pages::NONE;
use crate::{dom, widget::Widget};

/// The number of the document itself.
pub(crate) const DOCUMENT: u32 = 1;

/// After so many meanings of an `href`, all are forgotten. A page may write a new one every second.
const MOST_MEANINGS: u32 = 1_000;

/// All open roots.
pub(crate) struct Roots {
    numbers: Vec<u32>,
    /// How many meanings of an `href` are remembered.
    meanings: u32,
}

impl Roots {
    pub(crate) const fn new() -> Self {
        Self { numbers: Vec::new(), meanings: 0 }
    }

    /// Starts to search and observe a root.
    pub(crate) fn open(&mut self, root: u32) {
        self.numbers.push(root);
        dom::open(root);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.numbers.iter().copied()
    }

    /// Closes roots that are no longer in the page.
    pub(crate) fn close_gone(&mut self) {
        let mut idx = 0;
        while let Some(root) = self.numbers.get(idx) {
            if dom::is_gone(*root) {
                dom::close(self.numbers.swap_remove(idx));
            } else {
                idx += 1;
            }
        }
    }

    /// Closes all roots.
    pub(crate) fn close_all(&self) {
        for root in self.iter() {
            dom::close(root);
        }
    }
}

impl Widget {
    /// Opens the root of an element that asks for it.
    pub(crate) fn enter(&mut self, root: u32) {
        if root != 0 {
            self.roots.open(root);
            self.links.examine_later(dom::search(root), false);
        }
    }

    /// The page that an element leads to. Each `href` is looked up once.
    pub(crate) fn meaning(&mut self, list: u32, idx: u32) -> u32 {
        let known = dom::meaning(list, idx);
        // A page that was removed in the meantime gets a new key.
        if let Ok(key) = u32::try_from(known)
            && (key == NONE || self.pages.has(key))
        {
            return key;
        }
        let key = self.host.page_at(&dom::address(), true).map_or(NONE, |id| self.pages.note(id));
        dom::mean(key);
        self.roots.meanings += 1;
        if self.roots.meanings > MOST_MEANINGS {
            self.forget_meanings();
        }
        key
    }

    pub(crate) fn forget_meanings(&mut self) {
        self.roots.meanings = 0;
        dom::forget_meanings();
    }
}
