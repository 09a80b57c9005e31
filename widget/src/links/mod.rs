//! Step 1, find: the links of the page as they appear, change and disappear, and the page that each leads to. If links lead to
//! very many pages, only those near the viewport get counts ([`crowd`]).

mod crowd;
mod link;
mod roots;

use crate::dom::{self, now_ms};
use crate::pages::NONE;
use crate::{timers::alarm, widget::Widget};

use crowd::Crowd;
pub(crate) use link::{BLANK, Link};
pub(crate) use roots::{DOCUMENT, Roots};

/// How long to check links before the page gets its turn: half of a frame's time at 60 frames a second.
const SLICE_MS: f64 = 8.0;
/// Removed links are dropped together, this long after the first one was removed.
const SWEEP_AFTER_MS: f64 = 1_000.0;

/// A list of elements to check, and how far we have come.
struct List {
    number: u32,
    length: u32,
    next: u32,
    /// Whether to check all elements. Otherwise, in a crowd, those between others that are far are skipped.
    is_exact: bool,
}

/// All links, and the lists of elements to check.
pub(crate) struct Links {
    /// By slot.
    table: Vec<Option<Link>>,
    due: Vec<List>,
    /// The first list that is not finished.
    first_due: usize,
    crowd: Crowd,
    /// Something was removed from the page.
    pub(crate) has_lost: bool,
    /// How long the current check has taken so far.
    spent_ms: f64,
}

impl Links {
    pub(crate) const fn new() -> Self {
        Self { table: Vec::new(), due: Vec::new(), first_due: 0, crowd: Crowd::new(), has_lost: false, spent_ms: 0.0 }
    }

    /// The link in a slot.
    // Not inlined, because readers would download a copy for each use.
    #[inline(never)]
    pub(crate) fn get(&mut self, slot: u32) -> Option<&mut Link> {
        self.table.get_mut(usize::try_from(slot).ok()?)?.as_mut()
    }

    /// All slots. Some may be empty.
    #[expect(clippy::cast_possible_truncation, reason = "slots are numbers of 32 bits")]
    pub(crate) fn slots(&self) -> std::ops::Range<u32> {
        0..self.table.len() as u32
    }

    /// Drops a link that leads to no page.
    pub(crate) fn discard(&mut self, slot: u32) {
        if let Some(place) = self.table.get_mut(slot as usize)
            && place.as_ref().is_some_and(|link| link.page == NONE)
        {
            *place = None;
            dom::discard(slot);
        }
    }

    fn insert(&mut self, slot: u32) -> u32 {
        let idx = slot as usize;
        while self.table.len() <= idx {
            self.table.push(None);
        }
        if let Some(place) = self.table.get_mut(idx) {
            *place = Some(Link::NEW);
        }
        slot
    }

    /// Adds a list of elements to check later.
    pub(crate) fn examine_later(&mut self, number: u32, is_exact: bool) {
        if number != 0 {
            self.due.push(List { number, length: dom::length(number), next: 0, is_exact });
        }
    }

    fn is_done(&self) -> bool {
        self.first_due >= self.due.len()
    }

    /// Takes the next few elements: their list, and the first and the last in it.
    fn take_run(&mut self) -> Option<(u32, u32, u32, bool)> {
        let list = self.due.get_mut(self.first_due)?;
        let start = list.next;
        let end = (start + crowd::run_length()).min(list.length);
        list.next = end;
        let run = (list.number, start, end, list.is_exact);
        if end == list.length {
            self.first_due += 1;
        }
        Some(run)
    }

    /// Drops the lists that are finished.
    fn release(&mut self) {
        if self.is_done() {
            self.due.clear();
            self.first_due = 0;
        }
    }
}

impl Widget {
    /// Checks elements for as long as the time slice allows.
    pub(crate) fn find(&mut self) {
        let begun_ms = now_ms();
        let mut spent_ms = 0.0;
        while spent_ms < SLICE_MS && self.find_run() {
            spent_ms = now_ms() - begun_ms;
        }
        self.links.release();
        self.links.spent_ms += spent_ms;
        self.hurry();
        if self.links.is_done() {
            self.flush();
            let spent_ms = std::mem::take(&mut self.links.spent_ms);
            self.links.crowd.surveyed(spent_ms, &mut self.timers);
        } else {
            self.timers.set_sooner(alarm::FIND, 0.0);
        }
    }

