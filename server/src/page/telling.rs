//! What viewers have been told: versions of the links' counts, and when the next update may be sent.

use std::time::{Duration, Instant};

use crate::pace::{Pace, Spending};

/// What all viewers of a page have been told.
///
/// Each change of a count is a version. A viewer remembers the version that it was told last
/// ([`Viewer::told`](super::Viewer)), and needs all later changes of the links that it watches. These are one update,
/// even if the viewer could not be told for a long time.
#[derive(Default)]
pub(super) struct Telling {
    /// The current version. It grows with every change.
    version: u64,
    /// The version that all viewers have been told.
    told: u64,
    /// Viewers wait for the first count of a link. They get it even in a rush.
    is_awaited: bool,
    /// When the next update may be sent.
    pace: Pace,
    /// What updates cost.
    spending: Spending,
}

impl Telling {
    /// The version of a viewer that has been told everything.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// A count has changed. Returns its new version.
    pub(super) fn change(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// A link without a count got its first one.
    pub(super) fn first_count(&mut self) {
        self.is_awaited = true;
    }

    /// A viewer must be told again what others have been told already.
    pub(super) fn fall_behind(&mut self) {
        self.told = 0;
    }

    /// How long until viewers may be told what is new. `None` if nothing is new.
    pub(super) fn wait(&self, now: Instant, is_rush: bool) -> Option<Duration> {
        let is_new = self.told != self.version;
        is_new.then(|| self.pace.wait(now, is_rush && !self.is_awaited))
    }

    /// Viewers were told from `now` on, which cost `cost`. If they were not `all`, the others are told next time.
    pub(super) fn done(&mut self, now: Instant, cost: Duration, shortest: Duration, all: bool) {
        // Counters send news when the last round is paid for, more or less. It must not wait again for the rest.
        self.spending.add(now, cost, cost, cost);
        self.pace.sent(now, self.spending.interval(now, shortest));
        if all {
            self.is_awaited = false;
            self.told = self.version;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(16);

    #[test]
    fn the_first_change_is_sent_at_once_and_the_next_ones_together() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        assert_eq!(telling.wait(start, false), None);
        telling.change();
        assert_eq!(telling.wait(start, false), Some(Duration::ZERO));
        telling.done(start, Duration::ZERO, SHORTEST, true);
        assert_eq!(telling.wait(start, false), None);
        telling.change();
        telling.change();
        assert_eq!(telling.wait(start + SHORTEST / 2, false), Some(SHORTEST / 2));
        telling.done(start + SHORTEST, Duration::ZERO, SHORTEST, true);
        assert_eq!(telling.wait(start + SHORTEST * 2, false), None);
    }

    #[test]
    fn a_skipped_viewer_is_told_in_the_next_round() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        let version = telling.change();
        telling.done(start, Duration::ZERO, SHORTEST, false);
        assert_eq!(telling.wait(start, false), Some(SHORTEST));
        assert_eq!(telling.version(), version);
        telling.done(start + SHORTEST, Duration::ZERO, SHORTEST, true);
        assert_eq!(telling.wait(start + SHORTEST, false), None);
        telling.fall_behind();
        assert!(telling.wait(start + SHORTEST, false).is_some());
    }

    #[test]
    fn only_first_counts_are_sent_in_a_rush() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        telling.change();
        telling.done(start, Duration::ZERO, SHORTEST, true);
        telling.change();
        let later = start + SHORTEST;
        assert!(telling.wait(later, true).is_some_and(|wait| !wait.is_zero()));
        telling.first_count();
        assert_eq!(telling.wait(later, true), Some(Duration::ZERO));
        telling.done(later, Duration::ZERO, SHORTEST, true);
        telling.change();
        assert!(telling.wait(later + SHORTEST, true).is_some_and(|wait| !wait.is_zero()));
    }

    #[test]
    fn expensive_updates_are_sent_less_often() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        telling.change();
        telling.done(start, Duration::from_millis(100), SHORTEST, false);
        assert_eq!(telling.wait(start, false), Some(Duration::from_millis(400)));
    }
}
