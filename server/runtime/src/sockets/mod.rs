//! WebSockets after their handshake: whoever has something to say writes it straight to the socket, and a few workers
//! read for all of them.
//!
//! A worker is one task with one `epoll` (or `kqueue`) for its thousands of sockets. An idle connection is one
//! [`Socket`] inside its owner's record and one entry in the worker's list: no task, timer, channel or buffer. A write
//! that the kernel does not take whole is kept in a box of its own, and the worker goes on with it when there is room.
//! Every 2.5 s a worker looks at each of its list, in turns: who needs a ping, who has been silent, and who does not read.
//!
//! Nothing here knows rooms or parties. What is heard goes to an [`Ears`].
//!
//! The other way, which this one replaced, was a task for each connection with a timer, a notice, a codec and a read buffer.
//! Bytes of the process for each of 18,000 idle viewers who watch 3 links each, what rooms and pages keep included (Linux,
//! 2 cores): 5,746 that way (2026-11-22), 786 this way (2026-11-28, `connection-counter-load run idle --viewers 18000 --pages
//! 1000`). Some 160 of these are what is here: the record with its [`Socket`], and the worker's entry. And an update woke
//! thousands of tasks, where now the room writes thousands of times.

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

/// Bytes of a socket's outgoing data in the kernel, which takes twice as much for its own records. Enough for two of a
/// page's largest updates on their way; without a bound Linux keeps 4 MB for each client that does not read.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// Who hears what connections say.
pub(crate) trait Ears: Clone + Send + Sync + 'static {
    /// The record of one connection, with its socket in it.
    type Connection: AsRef<Socket> + Clone + Send + Sync + 'static;
    /// What a connection holds of the server; dropped when it is gone.
    type Held: Send + 'static;

    /// A connection said something. `Err` closes it.
    fn heard(&self, connection: &Self::Connection, message: Message) -> Result<(), Close>;

    /// A connection is gone. Called once for each that was given to [`Sockets::add`].
    fn gone(&self, connection: &Self::Connection, close: Close);
}

/// All sockets of a server.
pub(crate) struct Sockets<E: Ears> {
    /// Each has its part of the sockets.
    workers: Vec<Arc<Worker<E>>>,
    /// Ends their tasks when dropped.
    tasks: Mutex<JoinSet<()>>,
    /// Whose turn it is to get a socket.
    turn: AtomicUsize,
    /// What everyone is told who comes when goodbyes have begun.
    goodbye: OnceLock<Close>,
}

impl<E: Ears> Sockets<E> {
    /// Starts one worker for each thread that the computer can run at once.
    ///
    /// # Errors
    /// If the operating system gives no more file descriptors.
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

    /// Says goodbye to everyone, one after another, evenly over a time that goes by how many there are. Whoever is added
    /// later is told at once.
    pub(crate) async fn say_goodbye(&self, close: &Close, time_for: impl FnOnce(usize) -> Duration) {
        // Nobody else sets it.
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

    /// Ends the workers, and hangs up on whoever is left.
    pub(crate) fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        for worker in &self.workers {
            worker.hang_up();
        }
    }

    /// Takes over a socket whose handshake was answered. `already_read` is what came with the handshake.
    ///
    /// # Errors
    /// If the socket cannot be watched; then [`Ears::gone`] is not called.
    pub(crate) fn add(
        &self,
        stream: TcpStream,
        already_read: &[u8],
        connection: E::Connection,
        held: E::Held,
    ) -> io::Result<()> {
        let stream = stream.into_std()?;
        // A slow reader may then cost a little more memory, and nothing else.
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
