//! Code of the page that wants to know a count, by the numbers that `npm/subscriptions.js` gives it.

use crate::pages::{NONE, Pages};
use crate::widget::{Effect, Widget};

/// Who wants to know about which page: pairs of number and key.
#[derive(Default)]
pub(crate) struct Subscriptions {
    all: Vec<(u32, u32)>,
}

impl Subscriptions {
    /// Has a subscription follow another page, or none. Answers which one it followed.
    fn follow(&mut self, number: u32, key: u32, pages: &mut Pages) -> u32 {
        if !self.all.iter().any(|(other, _)| *other == number) {
            self.all.push((number, NONE));
        }
        let Some((_, followed)) = self.all.iter_mut().find(|(other, _)| *other == number) else { return NONE };
        let before = std::mem::replace(followed, key);
        if before != key {
            pages.follow(before, key);
        }
        before
    }

    /// The numbers of those that follow a page.
    pub(crate) fn known(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.all.iter().filter(|(_, key)| *key != NONE).map(|(number, _)| *number)
    }
}

impl Widget {
    /// A subscription wants to know about the page at an address, or about this page for an empty one.
    pub(crate) fn attach(&mut self, number: u32, address: &str) {
        let id = if address.is_empty() { self.host.id().cloned() } else { self.host.page_at(address, false) };
        let key = id.map_or(NONE, |id| self.pages.note(id));
        let before = self.subscriptions.follow(number, key, &mut self.pages);
        self.flush();
        let viewers = self.pages.viewers(key);
        if key != before && (before != NONE || viewers >= 0.0) {
            self.effects.push(Effect::Notify { number, viewers });
        }
    }

    /// A subscription ends.
    pub(crate) fn detach(&mut self, number: u32) {
        self.subscriptions.follow(number, NONE, &mut self.pages);
        self.subscriptions.all.retain(|(other, _)| *other != number);
        self.flush();
    }

    /// Tells all who subscribed to pages whose count changed.
    pub(crate) fn notify_changed(&mut self) {
        for (number, key) in &self.subscriptions.all {
            if self.pages.is_changed(*key) {
                self.effects.push(Effect::Notify { number: *number, viewers: self.pages.viewers(*key) });
            }
        }
    }
}
