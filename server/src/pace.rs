//! How often something goes out: the first change after a quiet time at once, then as often as it is worth.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// However dear it is, news goes out this often.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
/// The part of one core's time, one in so many, that one room may spend on telling.
const PART_OF_CORE: u32 = 4;
/// What waits for a rush to end looks again after this part of the time it has waited, one in so many. So waiting costs next
/// to nothing, and lasts hardly longer than the rush.
const LOOKS_AGAIN: u32 = 8;
/// And never sooner than after this.
const SHORTEST_LOOK: Duration = Duration::from_millis(16);
/// Rounds in which everyone is told that may be unpaid: one, and another whose bill comes late.
const UNPAID_ROUNDS: u32 = 2;
/// With each message what is known of older ones counts for less, by this factor.
const OLDER_COUNT_FOR: f64 = 0.9;
/// Before something is tried again that could not be done.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// Paces one kind of message.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the next may go out; `None` before the first.
    next_at: Option<Instant>,
}

impl Pace {
    /// How long to wait before the next may go out; zero if it may go now. In a rush newcomers come first, but nothing waits
    /// for them longer than [`LONGEST_INTERVAL`].
    pub(crate) fn wait(&self, now: Instant, is_rush: bool) -> Duration {
        let Some(next_at) = self.next_at else { return Duration::ZERO };
        let late = now.saturating_duration_since(next_at);
        if is_rush && now >= next_at && late < LONGEST_INTERVAL {
            return (late / LOOKS_AGAIN).max(SHORTEST_LOOK);
        }
        next_at.saturating_duration_since(now)
    }

    /// One went out; the next goes after `interval`.
    pub(crate) fn sent(&mut self, now: Instant, interval: Duration) {
        self.next_at = Some(now + interval);
    }
}

/// What telling costs a room. The interval between two messages follows from it: it is so long that the room spends no more
/// than its part of a core.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    /// When all that was spent so far is no more than that part; `None` before anything was spent.
    level_at: Option<Instant>,
}

impl Spending {
    /// So much of a core's time was spent, where telling everyone once costs about `round`. Whatever a rush cost, no more than
    /// [`UNPAID_ROUNDS`] of those remain to be paid for.
    pub(crate) fn add(&mut self, now: Instant, cost: Duration, round: Duration) {
        let level_at = self.level_at.map_or(now, |at| at.max(now)) + cost * PART_OF_CORE;
        self.level_at = Some(level_at.min(now + (round * PART_OF_CORE * UNPAID_ROUNDS).min(LONGEST_INTERVAL)));
    }

    /// How long after this message the next may follow.
    pub(crate) fn interval(&self, now: Instant, shortest: Duration) -> Duration {
        self.level_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)).max(shortest)
    }
}

/// What one message has cost of late.
#[derive(Debug, Default)]
pub(crate) struct Average {
    /// Of the messages, in seconds.
    cost: f64,
    /// How many they were. Older ones count for less.
    messages: f64,
}

impl Average {
    /// So many messages took so much; or the bill for earlier ones has come.
    pub(crate) fn add(&mut self, cost: Duration, messages: u32) {
        self.cost = self.cost * OLDER_COUNT_FOR + cost.as_secs_f64();
        self.messages = self.messages * OLDER_COUNT_FOR + f64::from(messages);
    }

    /// What so many messages cost.
    pub(crate) fn cost_of(&self, messages: usize) -> Duration {
        let messages = f64::from(u32::try_from(messages).unwrap_or(u32::MAX));
        // Before the first, or when one costs more than could ever be: as much as there is.
        Duration::try_from_secs_f64(self.cost / self.messages * messages)
            .map_or(LONGEST_INTERVAL, |cost| cost.min(LONGEST_INTERVAL))
    }
}

/// What other rooms spend on what a room tells them. They add to it, and the room reckons with it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill(Arc<AtomicU64>);

impl Bill {
    /// It took so much of a core's time.
    pub(crate) fn add(&self, cost: Duration) {
        self.0.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// All that was added since this was last asked.
    pub(crate) fn take(&self) -> Duration {
        Duration::from_nanos(self.0.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(16);

    #[test]
    fn the_first_goes_at_once_the_next_after_the_interval() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait(start, false), Duration::ZERO);
        pace.sent(start, Duration::from_millis(100));
        assert_eq!(pace.wait(start + Duration::from_millis(30), false), Duration::from_millis(70));
        assert_eq!(pace.wait(start + Duration::from_secs(1), false), Duration::ZERO);
    }

    #[test]
    fn newcomers_come_first_but_not_for_ever() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait(start, true), Duration::ZERO, "the first waits for no one");
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
            // Others send the bill only after they were told.
            spending.add(now, COST, COST);
            spent += COST;
            now += interval;
        }
        assert!(spent > TIME / 5 && spent < TIME * 3 / 10, "{spent:?} of {TIME:?}");
    }

    #[test]
    fn what_a_rush_cost_is_forgotten() {
        let start = Instant::now();
        let mut spending = Spending::default();
        for _ in 0..100 {
            spending.add(start, Duration::from_millis(20), Duration::from_millis(50));
        }
        assert_eq!(spending.interval(start, SHORTEST), Duration::from_millis(400));
    }

    #[test]
    fn an_average_takes_late_bills_into_account() {
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
    fn a_bill_is_paid_once() {
        let bill = Bill::default();
        bill.clone().add(Duration::from_millis(1));
        bill.add(Duration::from_millis(2));
        assert_eq!(bill.take(), Duration::from_millis(3));
        assert_eq!(bill.take(), Duration::ZERO);
    }
}
