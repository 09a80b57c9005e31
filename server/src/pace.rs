//! How often messages are sent: the first change after a quiet time at once, then as often as their cost allows.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
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
/// Each addition to an average multiplies the weight of the older ones by this factor.
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spending {
    /// When everything spent so far is within that part. `None` before anything was spent.
    level_at: Option<Instant>,
}

impl Spending {
    /// Adds a cost, where one round to everyone costs about `round`. If less was spent before, that pays for up to `saved` of it.
    /// Whatever a rush cost, at most [`UNPAID_ROUNDS`] rounds remain to be paid for.
    pub(crate) fn add(&mut self, now: Instant, cost: Duration, round: Duration, saved: Duration) {
        let saved_since = now.checked_sub((saved * PART_OF_CORE).min(LONGEST_INTERVAL)).unwrap_or(now);
        let level_at = self.level_at.map_or(now, |at| at.max(saved_since)) + cost * PART_OF_CORE;
        self.level_at = Some(level_at.min(now + (round * PART_OF_CORE * UNPAID_ROUNDS).min(LONGEST_INTERVAL)));
    }

    /// How long after this message the next one may follow.
    pub(crate) fn interval(&self, now: Instant, shortest: Duration) -> Duration {
        self.level_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)).max(shortest)
    }
}

/// What a room spends by telling other rooms something, and what those spend because of it.
///
/// What the others spend is known only after they have done it. So a message counts at once with what it will probably cost. If its
/// cost counted later, the room would send the next one before the others may use it, and the news would wait there again.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// What was spent, at average costs.
    spending: Spending,
    /// What it costs to send one message.
    sending: Average,
    /// What another room spends on one message.
    using: Average,
    /// What the others have spent since it was last looked at.
    bill: Bill,
}

impl Budget {
    /// The bill for the messages. The others add to it.
    pub(crate) fn bill(&self) -> &Bill {
        &self.bill
    }

    /// How long after this many messages, if they are sent now, the next ones may follow. There are `everyone` rooms to tell.
    pub(crate) fn interval_after(
        &mut self,
        now: Instant,
        messages: usize,
        everyone: usize,
        shortest: Duration,
    ) -> Duration {
        let (cost, rounds) = self.bill.take();
        self.using.add(cost, rounds);
        self.after(now, messages, everyone).interval(now, shortest)
    }

    /// This many messages were sent. The sending alone cost `cost`.
    pub(crate) fn spent(&mut self, now: Instant, cost: Duration, messages: u32, everyone: usize) {
        self.sending.add(cost, messages);
        self.spending = self.after(now, messages as usize, everyone);
    }

    fn after(&self, now: Instant, messages: usize, everyone: usize) -> Spending {
        let cost_of = |messages| self.sending.cost_of(messages) + self.using.cost_of(messages);
        let mut spending = self.spending;
        spending.add(now, cost_of(messages), cost_of(everyone), Duration::ZERO);
        spending
    }
}

/// The recent average cost of something.
#[derive(Debug, Default)]
struct Average {
    /// The cost, in seconds.
    cost: f64,
    /// How often it happened. What is longer ago counts less.
    times: f64,
}

impl Average {
    /// It happened this many times, which cost this in all. What cost something without happening is ignored: it would make what
    /// happens next look expensive.
    fn add(&mut self, cost: Duration, times: u32) {
        if times > 0 {
            self.cost = self.cost * OLDER_COUNT_FOR + cost.as_secs_f64();
            self.times = self.times * OLDER_COUNT_FOR + f64::from(times);
        }
    }

    /// The cost of this many times. Zero before the first.
    fn cost_of(&self, times: usize) -> Duration {
        if self.times == 0.0 {
            return Duration::ZERO;
        }
        let times = f64::from(u32::try_from(times).unwrap_or(u32::MAX));
        Duration::try_from_secs_f64(self.cost / self.times * times)
            .map_or(LONGEST_INTERVAL, |cost| cost.min(LONGEST_INTERVAL))
    }
}

/// What other rooms spend because of a room's messages. They add to it, and the room takes it into account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bill(Arc<Costs>);

#[derive(Debug, Default)]
struct Costs {
    nanos: AtomicU64,
    rounds: AtomicU32,
}

