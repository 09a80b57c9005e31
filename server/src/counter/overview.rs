//! The overview of a site that its counter gives to the dashboard.

use std::{cmp::Reverse, sync::Arc};

use connection_counter_protocol::PageId;

use super::{Counter, Tally, history::Step};
use crate::party::{Response, Room, unix_ms};

/// How many pages are listed as the busiest, and how many as rising fastest.
const BUSIEST: usize = 10;
const RISING: usize = 5;
/// Minutes in the curve of the last hour. The other curve has the hours of the last 30 days.
pub(crate) const HOUR_MINUTES: usize = 60;
pub(crate) const MONTH_HOURS: usize = 30 * 24;
/// A page's rise is the difference to its viewers this many minutes ago.
pub(crate) const RISING_MINUTES: usize = 10;

/// An extension of a request that asks for an [`Overview`]. Nobody outside can set it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskOverview;

/// The overview of a site. It is an extension of the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overview {
    pub(crate) site: String,
    /// Current viewers of all pages.
    pub(crate) viewers: u32,
    /// The highest counts of the last 60 minutes, oldest first.
    pub(crate) hour: Vec<u32>,
    /// The highest counts of the last 720 hours, oldest first.
    pub(crate) month: Vec<u32>,
    /// The busiest pages, busiest first.
    pub(crate) busiest: Vec<PageOverview>,
    /// Pages with more viewers than ten minutes ago, those that rose most first.
    pub(crate) rising: Vec<PageOverview>,
}

/// The overview of a page.
#[derive(Clone, Debug)]
pub(crate) struct PageOverview {
    pub(crate) id: PageId,
    pub(crate) viewers: u32,
    /// The highest count that it ever had, and when, in milliseconds since 1970.
    pub(crate) peak: u32,
    pub(crate) peak_at_ms: u64,
    /// The highest counts of the last 60 minutes. Empty if the page has no history.
    pub(crate) hour: Vec<u32>,
}

impl PageOverview {
    /// How many viewers the page had ten minutes ago.
    pub(crate) fn before(&self) -> u32 {
        self.hour.iter().rev().nth(RISING_MINUTES).copied().unwrap_or(0)
    }

    /// How many more viewers it has now.
    pub(crate) fn rise(&self) -> u32 {
        self.viewers.saturating_sub(self.before())
    }
}

impl Counter {
    /// The overview of the site, for the dashboard.
    pub(super) fn overview(&self, room: &Room) -> Response {
        let now_ms = unix_ms();
        let viewed = || self.viewed.iter().filter_map(|id| Some((id, self.pages.get(id)?)));
        let mut busiest: Vec<_> = viewed().map(|(id, tally)| (Reverse(tally.total()), id)).collect();
        // This is much cheaper than sorting all of them.
        if busiest.len() > BUSIEST {
            busiest.select_nth_unstable(BUSIEST);
            busiest.truncate(BUSIEST);
        }
        busiest.sort_unstable();
        let of = |id: &PageId, tally: &Tally| PageOverview {
            id: id.clone(),
            viewers: tally.total(),
            peak: tally.remembered.peak,
            peak_at_ms: tally.remembered.peak_at_ms,
            hour: self.history.last_of_page(id, now_ms, HOUR_MINUTES),
        };
        let page = |(_, id): &(Reverse<u32>, &PageId)| self.pages.get(*id).map(|tally| of(id, tally));
        let busiest = busiest.iter().filter_map(page).collect();
        let with_history = viewed().filter(|(id, _)| self.history.has_page(id));
        let mut rising: Vec<_> = with_history.map(|(id, tally)| of(id, tally)).filter(|page| page.rise() > 0).collect();
        rising.sort_unstable_by_key(|page| (Reverse(page.rise()), page.id.clone()));
        rising.truncate(RISING);
        let overview = Overview {
            site: room.id().to_owned(),
            viewers: self.history.viewers(),
            hour: self.history.last_of_site(Step::Minute, now_ms, HOUR_MINUTES),
            month: self.history.last_of_site(Step::Hour, now_ms, MONTH_HOURS),
            busiest,
            rising,
        };
        let mut response = Response::default();
        response.extensions_mut().insert(Arc::new(overview));
        response
    }
}
