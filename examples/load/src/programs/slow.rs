//! Some viewers of a busy page never read.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{Plan, figures, open_in_turn, quantile, rounded, settle};
use crate::{
    Failure,
    crowd::{Crowd, Told},
    process::{Process, kernel_memory},
    viewer::Links,
};

/// Viewers of the busy page who read.
const READERS: u32 = 100;
/// The page that all of them view. The pages that they watch come after it.
const BUSY: u32 = 0;
const LINKS: u32 = 60;
/// The most viewers of a watched page. They come one by one, then leave one by one.
const HIGH_TIDE: usize = 20;
/// A long address, as on the web, so that updates fill all buffers.
const LONG: &str = "bench.test/a-long-address/that-makes-for-large-updates/as-many-pages-on-the-web-have-them/because-they-\
                    spell-out-a-whole-title-with-a-date-and-a-category/2026/11/28/";
/// Time before the slow viewers come, to measure the delay without them.
const CALM: Duration = Duration::from_secs(5);
/// How often memory is read.
const LOOK: Duration = Duration::from_millis(250);
/// The slow viewers count as gone if the kernel holds at most this part of its maximum more than before.
const GONE: f64 = 0.1;

pub(super) fn run(plan: &Plan, server: &Process) -> Result<Map<String, Value>, Failure> {
    let mut crowd = Crowd::new(server.address, LONG)?;
    let links: Links = (1..=LINKS).collect();
    open_in_turn(&mut crowd, (0..READERS).map(|_| (BUSY, links.clone())))?;
    let mut tide = Tide::new(plan.rate);
    let (mut calm, mut slow) = (Latencies::default(), Latencies::default());
    tide.run(&mut crowd, CALM, &mut calm)?;
    let (ours, kernel) = (server.memory()?, kernel_memory()?);
    for _ in 0..plan.viewers {
        crowd.open_slow(BUSY, &links)?;
    }
    let came = Instant::now();
    let (mut most_ours, mut most_kernel, mut gone) = (0, 0, None);
    while came.elapsed() < plan.time {
        tide.run(&mut crowd, LOOK, &mut slow)?;
        most_ours = most_ours.max(server.memory()?.saturating_sub(ours));
        let held = kernel_memory()?.saturating_sub(kernel);
        most_kernel = most_kernel.max(held);
        if (held as f64) < most_kernel as f64 * GONE {
            gone = gone.or(Some(came.elapsed()));
        } else {
            gone = None;
        }
    }
    let cut = crowd.lost();
    let exact = settle_after_cuts(&mut crowd)?;
    let each = |bytes: u64| rounded(bytes as f64 / f64::from(plan.viewers) / 1e3);
    Ok(figures([
        ("exact", exact.into()),
        ("kilobytesEach", each(most_ours)),
        ("kernelKilobytesEach", each(most_kernel)),
        ("secondsUntilGone", gone.map_or(Value::Null, |time| rounded(time.as_secs_f64()))),
        ("cut", cut.into()),
        ("othersP99Millis", rounded(slow.p99())),
        ("othersP99MillisBefore", rounded(calm.p99())),
    ]))
}

/// The slow viewers must be lost, and no others.
fn settle_after_cuts(crowd: &mut Crowd) -> Result<bool, Failure> {
    let cut = crowd.lost();
    crowd.forgive();
    let settled = settle(crowd, LINKS + 1)?;
    Ok(settled && cut > 0)
}

#[derive(Default)]
struct Latencies(Vec<u32>);

impl Latencies {
    fn p99(&mut self) -> f64 {
        self.0.sort_unstable();
        quantile(&self.0, 0.99)
    }
}

/// Viewers of the watched pages, who come and leave page by page at a steady rate.
struct Tide {
    interval: Duration,
    due: Instant,
    changes: u32,
    pages: Vec<Watched>,
}

/// A watched page.
#[derive(Default)]
struct Watched {
    viewers: Vec<usize>,
    /// Its counts with their times, the newest at the end.
    history: Vec<(u32, Instant)>,
    falling: bool,
}

impl Tide {
    fn new(rate: f64) -> Tide {
        let pages = (0..LINKS).map(|_| Watched::default()).collect();
        Tide { interval: Duration::from_secs_f64(1.0 / rate), due: Instant::now(), changes: 0, pages }
    }

    fn run(&mut self, crowd: &mut Crowd, time: Duration, latencies: &mut Latencies) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            while self.due <= Instant::now() {
                self.change(crowd)?;
                self.due += self.interval;
            }
            let left = self.due.saturating_duration_since(Instant::now());
            crowd.pump(left, |told| self.hear(told, latencies))?;
        }
        Ok(())
    }

    fn change(&mut self, crowd: &mut Crowd) -> Result<(), Failure> {
        let link = self.changes % LINKS + 1;
        self.changes += 1;
        let Some(Watched { viewers, history, falling }) = self.pages.get_mut(link as usize - 1) else { return Ok(()) };
        if !*falling {
            viewers.push(crowd.open(link, &Links::from([]))?);
        } else if let Some(idx) = viewers.pop() {
            crowd.close(idx);
        }
        match viewers.len() {
            0 => *falling = false,
            HIGH_TIDE => *falling = true,
            _ => {}
        }
        history.push((u32::try_from(viewers.len())?, Instant::now()));
        Ok(())
    }

    /// A count belongs to the newest change that led to it.
    fn hear(&self, told: &Told, latencies: &mut Latencies) {
        if told.viewer >= READERS as usize || told.link == 0 {
            return;
        }
        let Some(watched) = self.pages.get(told.link as usize - 1) else { return };
        if let Some((_, at)) = watched.history.iter().rev().find(|(count, _)| *count == told.count) {
            latencies.0.push(u32::try_from((told.at - *at).as_micros()).unwrap_or(u32::MAX));
        }
    }
}
