//! The pages that are watched here, and the messages that ask the server for their counts.

use connection_counter_protocol::{MAX_LINKS_PER_CONNECTION, PageId, wire};

use crate::count::{Count, UNKNOWN};
use crate::message::Message;
use crate::rules::split_around;

/// The key that stands for no page.
pub(crate) const NONE: u32 = 0;

/// All watched pages, in one table.
pub(crate) struct Pages {
    /// In the order of their keys.
    pages: Vec<Page>,
    /// The last key. No key is used twice.
    last_key: u32,
    /// Whether there may be something new to send.
    has_news: bool,
    /// Whether a count has changed since [`Self::forget_changes`].
    has_changed: bool,
}

/// A page that links lead to, or that someone has subscribed to.
struct Page {
    key: u32,
    id: PageId,
    /// A short form of the id, so that nearly all comparisons are of numbers.
    digest: u32,
    /// How many links and subscriptions watch it.
    wanted: i32,
    count: Count,
    /// Whether its count has changed since [`Self::forget_changes`].
    is_changed: bool,
    /// Whether the server was asked for its count.
    told: bool,
}

impl Pages {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), last_key: 0, has_news: false, has_changed: false }
    }

    /// The key of the page with this id, which is added to the table. If it is not watched soon, it is removed again.
    pub(crate) fn note(&mut self, id: PageId) -> u32 {
        if let Some(page) = self.by_id(id.as_str()) {
            return page.key;
        }
        self.has_news = true;
        self.last_key += 1;
        let digest = digest(id.as_str());
        let (key, count) = (self.last_key, Count::default());
        self.pages.push(Page { key, id, digest, wanted: 0, count, is_changed: false, told: false });
        key
    }

    fn by_id(&mut self, id: &str) -> Option<&mut Page> {
        let digest = digest(id);
        self.pages.iter_mut().find(|page| page.digest == digest && page.id.as_str() == id)
    }

    /// Where in the table this page is, if it is there.
    fn find(&self, key: u32) -> usize {
        self.pages.partition_point(|page| page.key < key)
    }

    fn page(&self, key: u32) -> Option<&Page> {
        self.pages.get(self.find(key)).filter(|page| page.key == key)
    }

    /// Whether this page is still in the table.
    pub(crate) fn has(&self, key: u32) -> bool {
        self.page(key).is_some()
    }

    /// Whether the page has this id.
    pub(crate) fn is_at(&self, key: u32, id: &PageId) -> bool {
        self.page(key).is_some_and(|page| page.id == *id)
    }

    /// The shown viewers of a page. Below 0 if they are not known.
    pub(crate) fn viewers(&self, key: u32) -> f64 {
        self.page(key).map_or(UNKNOWN, |page| page.count.shown())
    }

    /// The same, for a page's id.
    pub(crate) fn viewers_of(&mut self, id: &PageId) -> f64 {
        self.by_id(id.as_str()).map_or(UNKNOWN, |page| page.count.shown())
    }

    /// The sum of the viewers of all pages.
    pub(crate) fn total(&self) -> f64 {
        self.pages.iter().map(|page| page.count.shown().max(0.0)).sum()
    }

    /// How many pages are watched.
    pub(crate) fn wanted(&self) -> usize {
        self.pages.iter().filter(|page| page.wanted > 0).count()
    }

    /// A link or a subscription moves from one page to another.
    pub(crate) fn follow(&mut self, before: u32, after: u32) {
        self.watch(after, 1);
        self.watch(before, -1);
    }

    /// So many more links and subscriptions watch a page.
    fn watch(&mut self, key: u32, more: i32) {
        let place = self.find(key);
        if let Some(page) = self.pages.get_mut(place).filter(|page| page.key == key) {
            page.wanted += more;
            self.has_news = true;
        }
    }

    /// The next message to the server, if there is one. It asks first for pages that are watched now, then it unsubscribes from
    /// others. If there are more pages than one connection may watch, the others wait without a number.
    pub(crate) fn next_message(&mut self) -> Option<String> {
        if !self.has_news {
            return None;
        }
        self.forget_unwanted();
        let told = self.pages.iter().filter(|page| page.told).count();
        let free = MAX_LINKS_PER_CONNECTION.saturating_sub(told);

        for (kind, is_wanted, most) in [(wire::SUBSCRIBE, true, free), (wire::UNSUBSCRIBE, false, usize::MAX)] {
            let mut message = Message::new(kind);
            let outdated = |page: &&mut Page| page.told != is_wanted && (page.wanted > 0) == is_wanted;
            for page in self.pages.iter_mut().filter(outdated).take(most) {
                if !message.add(page.id.as_str()) {
                    break;
                }
                page.told = is_wanted;
            }
            if !message.is_empty() {
                return Some(message.finish());
            }
        }
        self.has_news = false;
        None
    }

    /// Removes the pages that are not watched, except those that the server still sends counts of.
    pub(crate) fn forget_unwanted(&mut self) {
        while let Some(place) = self.pages.iter().position(|page| page.wanted == 0 && !page.told) {
            self.pages.remove(place);
        }
    }

    /// The connection is new, so the server must be asked again for everything.
    pub(crate) fn tell_all_again(&mut self) {
        for page in &mut self.pages {
            page.told = false;
        }
        self.has_news = true;
    }

    /// Counts from the server: for each page a line with its viewers, a blank, and its id.
    pub(crate) fn hear(&mut self, lines: &str, hold_falls: bool) {
        let mut rest = lines;
        while !rest.is_empty() {
            let (line, after) = split_around(rest, b'\n');
            rest = after;
            let (digits, id) = split_around(line, b' ');
            let viewers = digits.bytes().fold(0.0, |sum, digit| sum * 10.0 + f64::from(digit.wrapping_sub(b'0')));
            if let Some(page) = self.by_id(id)
                && page.count.hear(viewers, hold_falls)
            {
                page.is_changed = true;
                self.has_changed = true;
            }
        }
    }

    /// From now on only counts that the server sends again are right. The shown ones stay until [`Self::settle`].
    pub(crate) fn outdate(&mut self) {
        for page in &mut self.pages {
            page.count.outdate();
        }
    }

    /// Shows the server's counts.
    pub(crate) fn settle(&mut self) {
        for page in &mut self.pages {
            if page.count.settle() {
                page.is_changed = true;
                self.has_changed = true;
            }
        }
    }

    /// Whether any count has changed since [`Self::forget_changes`].
    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// Whether the count of a page changed since [`Self::forget_changes`].
    pub(crate) fn is_changed(&self, key: u32) -> bool {
        self.page(key).is_some_and(|page| page.is_changed)
    }

    /// All links and subscriptions have the new counts.
    pub(crate) fn forget_changes(&mut self) {
        self.has_changed = false;
        for page in &mut self.pages {
            page.is_changed = false;
        }
    }
}

/// A hash that two texts rarely have in common (Fowler, Noll and Vo's).
pub(crate) fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
