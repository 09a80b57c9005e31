//! One task that reads for thousands of sockets.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token, net::TcpStream};
use slab::Slab;
use tokio::{io::unix::AsyncFd, task::JoinSet, time::sleep_until};

use super::{
    Ears,
    hearing::{Hearing, Next, Reason},
    pace::Allowance,
};
use crate::{close::Close, limits::Limits};

/// Sockets that are served before other tasks get their turn.
const EVENTS_AT_ONCE: usize = 256;
/// Bytes read at once into the worker's one buffer. A longest message fits with its header.
const READ_BUFFER_BYTES: usize = 17 * 1024;
/// Time between two checks of a socket. The timeouts need not be more exact.
const LOOK_INTERVAL: Duration = Duration::from_millis(2_500);
/// If a timeout is only a few seconds long, sockets are checked this often within it.
const LOOKS_IN_A_PERIOD: u32 = 2;
/// The shortest time between two checks. More would cost too much for any timeout.
const SHORTEST_LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Sockets are checked in turns, every fourth at a time, so that nothing waits long for many pings.
const TURNS: usize = 4;
/// If a list has space for this many and is mostly empty, it is made smaller.
const LARGE_LIST: usize = 1_024;
/// A list grows by one in this many of its places. If it doubled, up to half of it would be free.
const GROWTH_DIVISOR: usize = 8;
/// The fewest places by which it grows.
const MIN_GROWTH: usize = 64;

/// A task with its sockets.
pub(super) struct Worker<E: Ears> {
    /// Receives what is read.
    pub(super) ears: E,
    /// The limits of sockets.
    pub(super) limits: SocketLimits,
    /// Registers sockets with the system.
    registry: Registry,
    /// The start of its clock.
    started_at: Instant,
    /// Its connections, by the token of their sockets.
    entries: Mutex<Slab<Entry<E>>>,
}

/// The limits of sockets.
pub(super) struct SocketLimits {
    /// Bytes of one message of a client.
    pub(super) message_bytes: usize,
    /// Bytes that may wait for a client.
    pub(super) send_queue_bytes: usize,
    /// How fast a client may send.
    pub(super) allowance: Allowance,
    /// How long a client may be silent before it gets a ping.
    ping_interval_ms: u64,
    /// How long a client may be silent before it is dropped.
    idle_timeout_ms: u64,
    /// How long a client may take to accept a frame.
    write_timeout: Duration,
    /// How long a client may take to answer a close frame.
    close_timeout: Duration,
}

/// One connection.
struct Entry<E: Ears> {
    /// Its record, with the socket.
    connection: E::Connection,
    /// Dropped when the connection is gone.
    _held: E::Held,
    /// `None` while it is being read.
    hearing: Option<Hearing>,
}

/// Sockets that are read again later, soonest first.
type Paused = BinaryHeap<Reverse<(Instant, usize)>>;

