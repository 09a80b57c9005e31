//! All viewers come at once to many pages that link to each other, as after a restart.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{AFTERMATH, PATIENCE, Plan, figures, next_pages, rounded};
use crate::{Failure, crowd::Crowd, process::Process};

/// Links that each viewer watches.
const LINKS: u32 = 30;
/// Viewers who start to connect before the next read.
const BATCH: u32 = 256;
/// Viewers who are on their way in at the same time: nearly as many as Linux lets wait for a listener. It turns all others away, and
/// they try again after one to seven seconds. That would be measured instead of the server.
const AT_ONCE: usize = 4_000;

pub(super) fn run(plan: &Plan, server: &Process) -> Result<Map<String, Value>, Failure> {
    let mut crowd = Crowd::new(server.address, "bench.test/p/")?;
    let goal = (0..plan.pages).map(|page| (plan.viewers - page).div_ceil(plan.pages)).collect();
    crowd.aim(goal);
    let links: Vec<_> = (0..plan.pages).map(|page| next_pages(page, LINKS, plan.pages)).collect();
    let cpu = server.cpu()?;
    let began = Instant::now();
    for (idx, links) in (0..plan.viewers).zip(links.iter().cycle()) {
        while crowd.shaking() >= AT_ONCE {
            crowd.pump(Duration::from_millis(1), |_| {})?;
        }
        crowd.open(idx % plan.pages, links)?;
        if idx % BATCH == 0 {
            crowd.pump(Duration::ZERO, |_| {})?;
        }
    }
    crowd.pump_until(PATIENCE, |crowd| crowd.exact_since().is_some())?;
    // A later message may make counts wrong again, so this waits a little.
    crowd.pump_for(AFTERMATH, |_| {})?;
    let cpu = server.cpu()?.saturating_sub(cpu);
    let time = crowd.exact_since().map_or(Value::Null, |at| rounded((at - began).as_secs_f64() * 1e3));
    Ok(figures([
        ("exact", (crowd.exact_since().is_some() && crowd.lost() == 0).into()),
        ("millisUntilExact", time),
        ("messagesEach", rounded(crowd.messages() as f64 / f64::from(plan.viewers))),
        ("mostMessages", crowd.most_messages().into()),
        ("cpuMicrosEach", rounded(cpu.as_secs_f64() * 1e6 / f64::from(plan.viewers))),
        ("lost", crowd.lost().into()),
    ]))
}
