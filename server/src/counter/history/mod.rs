//! The history of a site: its highest counts, and those of its busiest pages. It contains no person, and no path of a person.
//!
//! It has no clock and no disk. The caller says what time it is, and stores the rows.

mod answer;
mod curve;

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, binary_heap::PeekMut},
};

use connection_counter_protocol::PageId;

pub(super) use answer::{Format, Wanted};
pub(super) use curve::Step;
use curve::{Curve, Row, RowId};

/// Pages of a site that have a curve: the busiest ones. With rows of up to 240 bytes they take at most 20 MB, however many pages
/// the site has.
pub(super) const MAX_PAGES: usize = 1_000;
/// A new page replaces another when it has more than this many times the viewers that the other had at most in the last day.
/// Otherwise two equally busy pages would replace each other all the time, and lose a curve each time.
const TIMES_BUSIER: u32 = 2;
/// Hours of a day.
const DAY_HOURS: u64 = 24;
/// The prefix of the keys of rows. It comes after the keys of pages, because peaks are read first.
const ROWS: &str = "past:";

/// A time on two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Milliseconds since 1970 on the machine's clock, which may be set at any time, to any time.
    pub(super) wall_ms: u64,
    /// A time that has certainly been reached: it ignores forward jumps of the clock since the room started. Old rows are
    /// judged by this, so that a jump of the clock loses nothing.
    pub(super) sure_ms: u64,
}

/// The highest counts of a site and of its busiest pages.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The curve of all pages of the site together.
    site: Curve,
    /// The curves of the busiest pages.
    pages: HashMap<PageId, Curve>,
    /// Current viewers of all pages.
    viewers: u64,
    /// Keys of rows that must be deleted.
    gone: Vec<String>,
    /// Whether anything is newer than what is stored.
    is_unsaved: bool,
    /// Which pages other pages may replace.
    least_busy: LeastBusy,
}

/// The pages of a full history by their highest count of the last day, as it was when each was last looked at. It is made once a
/// minute. Until the next, counts only grow.
#[derive(Debug, Default)]
struct LeastBusy {
    /// The minute for which it was made.
    minute: Option<u64>,
    /// The least busy page comes first.
    pages: BinaryHeap<Reverse<(u32, PageId)>>,
}

impl History {
    /// Records that the viewers of a page have changed.
    pub(super) fn changed(&mut self, now: Moment, id: &PageId, before: u32, after: u32) {
        let viewers = (self.viewers + u64::from(after)).saturating_sub(before.into());
        // Viewers who have just left were viewers in this minute, too.
        let highest = u32::try_from(viewers.max(self.viewers)).unwrap_or(u32::MAX);
        self.viewers = viewers;
        self.is_unsaved |= raise(&mut self.site, "", now, highest, &mut self.gone);
        let highest = before.max(after);
        if !self.pages.contains_key(id) {
            if self.pages.len() >= MAX_PAGES && !self.replace_least_busy(now, id, highest) {
                return;
            }
            self.pages.insert(id.clone(), Curve::default());
        }
        if let Some(curve) = self.pages.get_mut(id) {
            self.is_unsaved |= raise(curve, id.as_str(), now, highest, &mut self.gone);
        }
    }

    /// A minute has begun. Records those who are viewing in it, too.
    pub(super) fn carry(&mut self, now: Moment, viewers_of: impl Fn(&PageId) -> u32) {
        let viewers = u32::try_from(self.viewers).unwrap_or(u32::MAX);
        self.is_unsaved |= raise(&mut self.site, "", now, viewers, &mut self.gone);
        for (id, curve) in &mut self.pages {
            self.is_unsaved |= raise(curve, id.as_str(), now, viewers_of(id), &mut self.gone);
        }
    }

    /// Whether there are viewers, so that [`carry`](Self::carry) must be called each minute.
    pub(super) fn has_viewers(&self) -> bool {
        self.viewers > 0
    }

    pub(super) fn viewers(&self) -> u32 {
        u32::try_from(self.viewers).unwrap_or(u32::MAX)
    }

    pub(super) fn has_page(&self, id: &PageId) -> bool {
        self.pages.contains_key(id)
    }

    /// The last values of the site's curve, oldest first.
    pub(super) fn last_of_site(&self, step: Step, wall_ms: u64, values: usize) -> Vec<u32> {
        self.site.shown(step, wall_ms, values)
    }

    /// The last minutes of a page's curve, oldest first. Empty if the page has no history.
    pub(super) fn last_of_page(&self, id: &PageId, wall_ms: u64, minutes: usize) -> Vec<u32> {
        self.pages.get(id).map_or_else(Vec::new, |curve| curve.shown(Step::Minute, wall_ms, minutes))
    }

    /// Replaces the least busy page by this one if it has clearly more viewers.
    fn replace_least_busy(&mut self, now: Moment, id: &PageId, viewers: u32) -> bool {
        let Some((busy, other)) = self.least_busy(now) else { return false };
        if viewers <= busy.saturating_mul(TIMES_BUSIER) {
            return false;
        }
        self.forget_page(&other);
        self.least_busy.pages.push(Reverse((viewers, id.clone())));
        true
    }

    fn least_busy(&mut self, now: Moment) -> Option<(u32, PageId)> {
        let minute = Some(now.sure_ms / Step::Minute.ms());
        if self.least_busy.minute != minute {
            let pages = self.busy(now).map(Reverse).collect();
            self.least_busy = LeastBusy { minute, pages };
        }
        let Self { pages, least_busy, .. } = self;
        while let Some(mut first) = least_busy.pages.peek_mut() {
            let Reverse((noted, id)) = &*first;
            match pages.get(id).map(|curve| curve.highest_since(day_before(now))) {
                // It was forgotten.
                None => drop(PeekMut::pop(first)),
                Some(busy) if busy > *noted => first.0.0 = busy,
                Some(busy) => return Some((busy, id.clone())),
            }
        }
        None
    }

