//! Puts load on a server and prints the figures, one JSON line for each run: `connection-counter-load run storm --viewers
//! 5000`.
//!
//! It puts load only on servers of this machine, with at most 18,000 viewers, for a bounded time.

mod bare;
mod check;
mod crowd;
mod instructions;
mod plot;
mod process;
mod programs;
mod suite;
mod viewer;
mod wire;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};

use instructions::Piece;
use process::Kind;
use programs::{Plan, Program};

/// Errors are printed for a person.
type Failure = Box<dyn std::error::Error>;

/// The most viewers that 20,000 open files allow.
const MOST_VIEWERS: i64 = 18_000;
/// Open files that are needed: one for each viewer and a few more.
const OPEN_FILES: u64 = 20_000;

/// Puts load on a server and prints the figures.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one program against one server.
    Run(Run),
    /// Run all programs against all servers, in turns, and print a table of the medians. Takes a quarter of an hour.
    All {
        /// How often to run each.
        #[arg(long, default_value_t = 3)]
        times: u32,
        /// Draw the storms into this SVG file
        #[arg(long)]
        plot: Option<PathBuf>,
    },
    /// Run a short form of everything, and fail if a ratio or a count has doubled.
    Check,
    /// Run a piece of code without sockets many times, to count its instructions.
    Work {
        /// The piece.
        piece: Piece,
        /// How often to run it.
        times: u32,
    },
    /// Run the bare loop that servers are compared with.
    Bare {
        /// Send the time to everyone this often, and count nothing.
        #[arg(long)]
        rounds_per_second: Option<f64>,
    },
}

#[derive(Args)]
struct Run {
    /// What the viewers do.
    program: Program,
    /// Which server they use.
    #[arg(long, default_value = "ours")]
    server: Kind,
    /// Viewers in all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=MOST_VIEWERS))]
    viewers: u32,
    /// Pages they are on.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=MOST_VIEWERS))]
    pages: u32,
    /// Changes a second.
    #[arg(long, default_value_t = 40.0)]
    rate: f64,
    /// Seconds that the measured part lasts.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(0..=60))]
    seconds: u64,
    /// How often to run it.
    #[arg(long, default_value_t = 1)]
    times: u32,
}

fn main() -> ExitCode {
    let done = rlimit::increase_nofile_limit(OPEN_FILES).map_err(Failure::from);
    let done = done.and_then(|_| match Arguments::parse().command {
        Command::Run(arguments) => run(&arguments),
        Command::All { times, plot } => suite::run(times, plot.as_deref()),
        Command::Check => check::run(),
        Command::Work { piece, times } => instructions::work(piece, times),
        Command::Bare { rounds_per_second } => bare::serve(rounds_per_second),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("connection-counter-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Run) -> Result<(), Failure> {
    let plan = Plan {
        program: arguments.program,
        viewers: arguments.viewers,
        pages: arguments.pages,
        rate: arguments.rate,
        time: Duration::from_secs(arguments.seconds),
    };
    for _ in 0..arguments.times {
        suite::run_once(&plan, arguments.server)?;
    }
    Ok(())
}
