//! The documents and shadow roots that we search for links.

use crate::{dom, widget::Widget};

/// The number of the document itself.
pub(crate) const DOCUMENT: u32 = 1;

/// All open roots.
#[derive(Default)]
pub(crate) struct Roots {
    numbers: Vec<u32>,
}

impl Roots {
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
        self.numbers.retain(|root| {
            let is_gone = dom::is_gone(*root);
            if is_gone {
                dom::close(*root);
            }
            !is_gone
        });
    }

    /// Closes all roots.
    pub(crate) fn close_all(&mut self) {
        for root in self.numbers.drain(..) {
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
}