    /// Each page with its highest count of the last day.
    fn busy(&self, now: Moment) -> impl Iterator<Item = (u32, PageId)> {
        self.pages.iter().map(move |(id, curve)| (curve.highest_since(day_before(now)), id.clone()))
    }

    fn forget_page(&mut self, id: &PageId) {
        if let Some(curve) = self.pages.remove(id) {
            self.gone.extend(curve.rows().map(|row| key(row, id.as_str())));
        }
    }

    /// Removes what is no longer shown.
    pub(super) fn forget_old(&mut self, now: Moment) {
        let Self { site, pages, gone, .. } = self;
        gone.extend(site.forget_old(now.sure_ms).into_iter().map(|row| key(row, "")));
        pages.retain(|id, curve| {
            gone.extend(curve.forget_old(now.sure_ms).into_iter().map(|row| key(row, id.as_str())));
            !curve.is_empty()
        });
    }

    /// Removes everything.
    pub(super) fn forget_all(&mut self) {
        self.gone.extend(self.site.rows().map(|row| key(row, "")));
        self.gone.extend(self.pages.iter().flat_map(|(id, curve)| curve.rows().map(|row| key(row, id.as_str()))));
        (self.site, self.pages) = Default::default();
    }

    /// Whether there is nothing to show and nothing to delete.
    pub(super) fn is_empty(&self) -> bool {
        self.site.is_empty() && self.pages.is_empty() && self.gone.is_empty()
    }

    /// Adds a stored row. Returns `false` if the key is not the key of a row.
    pub(super) fn recall(&mut self, stored: &str, values: &[u32]) -> bool {
        let Some((row, page)) = read_key(stored) else { return false };
        let curve = match PageId::parse(page) {
            _ if page.is_empty() => &mut self.site,
            Ok(id) => self.pages.entry(id).or_default(),
            Err(_) => return true,
        };
        curve.recall(row, values);
        self.is_unsaved |= curve.is_unsaved;
        true
    }

    /// All stored rows have been added. Pages that were busy before and pages that are busy now together keep to the limit.
    pub(super) fn recalled(&mut self, now: Moment) {
        let mut busy: Vec<_> = self.busy(now).collect();
        busy.sort_unstable();
        for (_, id) in busy.iter().take(self.pages.len().saturating_sub(MAX_PAGES)) {
            self.forget_page(id);
        }
        self.least_busy = LeastBusy::default();
    }

    /// Whether something must be stored.
    pub(super) fn is_unsaved(&self) -> bool {
        self.is_unsaved || !self.gone.is_empty()
    }

    /// The keys to delete. [`deleted`](Self::deleted) then removes them from the list. Delete them before rows are stored,
    /// because a row may have one of these keys again.
    pub(super) fn gone(&self) -> &[String] {
        &self.gone
    }

    /// This many of the first keys are deleted.
    pub(super) fn deleted(&mut self, keys: usize) {
        self.gone.drain(..keys.min(self.gone.len()));
    }

    /// Passes the changed rows to `put`, some at a time. If `put` fails, the others wait.
    pub(super) fn save<E>(
        &mut self,
        rows_at_a_time: usize,
        mut put: impl FnMut(&[(&str, Vec<u32>)]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let site = std::iter::once(("", &mut self.site));
        let pages = self.pages.iter_mut().map(|(id, curve)| (id.as_str(), curve));
        let mut curves: Vec<_> = site.chain(pages).filter(|(_, curve)| curve.is_unsaved).collect();
        let unsaved =
            curves.iter_mut().flat_map(|(page, curve)| curve.unsaved().map(|(row, values)| (key(row, page), values)));
        let mut unsaved: Vec<(String, &mut Row)> = unsaved.collect();
        for some in unsaved.chunks_mut(rows_at_a_time) {
            let rows: Vec<_> = some.iter().map(|(key, row)| (key.as_str(), row.values())).collect();
            if !put(&rows)? {
                return Ok(());
            }
            some.iter_mut().for_each(|(_, row)| row.is_unsaved = false);
        }
        curves.into_iter().for_each(|(_, curve)| curve.is_unsaved = false);
        self.is_unsaved = false;
        Ok(())
    }
}

/// The hour in which the last day began.
fn day_before(now: Moment) -> u64 {
    (now.sure_ms / Step::Hour.ms()).saturating_sub(DAY_HOURS - 1)
}

/// Raises a curve. Returns whether that changed it.
fn raise(curve: &mut Curve, page: &str, now: Moment, viewers: u32, gone: &mut Vec<String>) -> bool {
    gone.extend(curve.raise(now.wall_ms, viewers).into_iter().map(|row| key(row, page)));
    curve.is_unsaved
}

/// The key of a stored row. The key of the site's own row ends without a page.
fn key((step, number): RowId, page: &str) -> String {
    let letter = match step {
        Step::Minute => 'm',
        Step::Hour => 'h',
    };
    format!("{ROWS}{letter}:{number}:{page}")
}

/// The row and the page in a key.
fn read_key(key: &str) -> Option<(RowId, &str)> {
    let (letter, rest) = key.strip_prefix(ROWS)?.split_once(':')?;
    let (number, page) = rest.split_once(':')?;
    let step = match letter {
        "m" => Step::Minute,
        "h" => Step::Hour,
        _ => return None,
    };
    Some(((step, number.parse().ok()?), page))
}

#[cfg(test)]
mod tests;
