//! The least that a server can do, for comparison only: one loop around epoll, without rooms, limits, storage or a clean stop.
//!
//! With `--rounds-per-second` it counts nothing and sends the time to everyone at that rate. That shows what sending costs.

mod pages;

use std::{
    io::{ErrorKind, Read, Write},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use tungstenite::handshake::derive_accept_key;

use crate::{Failure, wire};
use pages::Pages;

const LISTENER: Token = Token(usize::MAX);
/// Connections that may wait to be accepted. The system limits it further.
const BACKLOG: i32 = 4_096;
const READ_BYTES: usize = 64 * 1024;
/// Time between two rounds of updates: one frame of a screen.
const INTERVAL: Duration = Duration::from_millis(16);
/// After a long round, the pause is this many times as long, so that new connections get their turn.
const PAUSE: u32 = 3;
/// Longer than a run.
const NEVER: Duration = Duration::from_secs(3_600);

struct Connection {
    stream: TcpStream,
    /// Its place in `Pages`, once the handshake is done.
    page: Option<usize>,
    rest: Vec<u8>,
}

#[derive(Deserialize)]
struct Subscribe {
    links: Vec<String>,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    pages: Pages,
    buffer: Vec<u8>,
}

/// Serves until it is killed.
pub(crate) fn serve(rounds_per_second: Option<f64>) -> Result<(), Failure> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    let mut listener = TcpListener::from_std(socket.into());
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut server = Server {
        poll,
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        pages: Pages::default(),
        buffer: vec![0; READ_BYTES],
    };
    server.run(rounds_per_second.map(|rate| Duration::from_secs_f64(1.0 / rate)))
}

impl Server {
    fn run(&mut self, rounds: Option<Duration>) -> Result<(), Failure> {
        let mut events = Events::with_capacity(1_024);
        let mut due = Instant::now();
        loop {
            let busy = rounds.is_some() || self.pages.changed();
            let wait = if busy { due.saturating_duration_since(Instant::now()) } else { NEVER };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(idx) => {
                        if self.read(idx).is_none() {
                            self.drop_connection(idx);
                        }
                    }
                }
            }
            let now = Instant::now();
            if !busy || now < due {
                continue;
            }
            match rounds {
                Some(interval) => {
                    self.send_the_time()?;
                    due += interval;
                }
                None => {
                    self.send_changes();
                    due = Instant::now() + INTERVAL.max(now.elapsed() * PAUSE);
                }
            }
        }
    }

    fn accept(&mut self) -> Result<(), Failure> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let idx = self.free.pop().unwrap_or(self.connections.len());
            self.poll.registry().register(&mut stream, Token(idx), Interest::READABLE)?;
            let connection = Some(Connection { stream, page: None, rest: Vec::new() });
            match self.connections.get_mut(idx) {
                Some(place) => *place = connection,
                None => self.connections.push(connection),
            }
        }
    }

    /// Reads what one connection has sent. `None` if the connection must be dropped.
    fn read(&mut self, idx: usize) -> Option<()> {
        let connection = self.connections.get_mut(idx)?.as_mut()?;
        loop {
            let read = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return None,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(_) => return None,
            };
            let mut bytes = std::mem::take(&mut connection.rest);
            bytes.extend_from_slice(self.buffer.get(..read)?);
            let mut bytes = bytes.as_slice();
            if connection.page.is_none() {
                let Some(head) = wire::head(bytes) else {
                    connection.rest = bytes.to_vec();
                    return Some(());
                };
                let id = answer(&mut connection.stream, bytes.get(..head)?)?;
                connection.page = Some(self.pages.join(&id, idx));
                bytes = bytes.get(head..)?;
            }
            while let Some(frame) = wire::frame(bytes) {
                bytes = bytes.get(frame.length..)?;
                match frame.opcode {
                    wire::TEXT => {
                        let subscribe: Subscribe = serde_json::from_slice(&frame.unmasked()).ok()?;
                        let snapshot = self.pages.watch(connection.page?, &subscribe.links);
                        connection.stream.write_all(&wire::text(snapshot.as_bytes())).ok()?;
                    }
                    wire::CLOSE => return None,
                    _ => {}
                }
            }
            connection.rest = bytes.to_vec();
            if read < READ_BYTES {
                return Some(());
            }
        }
    }

    fn drop_connection(&mut self, idx: usize) {
        if let Some(connection) = self.connections.get_mut(idx).and_then(Option::take) {
            self.free.push(idx);
            if let Some(page) = connection.page {
                self.pages.leave(page, idx);
            }
        }
    }

    fn send_changes(&mut self) {
        for (message, viewers) in self.pages.take_changes() {
            let frame = wire::text(message.as_bytes());
            for idx in viewers {
                self.send(idx, &frame);
            }
        }
    }

    fn send_the_time(&mut self) -> Result<(), Failure> {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        #[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is meant")]
        let message = pages::update(&[("bench.test/p/1", micros as u32)]);
        let frame = wire::text(message.as_bytes());
        for idx in 0..self.connections.len() {
            self.send(idx, &frame);
        }
        Ok(())
    }

    fn send(&mut self, idx: usize, frame: &[u8]) {
        let connection = self.connections.get_mut(idx).and_then(Option::as_mut);
        let Some(connection) = connection.filter(|connection| connection.page.is_some()) else { return };
        // A connection that does not take the whole frame is dropped, because its next counts would be wrong.
        if connection.stream.write_all(frame).is_err() {
            self.drop_connection(idx);
        }
    }
}

/// Answers a handshake. Returns the page that it is for.
fn answer(stream: &mut TcpStream, head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let room = head.strip_prefix("GET /parties/page/")?.split_once(' ')?.0;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: \
         {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    Some(room.replace("%2F", "/"))
}
