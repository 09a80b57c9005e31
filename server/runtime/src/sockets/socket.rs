//! The writing side of a connection. It writes straight to the kernel. What the kernel does not take waits in a box.

use std::{
    io::{self, ErrorKind, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, OpCode};

use super::waiting::{Broken, Closing, Waiting, parts, write_frame};
use crate::{close::Close, error::Error, party::Message};

/// A connection's socket, or what replaces one. It is a part of the connection's record.
pub(crate) struct Socket(Mutex<Inner>);

struct Inner {
    /// Where the bytes go.
    wire: Wire,
    /// What the kernel has not taken yet. Usually nothing. A local socket always has one.
    waiting: Option<Box<Waiting>>,
}

enum Wire {
    /// The handshake is not answered yet.
    Pending,
    Tcp(TcpStream),
    /// Another room of this process.
    Local,
    Gone,
}

/// Why a message was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The connection is closing or closed.
    Closed,
    /// Too many bytes wait, because the client does not read.
    Slow,
}

/// What a local socket receives next.
pub(crate) enum Outgoing {
    /// A message.
    Message(Message),
    /// The end of the connection.
    Close(Close),
}

impl Socket {
    /// A socket whose handshake is not answered yet. Its messages wait for [`Sockets::add`](super::Sockets::add).
    pub(crate) fn pending() -> Self {
        Self(Mutex::new(Inner { wire: Wire::Pending, waiting: None }))
    }

    /// A socket to another room of this process, which takes the messages with [`outgoing`](Self::outgoing).
    pub(crate) fn local() -> Self {
        let waiting = Waiting { reader: Some(Arc::default()), ..Waiting::default() };
        Self(Mutex::new(Inner { wire: Wire::Local, waiting: Some(Box::new(waiting)) }))
    }

    /// Sends a message, after those that were sent before.
    ///
    /// # Errors
    /// [`Refusal::Slow`] if other messages wait, and together they have more than `queue_bytes`. The connection is then closed
    /// with code 1013.
    pub(crate) fn send(&self, message: Message, queue_bytes: usize) -> Result<(), Refusal> {
        let mut inner = self.lock();
        if inner.waiting.is_none() && inner.write(&message).map_err(|Broken| Refusal::Closed)? {
            return Ok(());
        }
        let Some(waiting) = &mut inner.waiting else { return Ok(()) };
        if !matches!(waiting.closing, Closing::No) {
            return Err(Refusal::Closed);
        }
        // A single message may be of any size. It does not show that the client is slow.
        if !waiting.queue.is_empty() && waiting.queued_bytes + message.len() > queue_bytes {
            waiting.forget_queue();
            waiting.closing = Closing::Asked(Error::SlowConnection.close());
            waiting.wake_reader();
            return Err(Refusal::Slow);
        }
        waiting.queued_bytes += message.len();
        waiting.queue.push_back(message);
        waiting.wake_reader();
        Ok(())
    }

