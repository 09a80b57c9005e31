//! Viewers watch a page that others leave one by one, at a steady rate. Each leaving is a change that the watchers must get.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};

use super::{Plan, figures, open_in_turn, quantile, rounded, settle};
use crate::{
    Failure,
    crowd::{Crowd, Told},
    process::Process,
    viewer::Links,
};

/// The page of the watchers. They watch the page after it.
const WATCHERS: u32 = 0;
const WATCHED: u32 = 1;
const PAGES: u32 = 2;
/// How long the last change may take to reach everyone.
const LAST_WORD: Duration = Duration::from_secs(2);

pub(super) fn run(plan: &Plan, server: &Process, send_loop: bool) -> Result<Map<String, Value>, Failure> {
    let mut crowd = Crowd::new(server.address, "bench.test/p/")?;
    if send_loop {
        return measure_send_loop(plan, server, &mut crowd);
    }
    let changes = plan.rate * plan.time.as_secs_f64();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand")]
    let changes = changes as u32;
    let watched: Links = [WATCHED].into();
    open_in_turn(&mut crowd, (0..plan.viewers).map(|_| (WATCHERS, watched.clone())))?;
    open_in_turn(&mut crowd, (0..changes).map(|_| (WATCHED, Links::from([]))))?;
    let settled = settle(&mut crowd, PAGES)?;
    let mut leaving: VecDeque<usize> = (plan.viewers as usize..).take(changes as usize).collect();
    let (messages, cpu) = (crowd.messages(), server.cpu()?);
    let mut news = News::new(changes, plan.viewers);
    let began = Instant::now();
    for number in 1..=changes {
        let due = began + Duration::from_secs_f64(f64::from(number) / plan.rate);
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            crowd.pump(left, |told| news.hear(told))?;
        }
        if let Some(idx) = leaving.pop_front() {
            news.left.push(Instant::now());
            crowd.close(idx);
        }
    }
    let took = began.elapsed();
    crowd.pump_for(LAST_WORD, |told| news.hear(told))?;
    let exact = settle(&mut crowd, PAGES)?;
    let cpu = server.cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6;
    let deliveries = (crowd.messages() - messages) as f64;
    news.latencies.sort_unstable();
    Ok(figures([
        ("exact", (exact && settled && news.latencies.len() == changes as usize * plan.viewers as usize).into()),
        ("p50Millis", rounded(quantile(&news.latencies, 0.5))),
        ("p99Millis", rounded(quantile(&news.latencies, 0.99))),
        ("deliveriesPerSecond", rounded(deliveries / f64::from(plan.viewers) / took.as_secs_f64())),
        ("cpuMicrosPerDelivery", rounded(cpu / deliveries)),
        ("cpuMicrosPerChangeAndWatcher", rounded(cpu / f64::from(changes) / f64::from(plan.viewers))),
        ("lost", crowd.lost().into()),
    ]))
}

/// When each change happened, and how long it took to reach each watcher. If a change was skipped for a newer one, it arrived
/// with that one.
struct News {
    left: Vec<Instant>,
    before: u32,
    /// For each watcher, the changes that have reached it.
    known: Vec<u32>,
    /// In microseconds.
    latencies: Vec<u32>,
}

impl News {
    fn new(before: u32, watchers: u32) -> News {
        News { left: Vec::new(), before, known: vec![0; watchers as usize], latencies: Vec::new() }
    }

    fn hear(&mut self, told: &Told) {
        let Some(known) = self.known.get_mut(told.viewer) else { return };
        let happened = self.before.saturating_sub(told.count);
        for change in *known..happened {
            let Some(left) = self.left.get(change as usize) else { return };
            self.latencies.push(u32::try_from((told.at - *left).as_micros()).unwrap_or(u32::MAX));
        }
        *known = happened.max(*known);
    }
}

/// The send loop sends the time at which a round began, instead of a count.
fn measure_send_loop(plan: &Plan, server: &Process, crowd: &mut Crowd) -> Result<Map<String, Value>, Failure> {
    // The watchers ask for no links, because the loop sends no counts.
    open_in_turn(crowd, (0..plan.viewers).map(|_| (WATCHERS, Links::from([]))))?;
    crowd.pump_for(Duration::from_secs(1), |_| {})?;
    let (messages, cpu, began) = (crowd.messages(), server.cpu()?, Instant::now());
    let mut latencies = Vec::new();
    let mut rounds: Vec<(u32, u32)> = Vec::new();
    let epoch = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    crowd.pump_for(plan.time, |told| {
        let now = (epoch.1 + told.at.saturating_duration_since(epoch.0)).as_micros();
        // Only the lower 32 bits are sent. Differences are still right.
        #[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is meant")]
        let latency = (now as u32).wrapping_sub(told.count);
        latencies.push(latency);
        match rounds.last_mut() {
            Some((round, longest)) if *round == told.count => *longest = latency.max(*longest),
            _ => rounds.push((told.count, latency)),
        }
    })?;
    let took = began.elapsed().as_secs_f64();
    let cpu = server.cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6;
    let deliveries = (crowd.messages() - messages) as f64;
    let mut longest: Vec<u32> = rounds.into_iter().map(|(_, longest)| longest).collect();
    longest.sort_unstable();
    latencies.sort_unstable();
    // The loop has no counts that could be wrong. It is exact if everyone got every round.
    let even = (deliveries / f64::from(plan.viewers) / took / plan.rate - 1.0).abs() < 0.1;
    Ok(figures([
        ("exact", (even && crowd.lost() == 0).into()),
        ("p50Millis", rounded(quantile(&latencies, 0.5))),
        ("p99Millis", rounded(quantile(&latencies, 0.99))),
        ("roundMillis", rounded(quantile(&longest, 0.5))),
        ("deliveriesPerSecond", rounded(deliveries / f64::from(plan.viewers) / took)),
        ("cpuMicrosPerDelivery", rounded(cpu / deliveries)),
        ("lost", crowd.lost().into()),
    ]))
}
