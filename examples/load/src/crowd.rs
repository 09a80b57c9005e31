//! Thousands of viewers in one thread: the links they watch, the counts they got last, and whether these are right.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use serde::Deserialize;
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    Failure,
    viewer::{Links, Stage, Viewer, is_right},
    wire,
};

/// Means that no count has arrived yet. No page has so many viewers.
const UNTOLD: u32 = u32::MAX;
/// Linux's EINPROGRESS: a non-blocking connection is being made.
const IN_PROGRESS: i32 = 115;
/// Events taken from the system at once.
const EVENTS: usize = 1_024;
/// Bytes read at once, more than most updates have.
const READ_BYTES: usize = 64 * 1024;
/// Viewers from one source address. It is well below the 28,000 ports of an address, so that runs can follow each other.
const VIEWERS_PER_ADDRESS: u32 = 2_000;
/// Source addresses in use, all of loopback, from 127.0.1.0 on.
const ADDRESSES: u32 = 4_000;
/// Addresses of one crowd, enough for 18,000 viewers and those who come later.
const ADDRESSES_PER_CROWD: u32 = 12;
/// Lost viewers whose reason is printed.
const REASONS_PRINTED: usize = 5;
/// Bytes of the receive buffer of viewers who never read. It is small, so that the server must hold what they do not read.
const SLOW_RECEIVE_BYTES: usize = 4 * 1024;

/// The number of the first address of a crowd. Linux remembers closed connections for a minute, and ignores for some seconds who
/// comes from the same port to a server on the same port. So each crowd has addresses of its own.
fn fresh_address() -> u32 {
    static CROWDS: AtomicU32 = AtomicU32::new(0);
    std::process::id().wrapping_add(CROWDS.fetch_add(1, Ordering::Relaxed) * ADDRESSES_PER_CROWD) % ADDRESSES
}

/// An update that arrived.
pub(crate) struct Told {
    /// The viewer that got it.
    pub(crate) viewer: usize,
    /// The page that it is about.
    pub(crate) link: u32,
    /// How many viewers that page has.
    pub(crate) count: u32,
    /// When it arrived.
    pub(crate) at: Instant,
}

/// All viewers of a run, and their server.
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    server: SocketAddr,
    /// The text before a page's number in its id.
    prefix: String,
    viewers: Vec<Viewer>,
    /// The count that each page should have in the end.
    goal: Vec<u32>,
    /// How many counts of all viewers are wrong.
    wrong: usize,
    /// When `wrong` last became zero.
    exact_since: Option<Instant>,
    shaking: usize,
    messages: u64,
    lost: usize,
    opened: u32,
}

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow, default)]
    connections: BTreeMap<&'a str, u32>,
}

impl Crowd {
    /// A crowd without viewers, for a server on loopback. A page's id is `prefix` and a number.
    pub(crate) fn new(server: SocketAddr, prefix: &str) -> Result<Crowd, Failure> {
        if !server.ip().is_loopback() {
            return Err(format!("{server}: only servers on this machine are put under load").into());
        }
        Ok(Crowd {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            buffer: vec![0; READ_BYTES],
            server,
            prefix: prefix.to_owned(),
            viewers: Vec::new(),
            goal: Vec::new(),
            wrong: 0,
            exact_since: None,
            shaking: 0,
            messages: 0,
            lost: 0,
            opened: fresh_address() * VIEWERS_PER_ADDRESS,
        })
    }

    /// Starts to connect one more viewer. `pump` does the rest.
    pub(crate) fn open(&mut self, page: u32, links: &Links) -> Result<usize, Failure> {
        self.join(page, links, true)
    }

    /// Like `open`, for a viewer who asks for counts and then never reads.
    pub(crate) fn open_slow(&mut self, page: u32, links: &Links) -> Result<usize, Failure> {
        self.join(page, links, false)
    }