    /// Checks the next few elements. Returns whether there were any.
    fn find_run(&mut self) -> bool {
        let Some((list, start, end, is_exact)) = self.links.take_run() else { return false };
        if is_exact || !self.links.crowd.are_far(list, start, end) {
            for idx in start..end {
                self.examine(list, idx);
            }
        }
        if dom::length(list) == end {
            dom::release(list);
        }
        true
    }

    /// Finds the page that an element leads to, if any.
    fn examine(&mut self, list: u32, idx: u32) {
        self.enter(dom::inner(list, idx));
        let slot = dom::slot(list, idx);
        let before = self.links.get(slot).map_or(NONE, |link| link.page);
        let is_near = self.links.crowd.is_near(list, idx, before != NONE);
        let after = if is_near { self.meaning(list, idx) } else { NONE };
        let is_new = slot == 0 && after != NONE;
        let slot = if is_new { self.links.insert(dom::keep(list, idx)) } else { slot };
        self.lead(slot, after);
        if after != before && self.links.crowd.begins(&self.pages) {
            self.begin_crowd();
        }
    }

    /// From now on the link leads to this page, or to none.
    pub(crate) fn lead(&mut self, slot: u32, page: u32) {
        let Some(link) = self.links.get(slot) else { return };
        if link.page == page {
            return;
        }
        let before = std::mem::replace(&mut link.page, page);
        // The number of another page must go as soon as that of a new link comes.
        link.is_written = false;
        let had_count = link.told >= 0.0;
        self.pages.follow(before, page);
        if had_count || page != NONE {
            self.annotate(slot);
        } else {
            self.links.discard(slot);
        }
    }

    /// The page changed. The list has the elements that were added or changed. Something may have been removed, or all links
    /// may lead to other pages.
    pub(crate) fn changed(&mut self, list: u32, has_lost: bool, is_elsewhere: bool) {
        let is_busy = !self.links.is_done();
        self.links.examine_later(list, false);
        self.links.has_lost |= has_lost;
        if is_elsewhere {
            self.search_again();
        }
        if self.links.has_lost {
            let rest_ms = self.links.crowd.rest_ms().max(SWEEP_AFTER_MS);
            self.timers.set_sooner(alarm::SURVEY, rest_ms);
        }
        dom::adopt_all();
        self.check_later();
        self.arrange_later();
        // At once, before anyone sees a link without its number. In a crowd it waits, because it would cost a layout.
        if !self.links.is_done() {
            if is_busy || self.links.crowd.is_one() {
                self.timers.set_sooner(alarm::FIND, 0.0);
            } else {
                self.find();
            }
        }
        self.locate();
    }

    /// A frame may have loaded another page.
    pub(crate) fn loaded(&mut self, list: u32) {
        self.links.has_lost = true;
        self.timers.set_sooner(alarm::SURVEY, SWEEP_AFTER_MS);
        self.links.examine_later(list, false);
        self.find();
    }

    /// Checks whether links were removed or, in a crowd, have come near.
    pub(crate) fn survey(&mut self) {
        if std::mem::take(&mut self.links.has_lost) {
            self.roots.close_gone();
        } else if dom::is_hidden() {
            self.links.crowd.survey_later(&mut self.timers);
            return;
        }
        let is_crowd = self.links.crowd.is_one();
        self.links.examine_later(dom::known(!is_crowd), true);
        if is_crowd {
            self.search();
        }
        self.links.crowd.is_surveying = is_crowd;
        self.find();
    }

    /// All links may lead to other pages.
    pub(crate) fn search_again(&mut self) {
        self.forget_meanings();
        self.search();
    }

    /// Checks all elements that may be links.
    fn search(&mut self) {
        for root in self.roots.iter() {
            self.links.examine_later(dom::search(root), false);
        }
    }

    /// All links may lead to other pages, and the language may have changed.
    pub(crate) fn renew(&mut self) {
        self.search_again();
        if dom::speaks_another() {
            self.annotate_all();
        }
        // This runs in a separate task, because finding the links was one already.
        self.timers.set_sooner(alarm::FIND, 0.0);
    }

    pub(crate) fn scrolled(&mut self) {
        self.links.crowd.scrolled(&mut self.timers);
        self.arrange_later();
    }

    /// From now on only links near the viewport get counts.
    fn begin_crowd(&mut self) {
        // Links that the page has just removed do not count.
        for slot in self.links.slots() {
            if self.links.get(slot).is_some() && !dom::is_there(slot) {
                self.lead(slot, NONE);
            }
        }
        if self.links.crowd.begins(&self.pages) {
            self.links.crowd.begin(&mut self.timers);
            self.links.examine_later(dom::known(false), true);
        }
    }
}
