//! How often something goes out: the first change after a quiet time at once, then as often as it is worth.

use std::time::{Duration, Instant};

/// However dear it is, news goes out this often.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
/// The part of one core's time, one in so many, that one room may spend on telling.
const PART_OF_CORE: u32 = 4;

/// Paces one kind of message.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the next may go out; `None` before the first.
    next_at: Option<Instant>,
}

impl Pace {
    /// How long to wait before the next may go out; zero if it may go now.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.next_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// Some went out, which took `cost` of a core's time. The next goes after `shortest`, or later if it is dear.
    pub(crate) fn sent(&mut self, now: Instant, cost: Duration, shortest: Duration) {
        self.next_at = Some(now + (cost * PART_OF_CORE).clamp(shortest, LONGEST_INTERVAL.max(shortest)));
    }
}

/// The interval between two messages to each of so many, when all together are sent no more than `per_second`.
pub(crate) fn stretched(interval: Duration, receivers: usize, per_second: u32) -> Duration {
    let receivers = u32::try_from(receivers).unwrap_or(u32::MAX);
    interval.max((Duration::from_secs(1) * receivers / per_second).min(LONGEST_INTERVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_hear_less_often_but_never_too_seldom() {
        let interval = |receivers| stretched(Duration::from_millis(100), receivers, 10_000);
        assert_eq!(interval(1_000), Duration::from_millis(100));
        assert_eq!(interval(5_000), Duration::from_millis(500));
        assert_eq!(interval(usize::MAX), LONGEST_INTERVAL);
    }

    #[test]
    fn the_first_goes_at_once_the_next_after_the_interval() {
        const INTERVAL: Duration = Duration::from_millis(100);
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait(start), Duration::ZERO);
        pace.sent(start, Duration::ZERO, INTERVAL);
        assert_eq!(pace.wait(start + Duration::from_millis(30)), Duration::from_millis(70));
        assert_eq!(pace.wait(start + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn the_interval_follows_the_cost() {
        const SHORTEST: Duration = Duration::from_millis(16);
        let start = Instant::now();
        let after = |cost, shortest| {
            let mut pace = Pace::default();
            pace.sent(start, Duration::from_millis(cost), shortest);
            pace.wait(start)
        };
        assert_eq!(after(1, SHORTEST), SHORTEST);
        assert_eq!(after(10, SHORTEST), Duration::from_millis(40));
        assert_eq!(after(10_000, SHORTEST), LONGEST_INTERVAL);
        assert_eq!(after(1, Duration::from_secs(9)), Duration::from_secs(9));
    }
}