    fn join(&mut self, page: u32, links: &Links, reads: bool) -> Result<usize, Failure> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if !reads {
            socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES)?;
        }
        let address = Ipv4Addr::from(0x7f00_0100 + self.opened / VIEWERS_PER_ADDRESS % ADDRESSES);
        self.opened += 1;
        socket.bind(&SocketAddr::from((address, 0)).into())?;
        match socket.connect(&self.server.into()) {
            Ok(()) => {}
            // EINPROGRESS means that the connection is being made.
            Err(error) if error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(IN_PROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut stream = TcpStream::from_std(socket.into());
        let idx = self.viewers.len();
        self.poll.registry().register(&mut stream, Token(idx), Interest::READABLE | Interest::WRITABLE)?;
        let counts = vec![UNTOLD; if reads { links.len() } else { 0 }];
        self.wrong += counts.len();
        self.exact_since = None;
        self.shaking += 1;
        self.viewers.push(Viewer {
            stream: Some(stream),
            stage: Stage::Connecting,
            page,
            links: Rc::clone(links),
            counts,
            rest: Vec::new(),
            messages: 0,
            reads,
        });
        Ok(idx)
    }

    /// Closes one viewer as a browser does, with a close frame.
    pub(crate) fn close(&mut self, idx: usize) {
        let Some(viewer) = self.viewers.get_mut(idx) else { return };
        if let Some(mut stream) = viewer.stream.take() {
            // If the connection is gone already, it needs no close frame.
            let _ = stream.write_all(&wire::masked(wire::CLOSE, &1001_u16.to_be_bytes()));
            if viewer.stage != Stage::Open {
                self.shaking -= 1;
            }
        }
        viewer.stage = Stage::Gone;
        let goal = &self.goal;
        self.wrong -=
            viewer.links.iter().zip(&viewer.counts).filter(|(link, count)| !is_right(goal, **link, **count)).count();
        viewer.counts = Vec::new();
    }

    /// Closes all viewers.
    pub(crate) fn close_all(&mut self) {
        (0..self.viewers.len()).for_each(|idx| self.close(idx));
    }

    /// Sets the count that each page should have, by its number. Others should have 0.
    pub(crate) fn aim(&mut self, goal: Vec<u32>) {
        self.goal = goal;
        let goal = &self.goal;
        let entries = self.viewers.iter().flat_map(|viewer| viewer.links.iter().zip(&viewer.counts));
        self.wrong = entries.filter(|(link, count)| !is_right(goal, **link, **count)).count();
        self.exact_since = (self.wrong == 0).then(Instant::now);
    }

    /// Sets the counts that result from the viewers who are connected.
    pub(crate) fn aim_at_present(&mut self, pages: u32) {
        let mut goal = vec![0; pages as usize];
        for viewer in self.viewers.iter().filter(|viewer| viewer.stage != Stage::Gone) {
            if let Some(count) = goal.get_mut(viewer.page as usize) {
                *count += 1;
            }
        }
        self.aim(goal);
    }

    /// When the last wrong count became right. `None` if some are wrong.
    pub(crate) fn exact_since(&self) -> Option<Instant> {
        self.exact_since
    }

    /// Connections that are being made.
    pub(crate) fn shaking(&self) -> usize {
        self.shaking
    }

    /// Messages that arrived, in all.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// The most messages that one viewer got.
    pub(crate) fn most_messages(&self) -> u32 {
        self.viewers.iter().map(|viewer| viewer.messages).max().unwrap_or(0)
    }

    /// Viewers that the server refused or dropped.
    pub(crate) fn lost(&self) -> usize {
        self.lost
    }

    /// Forgets the viewers that were lost so far, if that was expected.
    pub(crate) fn forgive(&mut self) {
        self.lost = 0;
    }

    /// Waits for at most `timeout` and reads what has arrived. Calls `hear` for each update.
    pub(crate) fn pump(&mut self, timeout: Duration, mut hear: impl FnMut(&Told)) -> Result<(), Failure> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let idx = event.token().0;
            if let Err(error) = self.advance(idx, event.is_writable(), event.is_error(), &mut hear) {
                self.lose(idx, &error);
            }
        }
        self.events = events;
        Ok(())
    }

    /// Pumps until a condition holds. Returns whether it held in time.
    pub(crate) fn pump_until(&mut self, patience: Duration, done: impl Fn(&Crowd) -> bool) -> Result<bool, Failure> {
        let deadline = Instant::now() + patience;
        while !done(self) {
            if Instant::now() > deadline {
                return Ok(false);
            }
            self.pump(Duration::from_millis(5), |_| {})?;
        }
        Ok(true)
    }

    /// Pumps for this long.
    pub(crate) fn pump_for(&mut self, time: Duration, mut hear: impl FnMut(&Told)) -> Result<(), Failure> {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.pump(left.min(Duration::from_millis(5)), &mut hear)?;
        }
        Ok(())
    }

    fn lose(&mut self, idx: usize, error: &io::Error) {
        let Some(viewer) = self.viewers.get_mut(idx).filter(|viewer| viewer.stage != Stage::Gone) else { return };
        // Those who do not read are dropped on purpose.
        if viewer.reads && self.lost < REASONS_PRINTED {
            eprintln!("viewer {idx} was lost ({:?}): {error}", viewer.stage);
        }
        if viewer.stage != Stage::Open {
            self.shaking -= 1;
        }
        self.lost += 1;
        viewer.stage = Stage::Gone;
        viewer.stream = None;
    }

    fn advance(&mut self, idx: usize, writable: bool, error: bool, hear: &mut impl FnMut(&Told)) -> io::Result<()> {
        let Some(viewer) = self.viewers.get_mut(idx) else { return Ok(()) };
        let Some(stream) = &mut viewer.stream else { return Ok(()) };
        if error {
            return Err(stream.take_error()?.unwrap_or_else(|| ErrorKind::ConnectionReset.into()));
        }
        if viewer.stage == Stage::Connecting {
            if !writable || stream.peer_addr().is_err() {
                return Ok(());
            }
            SockRef::from(&*stream).set_tcp_nodelay(true)?;
            let page = format!("{}{}", self.prefix, viewer.page);
            stream.write_all(&wire::handshake(&self.server.to_string(), &page))?;
            viewer.stage = Stage::Shaking;
        }
        if viewer.stage == Stage::Open && !viewer.reads {
            return Ok(());
        }
        loop {
            let Some(stream) = self.viewers.get_mut(idx).and_then(|viewer| viewer.stream.as_mut()) else {
                return Ok(());
            };
            let read = match stream.read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.take_in(idx, read, hear)?;
            // A short read has emptied the socket. An event follows if more arrives.
            if read < READ_BYTES {
                return Ok(());
            }
        }
    }

    /// Handles the bytes in the buffer, which one viewer has read.
    fn take_in(&mut self, idx: usize, read: usize, hear: &mut impl FnMut(&Told)) -> io::Result<()> {
        let at = Instant::now();
        let Some(viewer) = self.viewers.get_mut(idx) else { return Ok(()) };
        let mut rest = std::mem::take(&mut viewer.rest);
        let fresh = self.buffer.get(..read).unwrap_or_default();
        let joined = !rest.is_empty();
        if joined {
            rest.extend_from_slice(fresh);
        }
        let mut bytes: &[u8] = if joined { &rest } else { fresh };
        if viewer.stage == Stage::Shaking {
            let Some(head) = wire::head(bytes) else {
                viewer.rest = bytes.to_vec();
                return Ok(());
            };
            viewer.answered(bytes, &self.prefix)?;
            self.shaking -= 1;
            bytes = bytes.get(head..).unwrap_or_default();
        }
        while let Some(frame) = wire::frame(bytes) {
            bytes = bytes.get(frame.length..).unwrap_or_default();
            match frame.opcode {
                wire::TEXT => {
                    viewer.messages += 1;
                    self.messages += 1;
                    let Ok(update) = serde_json::from_slice::<Update>(frame.payload) else { continue };
                    for (page, count) in update.connections {
                        let Some(link) = page.strip_prefix(&self.prefix).and_then(|link| link.parse().ok()) else {
                            return Err(ErrorKind::InvalidData.into());
                        };
                        let (before, after) = viewer.told(link, count, &self.goal);
                        self.wrong = self.wrong + usize::from(before) - usize::from(after);
                        hear(&Told { viewer: idx, link, count, at });
                    }
                }
                wire::PING => viewer.say(wire::PONG, frame.payload)?,
                wire::CLOSE => return Err(ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
        viewer.rest = bytes.to_vec();
        if self.wrong > 0 {
            self.exact_since = None;
        } else if self.exact_since.is_none() {
            self.exact_since = Some(at);
        }
        Ok(())
    }
}
