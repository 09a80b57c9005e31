//! What a counter tells the dashboard of its site.

use std::{cmp::Reverse, sync::Arc};

use connection_counter_protocol::PageId;

use super::{Counter, Tally, history::Step};
use crate::party::{Response, Room, unix_ms};

/// Pages that are listed as the busiest, and as those that rise fastest.
const BUSIEST: usize = 10;
const RISING: usize = 5;
/// Minutes of a curve of the last hour, and hours of one of the last 30 days.
pub(crate) const HOUR_MINUTES: usize = 60;
pub(crate) const MONTH_HOURS: usize = 30 * 24;
/// A page rises by what it has more than so many minutes ago.
pub(crate) const RISING_MINUTES: usize = 10;

/// An extension of a request that asks for an [`Overview`]. Nobody outside can set it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskOverview;

/// A site at a glance. It is an extension of the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overview {
    pub(crate) site: String,
    /// Viewers of all its pages now.
    pub(crate) viewers: u32,
    /// The highest counts of the last 60 minutes, oldest first.
    pub(crate) hour: Vec<u32>,
    /// Likewise of the last 720 hours.
    pub(crate) month: Vec<u32>,
    /// The busiest pages first.
    pub(crate) busiest: Vec<PageOverview>,
    /// Pages that have more viewers than ten minutes ago, those with the most more first.
    pub(crate) rising: Vec<PageOverview>,
}

/// A page at a glance.
#[derive(Clone, Debug)]
pub(crate) struct PageOverview {
    pub(crate) id: PageId,
    pub(crate) viewers: u32,
    /// The most it ever had, and when, in milliseconds since 1970.
    pub(crate) peak: u32,
    pub(crate) peak_at_ms: u64,
    /// The highest counts of the last 60 minutes; none if it has no history.
    pub(crate) hour: Vec<u32>,
}

impl PageOverview {
    /// How many viewers it had ten minutes ago.
    pub(crate) fn before(&self) -> u32 {
        self.hour.iter().rev().nth(RISING_MINUTES).copied().unwrap_or(0)
    }

    /// How many more it has than then.
    pub(crate) fn rise(&self) -> u32 {
        self.viewers.saturating_sub(self.before())
    }
}

impl Counter {
    /// The site at a glance, for the dashboard.
    pub(super) fn overview(&self, room: &Room) -> Response {
        let now_ms = unix_ms();
        let viewed = || self.viewed.iter().filter_map(|id| Some((id, self.pages.get(id)?)));
        let mut busiest: Vec<_> = viewed().map(|(id, tally)| (Reverse(tally.total()), id)).collect();
        // Far cheaper than to sort them all.
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
