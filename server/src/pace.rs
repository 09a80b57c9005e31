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

#[cfg(test)]
mod tests {
    use super::*;

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
