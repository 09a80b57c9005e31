//! All programs at all sizes against all servers. The runs take turns, so that changes of the machine affect all alike.

use std::{fs, path::Path, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    Failure, plot,
    process::Kind,
    programs::{Plan, Program},
};

/// One program at one size, and the servers that it runs against.
struct Entry {
    plan: Plan,
    kinds: &'static [Kind],
}

/// The median of each figure, over the runs of one plan against one server.
pub(crate) struct Outcome {
    /// The plan.
    pub(crate) plan: Plan,
    /// The server.
    pub(crate) kind: Kind,
    /// The figures.
    pub(crate) figures: Map<String, Value>,
}

const EVERYONE: &[Kind] = &[Kind::Ours, Kind::Bun, Kind::Bare];

/// All runs in their order. The numbers are those of the README.
fn entries() -> Vec<Entry> {
    let plan = |program, viewers, pages, rate, seconds| Plan {
        program,
        viewers,
        pages,
        rate,
        time: Duration::from_secs(seconds),
    };
    let entry = |plan, kinds| Entry { plan, kinds };
    vec![
        entry(plan(Program::Storm, 1_000, 100, 0.0, 0), &[Kind::Ours, Kind::Bun, Kind::Ws, Kind::Bare]),
        entry(plan(Program::Storm, 5_000, 500, 0.0, 0), EVERYONE),
        entry(plan(Program::Storm, 18_000, 2_000, 0.0, 0), EVERYONE),
        entry(plan(Program::FanOut, 1_000, 2, 40.0, 6), &[Kind::Ours, Kind::Bun, Kind::Ws, Kind::Bare, Kind::SendLoop]),
        entry(plan(Program::FanOut, 10_000, 2, 4.0, 6), &[Kind::Ours, Kind::Bun, Kind::Bare, Kind::SendLoop]),
        entry(plan(Program::FanOut, 1_000, 2, 200.0, 6), EVERYONE),
        // Each connection gets a ping every 25 s.
        entry(plan(Program::Idle, 18_000, 1_000, 0.0, 25), &[Kind::Ours]),
        entry(plan(Program::Idle, 18_000, 1_000, 0.0, 0), &[Kind::Bun, Kind::Bare]),
        entry(plan(Program::Slow, 500, 61, 240.0, 40), &[Kind::Ours]),
    ]
}

/// Runs everything this many times, prints a JSON line for each run and a table, and draws the plot.
pub(crate) fn run(times: u32, plot_to: Option<&Path>) -> Result<(), Failure> {
    let mut outcomes = Vec::new();
    for Entry { plan, kinds } in entries() {
        let mut runs: Vec<Vec<Map<String, Value>>> = vec![Vec::new(); kinds.len()];
        for _ in 0..times {
            for (kind, runs) in kinds.iter().zip(&mut runs) {
                runs.push(run_once(&plan, *kind)?);
            }
        }
        let figures = runs.iter().map(|runs| median_of_all(runs));
        outcomes.extend(kinds.iter().zip(figures).map(|(kind, figures)| Outcome { plan, kind: *kind, figures }));
    }
    for program in [Program::Storm, Program::FanOut, Program::Idle, Program::Slow] {
        print_table(program, &outcomes);
    }
    if let Some(path) = plot_to {
        fs::write(path, plot::draw(&outcomes))?;
    }
    match outcomes.iter().filter(|outcome| !outcome.is_exact()).count() {
        0 => Ok(()),
        wrong => Err(format!("{wrong} of {} did not always end with exact counts", outcomes.len()).into()),
    }
}

/// Runs a plan once, and prints its JSON line.
pub(crate) fn run_once(plan: &Plan, kind: Kind) -> Result<Map<String, Value>, Failure> {
    let figures = plan.run(kind)?;
    let mut line = figures.clone();
    line.insert("program".into(), plan.program.name().into());
    line.insert("server".into(), kind.name().into());
    line.insert("viewers".into(), plan.viewers.into());
    line.insert("pages".into(), plan.pages.into());
    line.insert("rate".into(), plan.rate.into());
    println!("{}", json!(line));
    Ok(figures)
}

impl Outcome {
    fn is_exact(&self) -> bool {
        self.figures.get("exact") == Some(&Value::Bool(true))
    }
}

/// The run is exact if all were. Every other figure is the median.
fn median_of_all(runs: &[Map<String, Value>]) -> Map<String, Value> {
    let names = runs.first().into_iter().flat_map(Map::keys);
    let median = names.map(|name| {
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(name)?.as_f64()).collect();
        values.sort_by(f64::total_cmp);
        let value = match values.get(values.len() / 2) {
            Some(median) => (*median).into(),
            None if name == "exact" => runs.iter().all(|run| run.get(name) == Some(&Value::Bool(true))).into(),
            None => Value::Null,
        };
        (name.clone(), value)
    });
    median.collect()
}

/// Prints the outcomes of one program, with a line for each size and server.
fn print_table(program: Program, outcomes: &[Outcome]) {
    let rows: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.plan.program == program).collect();
    let mut names: Vec<&String> = rows.iter().flat_map(|row| row.figures.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let head: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    println!("\n| {} | server | {} |", program.name(), head.join(" | "));
    println!("|---|---{}|", "|---".repeat(names.len()));
    for row in rows {
        let cells: Vec<String> = names.iter().map(|name| cell(row.figures.get(*name))).collect();
        println!("| {} | {} | {} |", row.plan.size(), row.kind.name(), cells.join(" | "));
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::Bool(true)) => "yes".into(),
        Some(Value::Bool(false)) => "NO".into(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_is_not_exact_if_one_run_was_not() {
        let run = |exact: bool, cpu: f64| [("exact".to_owned(), json!(exact)), ("cpu".to_owned(), json!(cpu))];
        let runs = [run(true, 3.0), run(false, 1.0), run(true, 2.0)].map(Map::from_iter);
        let median = median_of_all(&runs);
        assert_eq!((median.get("exact"), median.get("cpu")), (Some(&json!(false)), Some(&json!(2.0))));
        assert_eq!(median_of_all(&runs[..1]).get("exact"), Some(&json!(true)));
    }
}
