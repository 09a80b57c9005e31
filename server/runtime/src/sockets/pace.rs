//! How fast one connection may speak: a burst at once, then so many frames a second.

use std::time::Duration;

/// What every connection is allowed.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    /// Milliseconds one frame takes to be allowed again.
    per_frame: u32,
    /// Milliseconds all frames of a burst take to be allowed again.
    burst: u32,
}

impl Allowance {
    /// So many frames at once, and so many a second.
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        // At least one frame in a second, and at most a thousand.
        let per_frame = (1000 / per_second.max(1)).max(1);
        Self { per_frame, burst: per_frame.saturating_mul(burst) }
    }
}

/// What one connection has used of it: the moment at which all of its frames will be allowed again, in milliseconds of
/// the worker's clock.
#[derive(Clone, Copy)]
pub(super) struct Pace(u64);

impl Pace {
    /// Nothing is used.
    pub(super) fn new() -> Self {
        Self(0)
    }

    /// How long until the next frame is allowed; zero if it is now.
    pub(super) fn wait(self, allowance: Allowance, now_ms: u64) -> Duration {
        let allowed_at = (self.0 + u64::from(allowance.per_frame)).saturating_sub(u64::from(allowance.burst));
        Duration::from_millis(allowed_at.saturating_sub(now_ms))
    }

    /// One more frame.
    pub(super) fn count(&mut self, allowance: Allowance, now_ms: u64) {
        self.0 = self.0.max(now_ms) + u64::from(allowance.per_frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_once_then_one_at_a_time() {
        let allowance = Allowance::new(3, 5);
        let mut pace = Pace::new();
        let mut now_ms = 10_000;
        for _ in 0..3 {
            assert_eq!(pace.wait(allowance, now_ms), Duration::ZERO);
            pace.count(allowance, now_ms);
        }
        assert_eq!(pace.wait(allowance, now_ms), Duration::from_millis(200));
        now_ms += 200;
        assert_eq!(pace.wait(allowance, now_ms), Duration::ZERO);
        pace.count(allowance, now_ms);
        assert_eq!(pace.wait(allowance, now_ms), Duration::from_millis(200));
        // Rested, it has a burst again, and no more.
        now_ms += 60_000;
        for _ in 0..3 {
            assert_eq!(pace.wait(allowance, now_ms), Duration::ZERO);
            pace.count(allowance, now_ms);
        }
        assert!(!pace.wait(allowance, now_ms).is_zero());
    }
}
