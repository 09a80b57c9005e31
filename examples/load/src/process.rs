//! A server under load. It is a separate process with a temporary folder. This also reads from the system what it takes.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::ValueEnum;
use tempfile::TempDir;

use crate::Failure;

/// Linux counts processor time in hundredths of a second on every machine.
const TICK: Duration = Duration::from_millis(10);
/// Bytes of a page of memory in /proc/net/sockstat.
const PAGE_BYTES: u64 = 4_096;

/// The server under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// The server of this repository.
    Ours,
    /// The smallest program for Bun with the same messages.
    Bun,
    /// The same for Node and the package ws.
    Ws,
    /// One loop around epoll that only counts.
    Bare,
    /// The same loop, which sends to everyone at a steady rate. No server can send for less.
    SendLoop,
}

impl Kind {
    /// The name in tables and JSON lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Ours => "connection-counter",
            Kind::Bun => "bun",
            Kind::Ws => "ws",
            Kind::Bare => "bare loop",
            Kind::SendLoop => "send loop",
        }
    }
}

/// Limits that must not apply here, because all viewers of a run come from one machine at once.
const FLAGS: [(&str, &str); 10] = [
    ("--listen", "127.0.0.1:0"),
    ("--log", "error"),
    ("--max-connections", "19000"),
    ("--max-connections-per-room", "19000"),
    ("--max-connections-per-address", "19000"),
    ("--handshake-burst", "1000000"),
    ("--handshakes-per-second", "1000000"),
    ("--request-burst", "1000000"),
    ("--message-burst", "1000"),
    ("--max-mailbox", "100000"),
];

/// A running server. It ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    _data: TempDir,
}

impl Process {
    /// Starts a server and waits until it listens. `rate` is only for the send loop, in rounds a second.
    pub(crate) fn start(kind: Kind, rate: f64) -> Result<Process, Failure> {
        let data = TempDir::new()?;
        let itself = std::env::current_exe()?;
        let mut command = Command::new(match kind {
            Kind::Ours => itself.with_file_name("connection-counter"),
            Kind::Bun => bun()?,
            Kind::Ws => "node".into(),
            Kind::Bare | Kind::SendLoop => itself,
        });
        match kind {
            Kind::Ours => {
                let flags = FLAGS.into_iter().flat_map(|(flag, value)| [flag, value]);
                command.args(flags).arg("--data").arg(data.path())
            }
            Kind::Bun => command.arg(peers().join("bun.mjs")),
            Kind::Ws => command.arg(peers().join("ws.mjs")),
            Kind::Bare => command.arg("bare"),
            Kind::SendLoop => command.args(["bare", "--rounds-per-second"]).arg(rate.to_string()),
        };
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{command:?} does not start: {error}; `just bench` builds all that is needed"))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://").and_then(|(_, address)| address.parse().ok());
        let Some(address) = address else {
            child.kill()?;
            child.wait()?;
            return Err(format!("{}: the server said {line:?} instead of where it listens", kind.name()).into());
        };
        Ok(Process { child, address, _data: data })
    }

    /// Its processor time so far, to a hundredth of a second.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may contain spaces. User and system time are the 12th and 13th field after it.
        let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/…/stat")?;
        let ticks: Vec<u32> =
            fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        Ok(TICK * ticks.iter().sum())
    }

    /// Bytes of its own memory.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon in /proc/…/status")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1_024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This program started the process, and its data is not needed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that the kernel uses for all TCP sockets of this machine.
pub(crate) fn kernel_memory() -> Result<u64, Failure> {
    let stat = fs::read_to_string("/proc/net/sockstat")?;
    let line = stat.lines().find(|line| line.starts_with("TCP:")).ok_or("no TCP in /proc/net/sockstat")?;
    let pages: u64 = line.rsplit_once("mem ").ok_or("no mem in /proc/net/sockstat")?.1.trim().parse()?;
    Ok(pages * PAGE_BYTES)
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// npm's package `bun` has a package with the program for each kind of machine. npm installs the right one.
fn bun() -> Result<PathBuf, Failure> {
    let packages = fs::read_dir(peers().join("node_modules/@oven")).map_err(|error| {
        format!("Bun is not installed: {error}; run `npm ci --ignore-scripts` in examples/load/peers")
    })?;
    let program = packages.flatten().map(|package| package.path().join("bin/bun")).find(|program| program.exists());
    program.ok_or_else(|| "the package bun has no program for this machine".into())
}
