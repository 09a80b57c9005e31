//! One viewer of a crowd: what it watches, and what it was last told.

use std::{
    io::{self, ErrorKind, Write},
    rc::Rc,
};

use mio::net::TcpStream;

use crate::wire;

/// What viewers watch: numbers of pages, shared by all who watch the same.
pub(crate) type Links = Rc<[u32]>;

/// How far it has come.
#[derive(PartialEq, Eq, Clone, Copy)]
pub(crate) enum Stage {
    Connecting,
    Shaking,
    Open,
    Gone,
}

/// One viewer. `stream` is none once it has left.
pub(crate) struct Viewer {
    pub(crate) stream: Option<TcpStream>,
    pub(crate) stage: Stage,
    pub(crate) page: u32,
    pub(crate) links: Links,
    /// Last told counts, in the order of `links`.
    pub(crate) counts: Vec<u32>,
    /// The beginning of a frame whose end has not come.
    pub(crate) rest: Vec<u8>,
    pub(crate) messages: u32,
    pub(crate) reads: bool,
}

/// Whether a link's count is what it should be; pages without a goal have no viewers.
pub(crate) fn is_right(goal: &[u32], link: u32, count: u32) -> bool {
    count == goal.get(link as usize).copied().unwrap_or(0)
}

impl Viewer {
    /// Sends a frame.
    pub(crate) fn say(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), |stream| stream.write_all(&wire::masked(opcode, payload)))
    }

    /// The handshake was answered: asks for the links.
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

    /// Notes a count, and says whether this entry was right before and whether it is now. Links not asked for do not count.
    pub(crate) fn told(&mut self, link: u32, count: u32, goal: &[u32]) -> (bool, bool) {
        let Some(idx) = self.links.iter().position(|one| *one == link) else { return (false, false) };
        let Some(entry) = self.counts.get_mut(idx) else { return (false, false) };
        let before = is_right(goal, link, *entry);
        *entry = count;
        (before, is_right(goal, link, count))
    }
}
