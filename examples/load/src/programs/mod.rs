//! The programs that put load on a server. Each has a limit of viewers and of time, and checks that all counts end exact.

mod fan_out;
mod idle;
mod slow;
mod storm;

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::{
    Failure,
    crowd::Crowd,
    process::{Kind, Process},
    viewer::Links,
};

/// How long counts may take to become exact. After that the run fails.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long counts must stay exact for the run to count as exact.
const AFTERMATH: Duration = Duration::from_millis(500);
/// Connections that are made at the same time, if a program does not need more. It is below the backlog of every server here.
const AT_ONCE: usize = 64;

/// What viewers do to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Program {
    /// Viewers come one after another, stay, and leave. Measures bytes per viewer, connects a second, and what is held
    /// afterwards.
    Idle,
    /// Viewers watch a page that many leave one by one. Measures latency and processor time of the updates.
    FanOut,
    /// All viewers come at once to many pages that link to each other. Measures the time until every count is exact.
    Storm,
    /// Some viewers of a busy page never read. Measures what the server holds for them, and the delay for the others.
    Slow,
}

impl Program {
    /// The name in tables and JSON lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Program::Idle => "idle",
            Program::FanOut => "fan-out",
            Program::Storm => "storm",
            Program::Slow => "slow readers",
        }
    }
}

/// One program at one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The program.
    pub(crate) program: Program,
    /// How many viewers.
    pub(crate) viewers: u32,
    /// How many pages, if that matters.
    pub(crate) pages: u32,
    /// Changes a second, if that matters. For the send loop: rounds a second.
    pub(crate) rate: f64,
    /// How long the measured part lasts, where that matters.
    pub(crate) time: Duration,
}

impl Plan {
    /// How this plan differs from other plans of its program.
    pub(crate) fn size(&self) -> String {
        match self.program {
            Program::FanOut => format!("{} watchers, {} changes/s", self.viewers, self.rate),
            Program::Storm => format!("{} viewers, {} pages", self.viewers, self.pages),
            Program::Idle | Program::Slow => format!("{} viewers", self.viewers),
        }
    }

    /// Runs the program against a server of this kind, and returns the figures.
    pub(crate) fn run(&self, kind: Kind) -> Result<Map<String, Value>, Failure> {
        let server = Process::start(kind, self.rate)?;
        match self.program {
            Program::Idle => idle::run(self, &server),
            Program::FanOut => fan_out::run(self, &server, kind == Kind::SendLoop),
            Program::Storm => storm::run(self, &server),
            Program::Slow => slow::run(self, &server),
        }
    }
}

/// Opens viewers one after another, a few at a time.
fn open_in_turn(crowd: &mut Crowd, viewers: impl Iterator<Item = (u32, Links)>) -> Result<(), Failure> {
    for (page, links) in viewers {
        crowd.open(page, &links)?;
        while crowd.shaking() >= AT_ONCE {
            crowd.pump(Duration::from_millis(5), |_| {})?;
        }
    }
    if !crowd.pump_until(PATIENCE, |crowd| crowd.shaking() == 0)? {
        return Err(format!("{} viewers were not let in within {PATIENCE:?}", crowd.shaking()).into());
    }
    Ok(())
}

/// Waits until all counts are exact. Returns whether they stay exact.
fn settle(crowd: &mut Crowd, pages: u32) -> Result<bool, Failure> {
    crowd.aim_at_present(pages);
    crowd.pump_until(PATIENCE, |crowd| crowd.exact_since().is_some())?;
    crowd.pump_for(AFTERMATH, |_| {})?;
    Ok(crowd.exact_since().is_some() && crowd.lost() == 0)
}

/// A number for a JSON line, with three decimal places.
fn rounded(number: f64) -> Value {
    ((number * 1_000.0).round() / 1_000.0).into()
}

/// The figures of a run by name.
fn figures<const N: usize>(figures: [(&str, Value); N]) -> Map<String, Value> {
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value, in milliseconds, below which this part of all values is.
fn quantile(sorted: &[u32], part: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index into a list in memory")]
    let idx = (sorted.len() as f64 * part) as usize;
    sorted.get(idx.min(sorted.len().saturating_sub(1))).map_or(f64::NAN, |micros| f64::from(*micros) / 1_000.0)
}

/// The pages that viewers of a page watch: the next ones in a ring.
fn next_pages(page: u32, count: u32, pages: u32) -> Links {
    (1..=count).map(|step| (page + step) % pages).collect()
}
