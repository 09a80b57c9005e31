//! Who has been told what: versions of the links' counts, and when the next update may go out.

use std::time::{Duration, Instant};

use crate::pace::Pace;

/// What all viewers of a page have been told.
///
/// Each change of a count is a version. A viewer remembers the version it was last told ([`Viewer::told`](super::Viewer)), and
/// needs whatever changed after it among the links it watches: however long it could not be told, that is one update.
#[derive(Default)]
pub(super) struct Telling {
    /// Grows with every change.
    version: u64,
    /// The version that every viewer has been told.
    told: u64,
    pace: Pace,
}

impl Telling {
    /// The version of who has been told everything.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// A count changed: its new version.
    pub(super) fn change(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// A viewer has to be told again what was told before.
    pub(super) fn fall_behind(&mut self) {
        self.told = 0;
    }

    /// How long until viewers may be told what is new; `None` if nothing is.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let is_new = self.told != self.version;
        is_new.then(|| self.pace.wait(now))
    }

    /// Viewers were told, which took `cost`. Unless that was `all`, the others are told next time.
    pub(super) fn done(&mut self, now: Instant, cost: Duration, shortest: Duration, all: bool) {
        self.pace.sent(now, cost, shortest);
        if all {
            self.told = self.version;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(16);

    #[test]
    fn the_first_change_is_told_at_once_the_next_ones_together() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        assert_eq!(telling.wait(start), None);
        telling.change();
        assert_eq!(telling.wait(start), Some(Duration::ZERO));
        telling.done(start, Duration::ZERO, SHORTEST, true);
        assert_eq!(telling.wait(start), None);
        telling.change();
        telling.change();
        assert_eq!(telling.wait(start + SHORTEST / 2), Some(SHORTEST / 2));
        telling.done(start + SHORTEST, Duration::ZERO, SHORTEST, true);
        assert_eq!(telling.wait(start + SHORTEST * 2), None);
    }

    #[test]
    fn who_could_not_be_told_is_told_next_time() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        let version = telling.change();
        telling.done(start, Duration::ZERO, SHORTEST, false);
        assert_eq!(telling.wait(start), Some(SHORTEST));
        assert_eq!(telling.version(), version);
        telling.done(start + SHORTEST, Duration::ZERO, SHORTEST, true);
        assert_eq!(telling.wait(start + SHORTEST), None);
        telling.fall_behind();
        assert!(telling.wait(start + SHORTEST).is_some());
    }

    #[test]
    fn what_costs_more_is_told_less_often() {
        let (mut telling, start) = (Telling::default(), Instant::now());
        telling.change();
        telling.done(start, Duration::from_millis(100), SHORTEST, false);
        assert_eq!(telling.wait(start), Some(Duration::from_millis(400)));
    }
}
