//! One viewer of a crowd: the links it watches, and the counts it got last.

use std::{
    io::{self, ErrorKind, Write},
    rc::Rc,
};

use mio::net::TcpStream;

use crate::wire;

/// The numbers of the watched pages. Viewers who watch the same links share them.
pub(crate) type Links = Rc<[u32]>;

/// What it has done so far.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Stage {
    Connecting,
    Shaking,
    Open,
    Gone,
}

/// One viewer. `stream` is `None` once it has left.
pub(crate) struct Viewer {
    pub(crate) stream: Option<TcpStream>,
    pub(crate) stage: Stage,
    pub(crate) page: u32,
    pub(crate) links: Links,
    /// The last counts, in the order of `links`.
    pub(crate) counts: Vec<u32>,
    /// The beginning of a frame that has not arrived completely.
    pub(crate) rest: Vec<u8>,
    pub(crate) messages: u32,
    pub(crate) reads: bool,
}

/// Whether a link's count is right. Pages without a goal have no viewers.
pub(crate) fn is_right(goal: &[u32], link: u32, count: u32) -> bool {
    count == goal.get(link as usize).copied().unwrap_or(0)
}

impl Viewer {
    /// Sends a frame.
    pub(crate) fn say(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), |stream| stream.write_all(&wire::masked(opcode, payload)))
    }

    /// The handshake was answered. Asks for the links.
    pub(crate) fn answered(&mut self, head: &[u8], prefix: &str) -> io::Result<()> {
        if !head.starts_with(b"HTTP/1.1 101") {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        self.stage = Stage::Open;
        if self.links.is_empty() {
            return Ok(());
        }
        let links: Vec<String> = self.links.iter().map(|link| format!("{prefix}{link}")).collect();
        let message = serde_json::json!({ "type": "subscribe", "links": links }).to_string();
        self.say(wire::TEXT, message.as_bytes())
    }

    /// Records a count. Returns whether it was right before and whether it is right now. Links that were not asked for do not
    /// count.
    pub(crate) fn told(&mut self, link: u32, count: u32, goal: &[u32]) -> (bool, bool) {
        let Some(idx) = self.links.iter().position(|one| *one == link) else { return (false, false) };
        let Some(entry) = self.counts.get_mut(idx) else { return (false, false) };
        let before = is_right(goal, link, *entry);
        *entry = count;
        (before, is_right(goal, link, count))
    }
}
