//! The pages someone here wants to know about, and what to ask the server for.

use connection_counter_protocol::{MAX_LINKS_PER_CONNECTION, PageId, wire};

use crate::{Hands, count::Count, message::Message};

/// The key of no page.
pub(crate) const NONE: i32 = -1;

/// Every page that is wanted, by its key.
#[derive(Default)]
pub(crate) struct Pages {
    /// By ascending key.
    pages: Vec<Page>,
    /// What is wanted changed since there was last nothing to tell.
    has_news: bool,
    /// Pairs of key and count that are not shown yet.
    changed: Vec<f64>,
}

/// A page that links lead to, or that someone subscribed to.
struct Page {
    key: i32,
    id: PageId,
    /// How many links and subscriptions want it.
    wanted: i32,
    count: Count,
    /// The server was told that we want to know.
    told: bool,
}

impl Pages {
    /// Takes note of the page with this key, which from now on is one of ours. Unless it becomes wanted, it is soon
    /// forgotten.
    pub(crate) fn note(&mut self, key: i32, id: PageId) {
        if let Err(place) = self.find(key) {
            self.has_news = true;
            self.pages.insert(place, Page { key, id, wanted: 0, count: Count::default(), told: false });
        }
    }

    fn find(&self, key: i32) -> Result<usize, usize> {
        self.pages.binary_search_by(|page| page.key.cmp(&key))
    }

    fn page(&mut self, key: i32) -> Option<&mut Page> {
        let place = self.find(key).ok()?;
        self.pages.get_mut(place)
    }

    /// So many more (or fewer) want the page.
    pub(crate) fn want(&mut self, key: i32, more: i32) {
        if let Some(page) = self.page(key) {
            page.wanted += more;
            self.has_news = true;
        }
    }

    /// What the server should be told next, if anything: which pages are wanted now, then which are not any more. Pages
    /// beyond what one connection may watch wait, without a number, until others are gone.
    pub(crate) fn next_message(&mut self, hands: &Hands) -> Option<String> {
        if !self.has_news {
            return None;
        }
        self.forget_unwanted(hands);
        let told = self.pages.iter().filter(|page| page.told).count();
        let free = MAX_LINKS_PER_CONNECTION.saturating_sub(told);

        let mut message = Message::new(wire::SUBSCRIBE);
        for page in self.pages.iter_mut().filter(|page| !page.told && page.wanted > 0).take(free) {
            page.told = message.add(page.id.as_str());
            if !page.told {
                break;
            }
        }
        if message.is_empty() {
            message = Message::new(wire::UNSUBSCRIBE);
            for page in self.pages.iter_mut().filter(|page| page.told && page.wanted == 0) {
                page.told = !message.add(page.id.as_str());
                if page.told {
                    break;
                }
            }
        }
        self.has_news = !message.is_empty();
        self.has_news.then(|| message.finish())
    }

    /// Forgets the pages that no one wants, except those the server still tells us about.
    pub(crate) fn forget_unwanted(&mut self, hands: &Hands) {
        self.pages.retain(|page| {
            let stays = page.wanted > 0 || page.told;
            if !stays {
                hands.forget(page.key);
            }
            stays
        });
    }

    /// The connection is a new one: all the server was told is news again.
    pub(crate) fn untell(&mut self) {
        for page in &mut self.pages {
            page.told = false;
        }
        self.has_news = true;
    }

    /// The server's word on some pages, in pairs of key and viewers.
    pub(crate) fn hear(&mut self, counts: &[f64], hold_falls: bool) {
        for pair in counts.chunks_exact(2) {
            let [key, viewers] = *pair else { return };
            // Keys were integers before they were put in a list of numbers.
            #[expect(clippy::cast_possible_truncation, reason = "what was an i32 is one again")]
            if let Some(shown) = self.page(key as i32).and_then(|page| page.count.hear(viewers, hold_falls)) {
                self.changed.push(key);
                self.changed.push(shown);
            }
        }
    }

    /// From now on only what the server says again is true; what is shown stays until [`Self::settle`].
    pub(crate) fn doubt(&mut self) {
        for page in &mut self.pages {
            page.count.doubt();
        }
    }

    /// Shows what is true.
    pub(crate) fn settle(&mut self) {
        for page in &mut self.pages {
            if let Some(shown) = page.count.settle() {
                self.changed.push(page.key.into());
                self.changed.push(shown);
            }
        }
    }

    /// The counts that changed since, in pairs of key and viewers.
    pub(crate) fn take_news(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.changed)
    }
}
