//! How fast a connection may send: a burst at once, then this many frames a second.

use std::time::Duration;

/// The rate that every connection has.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    /// Milliseconds until one more frame is allowed.
    per_frame: u32,
    /// Milliseconds until a whole burst is allowed again.
    burst: u32,
}

impl Allowance {
    /// This many frames at once, and this many a second.
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        // At least one frame a second, and at most a thousand.
        let per_frame = (1000 / per_second.max(1)).max(1);
        Self { per_frame, burst: per_frame.saturating_mul(burst) }
    }
}

/// What a connection has used of its rate: when a whole burst will be allowed again, in milliseconds of the worker's clock.
#[derive(Clone, Copy)]
pub(super) struct Pace(u64);

impl Pace {
    /// Nothing is used.
    pub(super) fn new() -> Self {
        Self(0)
    }

    /// How long until the next frame is allowed. Zero if it is allowed now.
    pub(super) fn wait(self, allowance: Allowance, now_ms: u64) -> Duration {
        let allowed_at = (self.0 + u64::from(allowance.per_frame)).saturating_sub(u64::from(allowance.burst));
        Duration::from_millis(allowed_at.saturating_sub(now_ms))
    }

    /// Counts one more frame.
    pub(super) fn count(&mut self, allowance: Allowance, now_ms: u64) {
        self.0 = self.0.max(now_ms) + u64::from(allowance.per_frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_at_once_and_then_one_frame_at_a_time() {
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
        // After a rest it has one burst again, and not more.
        now_ms += 60_000;
        for _ in 0..3 {
            assert_eq!(pace.wait(allowance, now_ms), Duration::ZERO);
            pace.count(allowance, now_ms);
        }
        assert!(!pace.wait(allowance, now_ms).is_zero());
    }
}