    /// Whether the operating system has taken all that was sent, and the connection is open.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.lock();
        inner.waiting.as_ref().is_none_or(|waiting| waiting.is_empty()) && !matches!(inner.wire, Wire::Gone)
    }

    /// Bytes of the waiting messages.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().waiting.as_ref().map_or(0, |waiting| waiting.queued_bytes)
    }

    /// Closes the connection after the messages that were sent before. Does nothing if it is closing already.
    pub(crate) fn close(&self, close: Close) {
        let mut inner = self.lock();
        let waiting = inner.waiting.get_or_insert_default();
        if matches!(waiting.closing, Closing::No) {
            waiting.closing = Closing::Asked(close);
        }
        waiting.wake_reader();
        inner.flush();
    }

    /// Waits for the next message or close. Only for a [`local`](Self::local) socket.
    pub(crate) async fn outgoing(&self) -> Outgoing {
        loop {
            let news = match self.next() {
                Ok(outgoing) => return outgoing,
                Err(news) => news,
            };
            // If something arrived after `next`, there is already a notification.
            news.notified().await;
        }
    }

    fn next(&self) -> Result<Outgoing, Arc<Notify>> {
        let mut inner = self.lock();
        let message = inner.waiting.as_mut().and_then(|waiting| waiting.take());
        if let Some(message) = message {
            return Ok(Outgoing::Message(message));
        }
        let Some(waiting) = &inner.waiting else { return Ok(Outgoing::Close(Close::abnormal(""))) };
        match (&waiting.closing, &waiting.reader) {
            (Closing::Asked(close), _) => Ok(Outgoing::Close(close.clone())),
            (_, Some(news)) => Err(Arc::clone(news)),
            _ => Ok(Outgoing::Close(Close::abnormal(""))),
        }
    }

    /// The handshake is answered, and this is its socket. The next [`flush`](Self::flush) writes the messages that waited for
    /// it.
    pub(super) fn attach(&self, stream: TcpStream) {
        self.lock().wire = Wire::Tcp(stream);
    }

    /// Reads what has arrived, up to the buffer's size.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.lock().wire {
            Wire::Tcp(stream) => stream.read(buffer),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Writes what waits, as far as the kernel takes it.
    pub(super) fn flush(&self) {
        self.lock().flush();
    }

    /// Sends a ping, unless messages wait. Then the client has enough to read.
    pub(super) fn ping(&self) {
        let mut inner = self.lock();
        if inner.waiting.is_none() {
            inner.write_control(Control::Ping, &Bytes::new());
        }
    }

    /// Answers a ping. If several wait for an answer, only the newest is answered.
    pub(super) fn pong(&self, payload: Bytes) {
        let mut inner = self.lock();
        match &mut inner.waiting {
            None => inner.write_control(Control::Pong, &payload),
            Some(waiting) if matches!(waiting.closing, Closing::No) => waiting.pong = Some(payload),
            Some(_) => {}
        }
    }

    /// The client has sent a close frame. Answers it after the current frame, and drops the other messages.
    pub(super) fn answer_goodbye(&self, close: Close) {
        let mut inner = self.lock();
        let waiting = inner.waiting.get_or_insert_default();
        waiting.forget_queue();
        waiting.closing = match std::mem::take(&mut waiting.closing) {
            Closing::No => Closing::Answering(close),
            Closing::Asked(ours) => Closing::Answering(ours),
            Closing::Said(ours) => Closing::Over(ours),
            closing @ (Closing::Answering(_) | Closing::Over(_)) => closing,
        };
        inner.flush();
    }

    /// Whether the connection is closing. Then messages of the client are ignored.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().waiting.as_ref().is_some_and(|waiting| !matches!(waiting.closing, Closing::No))
    }

    /// How the connection ended, once both sides have sent a close frame.
    pub(super) fn ended(&self) -> Option<Close> {
        let inner = self.lock();
        let waiting = inner.waiting.as_ref()?;
        match &waiting.closing {
            Closing::Over(close) if waiting.rest.is_empty() => Some(close.clone()),
            _ => None,
        }
    }

    /// How the connection ends if nothing more arrives.
    pub(super) fn unanswered(&self) -> Option<Close> {
        match &self.lock().waiting.as_ref()?.closing {
            Closing::Said(close) | Closing::Asked(close) | Closing::Answering(close) | Closing::Over(close) => {
                Some(close.clone())
            }
            Closing::No => None,
        }
    }

    /// How the connection ends if it has not taken a frame for `write_timeout`, or has not answered a close frame for
    /// `close_timeout`.
    pub(super) fn overdue(&self, now: Instant, write_timeout: Duration, close_timeout: Duration) -> Option<Close> {
        let inner = self.lock();
        let waiting = inner.waiting.as_ref()?;
        let passed = now.saturating_duration_since(waiting.since?);
        match &waiting.closing {
            Closing::Said(close) if waiting.rest.is_empty() => (passed >= close_timeout).then(|| close.clone()),
            _ => (passed >= write_timeout).then(|| Close::abnormal(&Error::SlowConnection.to_string())),
        }
    }

    /// After the close frame, shuts down the writing side.
    pub(super) fn finish_writing(&self) {
        let inner = self.lock();
        if let (Wire::Tcp(stream), Some(waiting)) = (&inner.wire, &inner.waiting)
            && matches!(waiting.closing, Closing::Said(_))
            && waiting.rest.is_empty()
        {
            // A client that is gone need not be told.
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Closes the socket. With `reset` the kernel drops what the client has not taken.
    pub(super) fn hang_up(&self, reset: bool) {
        let mut inner = self.lock();
        let wire = std::mem::replace(&mut inner.wire, Wire::Gone);
        inner.waiting = None;
        drop(inner);
        if let Wire::Tcp(stream) = wire
            && reset
        {
            // If this fails, the kernel keeps the data for some minutes.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Writes a message at once. What the kernel does not take is put into the box. Returns `false` if the message must wait,
    /// and then there is a box for it.
    fn write(&mut self, message: &Message) -> Result<bool, Broken> {
        let (opcode, payload) = parts(message);
        let rest = match &self.wire {
            Wire::Gone => return Err(Broken),
            Wire::Tcp(stream) => write_frame(stream, opcode, payload)?,
            Wire::Pending | Wire::Local => {
                self.waiting = Some(Box::default());
                return Ok(false);
            }
        };
        self.keep(rest);
        Ok(true)
    }

    fn write_control(&mut self, control: Control, payload: &Bytes) {
        if let Wire::Tcp(stream) = &self.wire
            && let Ok(rest) = write_frame(stream, OpCode::Control(control), payload)
        {
            self.keep(rest);
        }
    }

    fn keep(&mut self, rest: Option<Bytes>) {
        if let Some(rest) = rest {
            self.waiting = Some(Box::new(Waiting { rest, since: Some(Instant::now()), ..Waiting::default() }));
        }
    }

    fn flush(&mut self) {
        if let (Wire::Tcp(stream), Some(waiting)) = (&self.wire, &mut self.waiting) {
            // The worker gets every error, too.
            let _ = waiting.flush(stream);
            self.drop_empty_box();
        }
    }

    /// Drops the box if it is empty.
    fn drop_empty_box(&mut self) {
        if self.waiting.as_ref().is_some_and(|waiting| waiting.is_empty()) {
            self.waiting = None;
        }
    }
}
