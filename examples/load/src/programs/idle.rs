//! Viewers come one after another, stay, and leave.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::{Plan, figures, next_pages, open_in_turn, rounded, settle};
use crate::{Failure, crowd::Crowd, process::Process};

/// Links that each viewer watches.
const LINKS: u32 = 3;
/// Time for a server to finish its work after the last change.
const BREATH: Duration = Duration::from_secs(2);
/// A server that still holds memory after this time keeps it.
const AFTER: Duration = Duration::from_secs(15);

pub(super) fn run(plan: &Plan, server: &Process) -> Result<Map<String, Value>, Failure> {
    let mut crowd = Crowd::new(server.address, "bench.test/p/")?;
    let start = server.memory()?;
    let began = Instant::now();
    let viewers = (0..plan.viewers).map(|idx| {
        let page = idx % plan.pages;
        (page, next_pages(page, LINKS, plan.pages))
    });
    open_in_turn(&mut crowd, viewers)?;
    let connects = f64::from(plan.viewers) / began.elapsed().as_secs_f64();
    let exact = settle(&mut crowd, plan.pages)?;
    crowd.pump_for(BREATH, |_| {})?;
    let each = (server.memory()?.saturating_sub(start)) as f64 / f64::from(plan.viewers);
    let idle_cpu = cpu_while_idle(plan, server, &mut crowd)?;
    let lost = crowd.lost();
    crowd.close_all();
    let left = Instant::now();
    crowd.pump_for(AFTER.saturating_sub(left.elapsed()), |_| {})?;
    let kept = server.memory()? as f64 - start as f64;
    Ok(figures([
        ("exact", (exact && lost == 0).into()),
        ("bytesEach", each.round().into()),
        ("connectsPerSecond", connects.round().into()),
        ("idleMicrosPerConnectionSecond", idle_cpu),
        ("keptMegabytes", rounded(kept / 1e6)),
        ("lost", lost.into()),
    ]))
}

/// Microseconds of processor time for each connection and second, if nothing happens except pings.
fn cpu_while_idle(plan: &Plan, server: &Process, crowd: &mut Crowd) -> Result<Value, Failure> {
    if plan.time.is_zero() {
        return Ok(Value::Null);
    }
    let before = server.cpu()?;
    crowd.pump_for(plan.time, |_| {})?;
    let taken = server.cpu()?.saturating_sub(before).as_secs_f64() * 1e6;
    Ok(rounded(taken / f64::from(plan.viewers) / plan.time.as_secs_f64()))
}
