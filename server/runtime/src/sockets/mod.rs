//! WebSockets after their handshake. Rooms write straight to the sockets, and a few workers read for all of them.
//!
//! A worker is one task with one `epoll` (or `kqueue`) for thousands of sockets. An idle connection is one [`Socket`] inside
//! the record of its connection, and one entry in the worker's list. It has no task, timer, channel or buffer. If the kernel
//! does not take a write completely, the rest is kept in a box, and the worker writes it later. Every 2.5 s a worker checks a
//! quarter of its list for sockets that need a ping, are silent, or do not read.
//!
//! Nothing here knows rooms or parties. What clients send goes to an [`Ears`].
//!
//! Before, each connection was a task with a timer, a notification, a codec and a read buffer. This is what 18,000 idle viewers
//! with 3 watched links took, including their part of rooms and pages (Linux, 2 cores). With tasks: 5,746 bytes of the process
//! for each (2026-11-22). Now: 584 bytes (2026-11-30, `connection-counter-load run idle --viewers 18000 --pages 1000`). About
//! 150 of these are in this module: the record with its [`Socket`], and the worker's entry. An update also woke thousands of
//! tasks. Now the room writes thousands of times.

mod frame;
mod hearing;
mod pace;
mod reader;
mod socket;
mod waiting;
mod worker;

use std::{
    io,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until},
};

pub(crate) use socket::{Outgoing, Refusal, Socket};

use crate::{close::Close, limits::Limits, party::Message};
use worker::Worker;

/// Bytes of a socket's outgoing data in the kernel, which uses twice as much for its own records. It is enough for two of a
/// page's largest updates. Without this limit, Linux keeps up to 4 MB for each client that does not read.
const SEND_BUFFER_BYTES: usize = 24 * 1024;

/// Receives what clients send.
pub(crate) trait Ears: Clone + Send + Sync + 'static {
    /// The record of one connection, with its socket in it.
    type Connection: AsRef<Socket> + Clone + Send + Sync + 'static;
    /// The quotas that a connection holds. They are dropped when it is gone.
    type Held: Send + 'static;

    /// A client has sent a message. `Err` closes its connection.
    fn heard(&self, connection: &Self::Connection, message: Message) -> Result<(), Close>;

    /// A connection is gone. Called once for each that was given to [`Sockets::add`].
    fn gone(&self, connection: &Self::Connection, close: Close);
}

/// All sockets of a server.
pub(crate) struct Sockets<E: Ears> {
    /// The workers. Each has a part of the sockets.
    workers: Vec<Arc<Worker<E>>>,
    /// Ends their tasks when dropped.
    tasks: Mutex<JoinSet<()>>,
    /// Decides which worker gets the next socket.
    turn: AtomicUsize,
    /// The close message for connections that are added while the server stops.
    goodbye: OnceLock<Close>,
}

impl<E: Ears> Sockets<E> {
    /// Starts one worker for each thread that the computer can run at once.
    ///
    /// # Errors
    /// Fails if the operating system has no more file descriptors.
    pub(crate) fn start(ears: &E, limits: &Limits) -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let mut tasks = JoinSet::new();
        let workers: io::Result<Vec<_>> = (0..count).map(|_| Worker::start(ears.clone(), limits, &mut tasks)).collect();
        Ok(Self { workers: workers?, tasks: Mutex::new(tasks), turn: AtomicUsize::new(0), goodbye: OnceLock::new() })
    }

    /// How many sockets there are.
    pub(crate) fn len(&self) -> usize {
        self.workers.iter().map(|worker| worker.len()).sum()
    }

    /// Closes all connections, one after another, evenly over a time that depends on their number. Connections that are added
    /// later are closed at once.
    pub(crate) async fn say_goodbye(&self, close: &Close, time_for: impl FnOnce(usize) -> Duration) {
        // Only this function sets it.
        let _ = self.goodbye.set(close.clone());
        let everyone: Vec<_> = self.workers.iter().flat_map(|worker| worker.connections()).collect();
        let (start, time) = (Instant::now(), time_for(everyone.len()));
        for (told, connection) in everyone.iter().enumerate() {
            let due = start + time.mul_f64(told as f64 / everyone.len() as f64);
            if due > Instant::now() {
                sleep_until(due).await;
            }
            connection.as_ref().close(close.clone());
        }
    }

    /// Ends the workers, and drops the connections that are left.
    pub(crate) fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for worker in &self.workers {
            worker.hang_up();
        }
    }

    /// Takes over a socket whose handshake was answered. `already_read` is what came with the handshake.
    ///
    /// # Errors
    /// Fails if the socket cannot be watched. Then [`Ears::gone`] is not called.
    pub(crate) fn add(
        &self,
        stream: TcpStream,
        already_read: &[u8],
        connection: E::Connection,
        held: E::Held,
    ) -> io::Result<()> {
        let stream = stream.into_std()?;
        // If this fails, a slow reader takes a little more memory.
        let _ = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        let worker = self.workers.get(turn).ok_or(io::ErrorKind::NotFound)?;
        worker.add(mio::net::TcpStream::from_std(stream), already_read, connection.clone(), held)?;
        if let Some(close) = self.goodbye.get() {
            connection.as_ref().close(close.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
