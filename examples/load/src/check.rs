//! A short form of the programs, for every test run. It only compares ratios and counts, because times depend on the machine.
//! It fails if one has doubled.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    Failure, instructions,
    process::Kind,
    programs::{Plan, Program},
    suite::run_once,
};

/// A figure that exceeds the noted one by this factor is an error.
const TOO_MUCH: f64 = 2.0;
/// Runs per comparison, because a busy machine can spoil one run.
const TRIES: u32 = 3;

/// The figure of a comparison when it was last noted, with a debug build like that of the tests. If you make the server
/// cheaper, lower the number.
struct Noted {
    what: &'static str,
    plan: Plan,
    figure: &'static str,
    /// Our figure is divided by that of this server. Without one it is a count, and is compared as it is.
    beside: Option<Kind>,
    value: f64,
}

fn noted() -> [Noted; 4] {
    let plan = |program, viewers, pages, rate, seconds| Plan {
        program,
        viewers,
        pages,
        rate,
        time: Duration::from_secs(seconds),
    };
    let storm = plan(Program::Storm, 1_000, 100, 0.0, 0);
    let fan_out = plan(Program::FanOut, 500, 2, 10.0, 4);
    let idle = plan(Program::Idle, 2_000, 100, 0.0, 0);
    [
        Noted {
            what: "messages to each viewer of a storm",
            plan: storm,
            figure: "messagesEach",
            beside: None,
            value: 4.6,
        },
        Noted {
            what: "processor time of a storm, beside the bare loop",
            plan: storm,
            figure: "cpuMicrosEach",
            beside: Some(Kind::Bare),
            value: 5.3,
        },
        Noted {
            what: "processor time of a message to one of many, beside the send loop",
            plan: fan_out,
            figure: "cpuMicrosPerDelivery",
            beside: Some(Kind::SendLoop),
            value: 1.7,
        },
        Noted { what: "bytes of an idle viewer", plan: idle, figure: "bytesEach", beside: None, value: 1_340.0 },
    ]
}

/// Compares everything with the noted figures. The error names those that have doubled.
pub(crate) fn run() -> Result<(), Failure> {
    let mut doubled = Vec::new();
    for noted in noted() {
        let mut value = f64::INFINITY;
        for _ in 0..TRIES {
            value = value.min(noted.measure()?);
            if value < noted.value * TOO_MUCH {
                break;
            }
        }
        println!("{}: {value:.2}, noted {:.2}", noted.what, noted.value);
        if value >= noted.value * TOO_MUCH {
            doubled.push(noted.what);
        }
    }
    doubled.extend(instructions::doubled(TOO_MUCH)?);
    if doubled.is_empty() {
        return Ok(());
    }
    Err(format!("has doubled or more: {}; make it cheaper, or argue for a new number in check.rs", doubled.join("; "))
        .into())
}

impl Noted {
    fn measure(&self) -> Result<f64, Failure> {
        let ours = self.figure(&exact(&self.plan, Kind::Ours)?)?;
        let beside = match self.beside {
            Some(kind) => self.figure(&exact(&self.plan, kind)?)?,
            None => 1.0,
        };
        Ok(ours / beside)
    }

    fn figure(&self, figures: &Map<String, Value>) -> Result<f64, Failure> {
        let value = figures.get(self.figure).and_then(Value::as_f64);
        value.ok_or_else(|| format!("{}: no figure {}", self.what, self.figure).into())
    }
}

/// Runs a plan. Its counts must be exact on any machine.
fn exact(plan: &Plan, kind: Kind) -> Result<Map<String, Value>, Failure> {
    let figures = run_once(plan, kind)?;
    if figures.get("exact") == Some(&Value::Bool(true)) {
        return Ok(figures);
    }
    Err(format!("{} of {}: the counts did not end exact", plan.program.name(), kind.name()).into())
}
