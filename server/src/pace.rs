//! How often messages are sent: the first change after a quiet time at once, then as often as their cost allows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// News is sent at least this often, however expensive it is.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
/// A room may use one in this many of one core's time for sending news.
const PART_OF_CORE: u32 = 4;
/// A message that waits for a rush to end checks again after one in this many of the time it has waited. So waiting costs
/// almost nothing, and lasts little longer than the rush.
const LOOKS_AGAIN: u32 = 8;
/// The shortest time between two such checks.
const SHORTEST_LOOK: Duration = Duration::from_millis(16);
/// How many rounds to everyone may be unpaid: one, and another one whose cost is reported late.
const UNPAID_ROUNDS: u32 = 2;
/// Each message multiplies the weight of the older ones by this factor.
const OLDER_COUNT_FOR: f64 = 0.9;
/// Wait before something that failed is tried again.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// The pace of one kind of message.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the next message may be sent. `None` before the first.
    next_at: Option<Instant>,
}

impl Pace {
    /// How long to wait before the next message. Zero if it may be sent now. In a rush new connections come first, but nothing
    /// waits for them longer than [`LONGEST_INTERVAL`].
    pub(crate) fn wait(&self, now: Instant, is_rush: bool) -> Duration {
        let Some(next_at) = self.next_at else { return Duration::ZERO };
        let late = now.saturating_duration_since(next_at);
        if is_rush && now >= next_at && late < LONGEST_INTERVAL {
            return (late / LOOKS_AGAIN).max(SHORTEST_LOOK);
        }
        next_at.saturating_duration_since(now)
    }

    /// A message was sent. The next may follow after `interval`.
    pub(crate) fn sent(&mut self, now: Instant, interval: Duration) {
        self.next_at = Some(now + interval);
    }
}

/// What a room spends on sending news. This decides the interval between two messages, so that the room uses no more than its
/// part of a core.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    /// When everything spent so far is within that part. `None` before anything was spent.
    level_at: Option<Instant>,
}

impl Spending {
    /// Adds a cost, where one round to everyone costs about `round`. Whatever a rush cost, at most [`UNPAID_ROUNDS`] rounds
    /// remain to be paid for.
    pub(crate) fn add(&mut self, now: Instant, cost: Duration, round: Duration) {
        let level_at = self.level_at.map_or(now, |at| at.max(now)) + cost * PART_OF_CORE;
        self.level_at = Some(level_at.min(now + (round * PART_OF_CORE * UNPAID_ROUNDS).min(LONGEST_INTERVAL)));
    }

    /// How long after this message the next one may follow.
    pub(crate) fn interval(&self, now: Instant, shortest: Duration) -> Duration {
        self.level_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)).max(shortest)
    }
}

/// The recent average cost of one message.
#[derive(Debug, Default)]
pub(crate) struct Average {
    /// The cost of the messages, in seconds.
    cost: f64,
    /// The number of messages. Older ones count less.
    messages: f64,
}

impl Average {
    /// Adds the cost of some messages, or the late bill for earlier ones.
    pub(crate) fn add(&mut self, cost: Duration, messages: u32) {
        self.cost = self.cost * OLDER_COUNT_FOR + cost.as_secs_f64();
        self.messages = self.messages * OLDER_COUNT_FOR + f64::from(messages);
    }

    /// The cost of this many messages.
    pub(crate) fn cost_of(&self, messages: usize) -> Duration {
        let messages = f64::from(u32::try_from(messages).unwrap_or(u32::MAX));
        // Before the first message, or if the cost is absurd, this is the longest time there is.
        Duration::try_from_secs_f64(self.cost / self.messages * messages)
            .map_or(LONGEST_INTERVAL, |cost| cost.min(LONGEST_INTERVAL))
    }
}

/// What other rooms spend because of a room's messages. They add to it, and the room takes it into account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill(Arc<AtomicU64>);

impl Bill {
    /// Adds a cost.
    pub(crate) fn add(&self, cost: Duration) {
        self.0.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Takes everything that was added since the last call.
    pub(crate) fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(16);

    #[test]
    fn the_first_message_goes_at_once_and_the_next_after_the_interval() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait(start, false), Duration::ZERO);
        pace.sent(start, Duration::from_millis(100));
        assert_eq!(pace.wait(start + Duration::from_millis(30), false), Duration::from_millis(70));
        assert_eq!(pace.wait(start + Duration::from_secs(1), false), Duration::ZERO);
    }

    #[test]
    fn in_a_rush_messages_wait_for_handshakes_but_not_for_ever() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait(start, true), Duration::ZERO, "the first message never waits");
        pace.sent(start, SHORTEST);
        let wait = |late| pace.wait(start + SHORTEST + late, true);
        assert_eq!(pace.wait(start, true), SHORTEST);
        assert_eq!(wait(Duration::ZERO), SHORTEST_LOOK);
        assert_eq!(wait(Duration::from_secs(1)), Duration::from_millis(125));
        assert_eq!(wait(LONGEST_INTERVAL), Duration::ZERO);
    }

    #[test]
    fn the_interval_follows_the_cost() {
        let start = Instant::now();
        let after = |cost, shortest| {
            let mut spending = Spending::default();
            spending.add(start, Duration::from_millis(cost), Duration::from_millis(cost));
            spending.interval(start, shortest)
        };
        assert_eq!(after(0, SHORTEST), SHORTEST);
        assert_eq!(after(1, SHORTEST), SHORTEST);
        assert_eq!(after(10, SHORTEST), Duration::from_millis(40));
        assert_eq!(after(10_000, SHORTEST), LONGEST_INTERVAL);
        assert_eq!(after(1, Duration::from_secs(9)), Duration::from_secs(9));
    }

    #[test]
    fn a_room_spends_a_quarter_of_a_core() {
        const COST: Duration = Duration::from_millis(30);
        const TIME: Duration = Duration::from_secs(60);
        let start = Instant::now();
        let (mut now, mut spent) = (start, Duration::ZERO);
        let mut spending = Spending::default();
        while now < start + TIME {
            let interval = spending.interval(now, SHORTEST);
            // The others add to the bill only after they were told.
            spending.add(now, COST, COST);
            spent += COST;
            now += interval;
        }
        assert!(spent > TIME / 5 && spent < TIME * 3 / 10, "{spent:?} of {TIME:?}");
    }

    #[test]
    fn after_a_rush_at_most_two_rounds_remain_to_be_paid() {
        let start = Instant::now();
        let mut spending = Spending::default();
        for _ in 0..100 {
            spending.add(start, Duration::from_millis(20), Duration::from_millis(50));
        }
        assert_eq!(spending.interval(start, SHORTEST), Duration::from_millis(400));
    }

    #[test]
    fn an_average_includes_costs_that_are_added_later() {
        let mut average = Average::default();
        assert_eq!(average.cost_of(1), LONGEST_INTERVAL);
        for _ in 0..100 {
            average.add(Duration::from_millis(1), 100);
            average.add(Duration::from_millis(2), 0);
        }
        let millis = average.cost_of(1_000).as_secs_f64() * 1e3;
        assert!((25.0..35.0).contains(&millis), "{millis} ms");
    }

    #[test]
    fn a_bill_is_empty_after_it_was_taken() {
        let bill = Bill::default();
        bill.clone().add(Duration::from_millis(1));
        bill.add(Duration::from_millis(2));
        assert_eq!(bill.take(), Duration::from_millis(3));
        assert_eq!(bill.take(), Duration::ZERO);
    }
}
