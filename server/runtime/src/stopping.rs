//! How a stopping server divides its time. First it closes its connections one after another. The disk comes last.

use std::time::Duration;

use tokio::time::Instant;

/// Connections that are closed in a second. Their clients come back soon, and a server with two cores accepts twice as many.
const GOODBYES_PER_SECOND: u32 = 1_000;
/// The longest time between closing the first connection and the last. Pages have no server for at most that long.
const LONGEST_GOODBYES: Duration = Duration::from_secs(5);

/// The deadlines of the parts of a stop. They are eighths of [`Limits::shutdown_timeout`](crate::Limits::shutdown_timeout).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// The longest time that closing the connections may take.
    pub(crate) goodbyes: Duration,
    /// Connections that are still open are dropped.
    pub(crate) connections: Instant,
    /// The server does not wait for rooms that are still busy.
    pub(crate) rooms: Instant,
    /// Values that are not on the disk are lost.
    pub(crate) disk: Instant,
}

impl Deadlines {
    /// The deadlines of a stop that begins now.
    pub(crate) fn within(timeout: Duration) -> Self {
        let (start, eighth) = (Instant::now(), timeout / 8);
        Self {
            goodbyes: LONGEST_GOODBYES.min(eighth * 5),
            connections: start + eighth * 6,
            rooms: start + eighth * 7,
            disk: start + timeout,
        }
    }

    /// How long closing this many connections takes.
    pub(crate) fn goodbyes_to(&self, connections: usize) -> Duration {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        (Duration::from_secs(1) * connections / GOODBYES_PER_SECOND).min(self.goodbyes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_takes_a_second_per_1000_connections_and_at_most_5() {
        let deadlines = Deadlines::within(Duration::from_secs(8));
        let millis = |connections| deadlines.goodbyes_to(connections).as_millis();
        assert_eq!([0, 1, 500, 6_000, 100_000].map(millis), [0, 1, 500, 5_000, 5_000]);
    }

    #[test]
    fn all_deadlines_fit_into_the_shutdown_timeout() {
        for timeout in [0, 80, 8_000, 60_000].map(Duration::from_millis) {
            let start = Instant::now();
            let deadlines = Deadlines::within(timeout);
            assert!(start + deadlines.goodbyes_to(usize::MAX) <= deadlines.connections, "{timeout:?}: {deadlines:?}");
            assert!(deadlines.connections <= deadlines.rooms && deadlines.rooms <= deadlines.disk);
            assert!(deadlines.disk <= Instant::now() + timeout, "{timeout:?}: {deadlines:?}");
        }
    }
}