impl<E: Ears> Worker<E> {
    pub(super) fn start(ears: E, limits: &Limits, tasks: &mut JoinSet<()>) -> io::Result<Arc<Self>> {
        let poll = Poll::new()?;
        let worker = Arc::new(Self {
            ears,
            limits: SocketLimits::new(limits),
            registry: poll.registry().try_clone()?,
            started_at: Instant::now(),
            entries: Mutex::default(),
        });
        #[expect(
            deprecated,
            reason = "its successor is unsafe; what it warns of is a descriptor that changes, and this one stays"
        )]
        let poll = AsyncFd::new(poll)?;
        tasks.spawn(Arc::clone(&worker).run(poll));
        Ok(worker)
    }

    pub(super) fn add(
        &self,
        mut stream: TcpStream,
        already_read: &[u8],
        connection: E::Connection,
        held: E::Held,
    ) -> io::Result<()> {
        let mut entries = self.entries();
        if entries.len() == entries.capacity() {
            let growth = MIN_GROWTH.max(entries.len() / GROWTH_DIVISOR);
            entries.reserve_exact(growth);
        }
        let place = entries.vacant_entry();
        // A new socket is writable, which is an event. So the worker also reads what has already arrived.
        self.registry.register(&mut stream, Token(place.key()), Interest::READABLE | Interest::WRITABLE)?;
        connection.as_ref().attach(stream);
        let hearing = Some(Hearing::new(already_read, self.ms(Instant::now())));
        place.insert(Entry { connection, _held: held, hearing });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.entries().len()
    }

    /// All connections.
    pub(super) fn connections(&self) -> Vec<E::Connection> {
        self.entries().iter().map(|(_, entry)| entry.connection.clone()).collect()
    }

    /// Drops all connections, without close frames.
    pub(super) fn hang_up(&self) {
        for entry in self.entries().drain() {
            entry.connection.as_ref().hang_up(true);
        }
    }

    async fn run(self: Arc<Self>, mut poll: AsyncFd<Poll>) {
        let mut sweeps = Sweeps::new(&self.limits);
        let mut events = Events::with_capacity(EVENTS_AT_ONCE);
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        let mut paused = Paused::new();
        let timer = sleep_until(sweeps.due.into());
        tokio::pin!(timer);
        loop {
            tokio::select! {
                ready = poll.readable_mut() => {
                    let Ok(mut ready) = ready else { return };
                    let polled = ready.get_inner_mut().poll(&mut events, Some(Duration::ZERO));
                    match polled {
                        Err(error) if error.kind() != ErrorKind::Interrupted => {
                            tracing::error!(%error, "the kernel does not tell which sockets are ready");
                            return;
                        }
                        _ if events.is_empty() => ready.clear_ready(),
                        _ => {
                            for event in &events {
                                let reason = if event.is_read_closed() { Reason::HungUp } else { Reason::Ready };
                                self.serve(event.token().0, reason, &mut buffer, &mut paused);
                            }
                            tokio::task::yield_now().await;
                        }
                    }
                }
                () = &mut timer => {
                    let now = Instant::now();
                    self.resume(now, &mut buffer, &mut paused);
                    if now >= sweeps.due {
                        self.sweep(&mut sweeps, now);
                    }
                }
            }
            let wake_at = paused.peek().map_or(sweeps.due, |Reverse((at, _))| sweeps.due.min(*at));
            if timer.deadline().into_std() != wake_at {
                timer.as_mut().reset(wake_at.into());
            }
        }
    }

    /// Reads again from the sockets whose pause is over.
    fn resume(&self, now: Instant, buffer: &mut [u8], paused: &mut Paused) {
        let mut due = Vec::new();
        while let Some(Reverse((at, key))) = paused.peek().copied()
            && at <= now
        {
            paused.pop();
            due.push(key);
        }
        for key in due {
            if let Some(hearing) = self.entries().get_mut(key).and_then(|entry| entry.hearing.as_mut()) {
                hearing.is_paused = false;
            }
            self.serve(key, Reason::PauseOver, buffer, paused);
        }
    }

    /// Writes to and reads from one socket.
    fn serve(&self, key: usize, reason: Reason, buffer: &mut [u8], paused: &mut Paused) {
        let Some((connection, mut hearing)) = self.begin(key) else { return };
        if reason == Reason::HungUp {
            hearing.hangs_up();
        }
        let socket = connection.as_ref();
        socket.flush();
        let to_the_end = reason != Reason::Ready;
        let next =
            if hearing.is_paused { Next::Wait } else { self.hear(&connection, &mut hearing, to_the_end, buffer) };
        match socket.ended().map_or(next, Next::End) {
            Next::Wait => self.finish(key, hearing),
            Next::Pause(until) => {
                hearing.is_paused = true;
                self.finish(key, hearing);
                paused.push(Reverse((until, key)));
            }
            // The client got a close code, but may not have understood it. The room is told that the connection broke.
            Next::End(close) if hearing.is_broken() => self.end(key, Close::abnormal(&close.reason), false),
            Next::End(close) => self.end(key, close, false),
        }
    }

    /// Takes out what is needed to read from a client.
    fn begin(&self, key: usize) -> Option<(E::Connection, Hearing)> {
        let mut entries = self.entries();
        let entry = entries.get_mut(key)?;
        Some((entry.connection.clone(), entry.hearing.take()?))
    }

    fn finish(&self, key: usize, hearing: Hearing) {
        if let Some(entry) = self.entries().get_mut(key) {
            entry.hearing = Some(hearing);
        }
    }

    fn end(&self, key: usize, close: Close, reset: bool) {
        let entry = self.entries().try_remove(key);
        if let Some(entry) = entry {
            entry.connection.as_ref().hang_up(reset);
            self.ears.gone(&entry.connection, close);
        }
    }

    /// Checks every fourth socket: pings those that are silent, and drops those that are gone or do not read.
    fn sweep(&self, sweeps: &mut Sweeps, now: Instant) {
        let now_ms = self.ms(now);
        let (turn, passed_ms) = sweeps.next(now, now_ms);
        let mut over = Vec::new();
        let mut silent = Vec::new();
        let mut entries = self.entries();
        for key in (turn..entries.capacity()).step_by(TURNS) {
            // No socket is being read now.
            let Some(Entry { connection, hearing: Some(hearing), .. }) = entries.get(key) else { continue };
            let socket = connection.as_ref();
            let overdue = socket.overdue(now, self.limits.write_timeout, self.limits.close_timeout);
            let silent_ms = hearing.silent_ms(now_ms);
            if let Some(close) = overdue {
                over.push((key, close));
            } else if silent_ms >= self.limits.idle_timeout_ms && !hearing.is_paused {
                // One that is paused has sent more than was read yet.
                over.push((key, Close::abnormal("no sign of life")));
            } else if silent_ms % self.limits.ping_interval_ms < passed_ms && silent_ms >= self.limits.ping_interval_ms
            {
                silent.push(connection.clone());
            }
        }
        if entries.capacity() >= LARGE_LIST && entries.len() < entries.capacity() / TURNS {
            entries.shrink_to_fit();
        }
        drop(entries);
        for connection in silent {
            connection.as_ref().ping();
        }
        for (key, close) in over {
            self.end(key, close, true);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Slab<Entry<E>>> {
        // Nothing that holds the lock can panic halfway through a change.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ms(&self, at: Instant) -> u64 {
        milliseconds(at.saturating_duration_since(self.started_at))
    }
}

impl SocketLimits {
    fn new(limits: &Limits) -> Self {
        Self {
            message_bytes: limits.message_bytes,
            send_queue_bytes: limits.send_queue_bytes,
            allowance: Allowance::new(limits.message_burst, limits.messages_per_second),
            ping_interval_ms: milliseconds(limits.ping_interval).max(1),
            idle_timeout_ms: milliseconds(limits.idle_timeout),
            write_timeout: limits.write_timeout,
            close_timeout: limits.shutdown_timeout,
        }
    }

    fn look_interval(&self) -> Duration {
        let pings = Duration::from_millis(self.ping_interval_ms);
        let shortest = pings.min(self.write_timeout).min(self.close_timeout);
        (shortest / LOOKS_IN_A_PERIOD).clamp(SHORTEST_LOOK_INTERVAL, LOOK_INTERVAL)
    }
}

/// When sockets are checked.
struct Sweeps {
    /// When the next ones are checked.
    due: Instant,
    /// Time between two turns.
    interval: Duration,
    /// The number of the next turn.
    turn: usize,
    /// When the sockets of each turn were last checked, in milliseconds of the worker's clock.
    looked_ms: [u64; TURNS],
}

impl Sweeps {
    fn new(limits: &SocketLimits) -> Self {
        let interval = limits.look_interval() / TURNS as u32;
        Self { due: Instant::now() + interval, interval, turn: 0, looked_ms: [0; TURNS] }
    }

    /// The turn, and the milliseconds since its previous check.
    fn next(&mut self, now: Instant, now_ms: u64) -> (usize, u64) {
        let turn = self.turn;
        self.turn = (turn + 1) % TURNS;
        self.due = now + self.interval;
        let last_ms = self.looked_ms.get_mut(turn).map(|at| std::mem::replace(at, now_ms));
        (turn, now_ms - last_ms.unwrap_or(now_ms))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