impl Bill {
    /// Adds the cost of one round: what the messages since the last round cost, and telling them to everyone.
    pub(crate) fn add(&self, cost: Duration) {
        self.0.nanos.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes everything that was added since the last call: the cost, and the number of rounds.
    fn take(&self) -> (Duration, u32) {
        let nanos = self.0.nanos.swap(0, Ordering::Relaxed);
        (Duration::from_nanos(nanos), self.0.rounds.swap(0, Ordering::Relaxed))
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
            spending.add(start, Duration::from_millis(cost), Duration::from_millis(cost), Duration::ZERO);
            spending.interval(start, shortest)
        };
        assert_eq!(after(0, SHORTEST), SHORTEST);
        assert_eq!(after(1, SHORTEST), SHORTEST);
        assert_eq!(after(10, SHORTEST), Duration::from_millis(40));
        assert_eq!(after(10_000, SHORTEST), LONGEST_INTERVAL);
        assert_eq!(after(1, Duration::from_secs(9)), Duration::from_secs(9));
    }

    #[test]
    fn a_quiet_time_pays_for_one_round() {
        const COST: Duration = Duration::from_millis(10);
        let (start, mut spending) = (Instant::now(), Spending::default());
        spending.add(start, COST, COST, COST);
        let mut interval_at = |millis| {
            let now = start + Duration::from_millis(millis);
            spending.add(now, COST, COST, COST);
            spending.interval(now, SHORTEST).as_millis()
        };
        assert_eq!([1_000, 1_016, 1_040, 1_080].map(&mut interval_at), [16, 24, 40, 40]);
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
            spending.add(now, COST, COST, Duration::ZERO);
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
            spending.add(start, Duration::from_millis(20), Duration::from_millis(50), Duration::ZERO);
        }
        assert_eq!(spending.interval(start, SHORTEST), Duration::from_millis(400));
    }

    /// A page that is told must not wait for its own part of a core: then news would wait twice.
    #[test]
    fn news_is_sent_when_the_others_may_use_it() {
        const COST: Duration = Duration::from_millis(10);
        const TIME: Duration = Duration::from_secs(60);
        let (start, mut budget, mut page) = (Instant::now(), Budget::default(), Spending::default());
        let (mut now, mut rounds, mut waited) = (start, 0, Duration::ZERO);
        while now < start + TIME {
            let interval = budget.interval_after(now, 1, 1, SHORTEST);
            budget.spent(now, COST / 100, 1, 1);
            // Rounds cost a little more or less each time. The page waits if it must, then tells its viewers, and is billed for that.
            let cost = COST * (80 + rounds * 7 % 41) / 100;
            let told_at = now + page.interval(now, Duration::ZERO);
            waited += told_at - now;
            page.add(told_at, cost, cost, cost);
            budget.bill().add(cost);
            rounds += 1;
            now += interval;
        }
        assert!((1_350..=1_550).contains(&rounds), "{rounds} rounds of 40 ms in {TIME:?}");
        assert!(waited < rounds * COST / 4, "pages waited for {:?} on average", waited / rounds);
    }

    /// After a rush a room may get the costs of hundreds of rounds at once.
    #[test]
    fn late_costs_do_not_make_messages_look_expensive() {
        let (start, mut budget) = (Instant::now(), Budget::default());
        budget.spent(start, Duration::from_millis(5), 500, 500);
        for _ in 0..100 {
            budget.spent(start, Duration::from_micros(10), 1, 500);
        }
        for _ in 0..500 {
            budget.bill().add(Duration::from_micros(100));
        }
        let later = start + Duration::from_secs(10);
        let millis = budget.interval_after(later, 100, 500, SHORTEST).as_millis();
        assert!((40..50).contains(&millis), "100 messages of 110 us each take {millis} ms");
    }

    #[test]
    fn an_average_follows_the_cost() {
        let mut average = Average::default();
        assert_eq!(average.cost_of(1), Duration::ZERO);
        average.add(Duration::from_secs(1), 1);
        for _ in 0..100 {
            average.add(Duration::from_millis(3), 100);
            average.add(Duration::from_millis(3), 0);
        }
        let millis = average.cost_of(1_000).as_secs_f64() * 1e3;
        assert!((29.0..31.0).contains(&millis), "{millis} ms");
    }

    #[test]
    fn a_bill_is_empty_after_it_was_taken() {
        let bill = Bill::default();
        bill.clone().add(Duration::from_millis(1));
        bill.add(Duration::from_millis(2));
        assert_eq!(bill.take(), (Duration::from_millis(3), 2));
        assert_eq!(bill.take(), (Duration::ZERO, 0));
    }
}
