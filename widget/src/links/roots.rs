//! The documents and shadow roots that are our business.

use crate::{dom, widget::Widget};

/// The number of the document itself.
pub(crate) const DOCUMENT: u32 = 1;

/// All that are open.
#[derive(Default)]
pub(crate) struct Roots {
    numbers: Vec<u32>,
}

impl Roots {
    /// Makes a root part of our business.
    pub(crate) fn open(&mut self, root: u32) {
        self.numbers.push(root);
        dom::open(root);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.numbers.iter().copied()
    }

    /// Lets go of those that are not in the page any more.
    pub(crate) fn close_gone(&mut self) {
        self.numbers.retain(|root| {
            let is_gone = dom::is_gone(*root);
            if is_gone {
                dom::close(*root);
            }
            !is_gone
        });
    }

    /// Lets go of all.
    pub(crate) fn close_all(&mut self) {
        for root in self.numbers.drain(..) {
            dom::close(root);
        }
    }
}

impl Widget {
    /// Goes into an element that asks us to.
    pub(crate) fn enter(&mut self, root: u32) {
        if root != 0 {
            self.roots.open(root);
            self.links.examine_later(dom::search(root), false);
        }
    }
}
