//! How a stopping server divides its time: everyone hears a goodbye, not all at once, and the disk has its turn at the end.

use std::time::Duration;

use tokio::time::Instant;

/// Goodbyes in a second: whoever is told comes back soon, and a server of two cores takes in twice as many in that time.
const GOODBYES_PER_SECOND: u32 = 1_000;
/// The longest time between the first goodbye and the last: page and server stay apart for that long.
const LONGEST_GOODBYES: Duration = Duration::from_secs(5);

/// The moments by which each part of a stop is over. They are eighths of
/// [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// The longest time that the goodbyes may take.
    pub(crate) goodbyes: Duration,
    /// Connections that are still open are hung up on.
    pub(crate) connections: Instant,
    /// Rooms that are still busy are left alone.
    pub(crate) rooms: Instant,
    /// What is not on the disk is lost.
    pub(crate) disk: Instant,
}

impl Deadlines {
    /// Those of a stop that begins now.
    pub(crate) fn within(timeout: Duration) -> Self {
        let (start, eighth) = (Instant::now(), timeout / 8);
        Self {
            goodbyes: LONGEST_GOODBYES.min(eighth * 5),
            connections: start + eighth * 6,
            rooms: start + eighth * 7,
            disk: start + timeout,
        }
    }

    /// How long goodbyes to so many connections take.
    pub(crate) fn goodbyes_to(&self, connections: usize) -> Duration {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        (Duration::from_secs(1) * connections / GOODBYES_PER_SECOND).min(self.goodbyes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_goodbyes_take_their_time_and_few_do_not() {
        let deadlines = Deadlines::within(Duration::from_secs(8));
        let millis = |connections| deadlines.goodbyes_to(connections).as_millis();
        assert_eq!([0, 1, 500, 6_000, 100_000].map(millis), [0, 1, 500, 5_000, 5_000]);
    }

    #[test]
    fn everything_fits_into_the_shutdown_timeout() {
        for timeout in [0, 80, 8_000, 60_000].map(Duration::from_millis) {
            let start = Instant::now();
            let deadlines = Deadlines::within(timeout);
            assert!(start + deadlines.goodbyes_to(usize::MAX) <= deadlines.connections, "{timeout:?}: {deadlines:?}");
            assert!(deadlines.connections <= deadlines.rooms && deadlines.rooms <= deadlines.disk);
            assert!(deadlines.disk <= Instant::now() + timeout, "{timeout:?}: {deadlines:?}");
        }
    }
}
