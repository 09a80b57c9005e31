//! How often something goes out: the first change after a quiet time at once, then at most one per interval.

use std::time::{Duration, Instant};

/// Paces one kind of message.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// How long to wait before the next may go out; zero if it may go now.
    pub(crate) fn wait(&self, now: Instant, interval: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| interval.saturating_sub(now.saturating_duration_since(last)))
    }

    /// One went out.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

/// However many they are, they hear news this often.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

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
        assert_eq!(pace.wait(start, INTERVAL), Duration::ZERO);
        pace.sent(start);
        assert_eq!(pace.wait(start + Duration::from_millis(30), INTERVAL), Duration::from_millis(70));
        assert_eq!(pace.wait(start + Duration::from_secs(1), INTERVAL), Duration::ZERO);
    }
}
