//! Counts the instructions of code without sockets, clock or disk. They do not depend on the machine's load. To count
//! them, the program runs itself under callgrind.

use std::{
    fs,
    hint::black_box,
    process::{Command, Stdio},
};

use clap::ValueEnum;
use connection_counter_protocol::{Counts, PageId, PageMessage, PageRequest, ViewerMessage};
use tempfile::TempDir;

use crate::Failure;

/// How often a piece is run. To subtract the cost of starting, the program also runs it only once.
const TIMES: u32 = 100;
/// Links of a message, as on a page with a few menus.
const LINKS: u32 = 30;

/// A piece of code without sockets, clock or disk.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Piece {
    /// Spell an address as a page id.
    PageId,
    /// Write an update of 30 counts.
    Update,
    /// Read a subscription to 30 links.
    Subscribe,
    /// Write what a counter tells a page about 30 links, and read it as the page does.
    FanOut,
}

/// The noted instructions of each piece, with a debug build and Rust 1.95 on x86-64.
const NOTED: [(Piece, &str, f64); 4] = [
    (Piece::PageId, "instructions of a page id", 204_000.0),
    (Piece::Update, "instructions of writing an update of 30", 464_000.0),
    (Piece::Subscribe, "instructions of reading a subscription to 30", 6_170_000.0),
    (Piece::FanOut, "instructions of telling a page 30 counts", 6_460_000.0),
];

/// Runs a piece this many times.
pub(crate) fn work(piece: Piece, times: u32) -> Result<(), Failure> {
    let links: Vec<String> = (0..LINKS).map(|idx| format!("example.org/articles/{idx}?page=2&sort=new")).collect();
    let message = serde_json::json!({ "type": "subscribe", "links": links }).to_string();
    let counts = links.iter().zip(1..).map(|(link, count)| Ok((PageId::parse(link)?, count)));
    let connections = counts.collect::<Result<Counts, Failure>>()?;
    let update = PageMessage::Update { connections: connections.clone() };
    let told = PageRequest::Update { connections, sequence: Some(1) };
    for _ in 0..times {
        match piece {
            Piece::PageId => {
                let address = "example.org/Articles/2026/index.html?utm_source=x&b=2&a=%7E1#top";
                black_box(PageId::parse(black_box(address))?);
            }
            Piece::Update => {
                black_box(serde_json::to_string(black_box(&update))?);
            }
            Piece::Subscribe => {
                if let ViewerMessage::Subscribe { links } = serde_json::from_str(black_box(&message))? {
                    for link in links {
                        black_box(PageId::parse(&link)?);
                    }
                }
            }
            Piece::FanOut => {
                let body = serde_json::to_vec(black_box(&told))?;
                black_box(serde_json::from_slice::<PageRequest>(black_box(&body))?);
            }
        }
    }
    Ok(())
}

/// The pieces that take at least `too_much` times the noted instructions.
pub(crate) fn doubled(too_much: f64) -> Result<Vec<&'static str>, Failure> {
    let mut doubled = Vec::new();
    for (piece, what, noted) in NOTED {
        let each = (count(piece, TIMES + 1)? - count(piece, 1)?) / f64::from(TIMES);
        println!("{what}: {each:.0}, noted {noted:.0}");
        if each >= noted * too_much {
            doubled.push(what);
        }
    }
    Ok(doubled)
}

/// The instructions of this program when it runs a piece this many times.
fn count(piece: Piece, times: u32) -> Result<f64, Failure> {
    let folder = TempDir::new()?;
    let file = folder.path().join("callgrind.out");
    let name = piece.to_possible_value().ok_or("a piece without name")?;
    let ended = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(["work", name.get_name(), &times.to_string()])
        .stdout(Stdio::null())
        .status()
        .map_err(|error| {
            format!("valgrind does not start: {error}; install it (on Debian: apt-get install valgrind)")
        })?;
    if !ended.success() {
        return Err(format!("valgrind failed on {}: {ended}", name.get_name()).into());
    }
    let out = fs::read_to_string(file)?;
    let total = out.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("callgrind wrote no totals")?;
    Ok(total.trim().parse()?)
}
