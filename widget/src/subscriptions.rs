//! The subscriptions of the page's own code, by the numbers that `npm/subscriptions.js` gives them.

use crate::event::Effect;
use crate::pages::{NONE, Pages};
use crate::widget::Widget;

/// Which subscription follows which page: pairs of number and key.
pub(crate) struct Subscriptions {
    all: Vec<(u32, u32)>,
}

impl Subscriptions {
    pub(crate) const fn new() -> Self {
        Self { all: Vec::new() }
    }

    /// Moves a subscription to another page, or to none. Returns the page that it followed before.
    fn follow(&mut self, number: u32, key: u32, pages: &mut Pages) -> u32 {
        let before = match self.all.iter_mut().find(|(other, _)| *other == number) {
            Some((_, followed)) => std::mem::replace(followed, key),
            None => {
                self.all.push((number, key));
                NONE
            }
        };
        if before != key {
            pages.follow(before, key);
        }
        before
    }

    /// The numbers of the subscriptions that follow a page.
    pub(crate) fn known(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.all.iter().filter(|(_, key)| *key != NONE).map(|(number, _)| *number)
    }
}

impl Widget {
    /// Adds a subscription to the page at an address, or to this page if the address is empty.
    pub(crate) fn attach(&mut self, number: u32, address: &str) {
        let key = self.host.page_named(address).map_or(NONE, |id| self.pages.note(id));
        let before = self.subscriptions.follow(number, key, &mut self.pages);
        self.flush();
        let viewers = self.pages.viewers(key);
        if key != before && (before != NONE || viewers >= 0.0) {
            self.effects.push(Effect::Notify(number, viewers));
        }
    }

    /// Ends a subscription.
    pub(crate) fn detach(&mut self, number: u32) {
        if let Some(place) = self.subscriptions.all.iter().position(|(other, _)| *other == number) {
            let (_, before) = self.subscriptions.all.remove(place);
            self.pages.follow(before, NONE);
        }
        self.flush();
    }

    /// Notifies the subscriptions to pages whose count has changed.
    pub(crate) fn notify_changed(&mut self) {
        for (number, key) in &self.subscriptions.all {
            if self.pages.is_changed(*key) {
                self.effects.push(Effect::Notify(*number, self.pages.viewers(*key)));
            }
        }
    }
}
