//! The writing side of a connection: straight to the kernel, and what that does not take waits in a box.

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

/// A connection's socket, or what stands for one. It belongs into the record of its connection.
pub(crate) struct Socket(Mutex<Inner>);

struct Inner {
    /// Where bytes go.
    wire: Wire,
    /// What the kernel has not taken yet; most of the time nothing. Always there for one that is local.
    waiting: Option<Box<Waiting>>,
}

enum Wire {
    /// Its handshake is not answered yet.
    Pending,
    Tcp(TcpStream),
    /// Another room of this process.
    Local,
    Gone,
}

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The connection is closing or closed.
    Closed,
    /// Too much waits for a client that does not read.
    Slow,
}

/// What a room of this process has to do next.
pub(crate) enum Outgoing {
    /// To hear this.
    Message(Message),
    /// To take leave.
    Close(Close),
}

impl Socket {
    /// One whose handshake is not answered yet: what it is sent waits for [`Sockets::add`](super::Sockets::add).
    pub(crate) fn pending() -> Self {
        Self(Mutex::new(Inner { wire: Wire::Pending, waiting: None }))
    }

    /// One that leads to another room of this process, which takes what is sent with [`outgoing`](Self::outgoing).
    pub(crate) fn local() -> Self {
        let waiting = Waiting { reader: Some(Arc::default()), ..Waiting::default() };
        Self(Mutex::new(Inner { wire: Wire::Local, waiting: Some(Box::new(waiting)) }))
    }

    /// Sends a message, after those sent before.
    ///
    /// # Errors
    /// [`Refusal::Slow`] if others wait and together they are more than `queue_bytes`: then it is closed with code 1013.
    pub(crate) fn send(&self, message: Message, queue_bytes: usize) -> Result<(), Refusal> {
        let mut inner = self.lock();
        if inner.waiting.is_none() && inner.write(&message).map_err(|Broken| Refusal::Closed)? {
            return Ok(());
        }
        let Some(waiting) = &mut inner.waiting else { return Ok(()) };
        if !matches!(waiting.closing, Closing::No) {
            return Err(Refusal::Closed);
        }
        // One message, however large, proves no one slow.
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

    /// Whether the operating system has taken all that was sent, and more may be sent.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.lock();
        inner.waiting.as_ref().is_none_or(|waiting| waiting.is_empty()) && !matches!(inner.wire, Wire::Gone)
    }

    /// Bytes of the messages that wait.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().waiting.as_ref().map_or(0, |waiting| waiting.queued_bytes)
    }

    /// Says goodbye after what was sent before. Does nothing where goodbye is under way.
    pub(crate) fn close(&self, close: Close) {
        let mut inner = self.lock();
        let waiting = inner.waiting.get_or_insert_default();
        if matches!(waiting.closing, Closing::No) {
            waiting.closing = Closing::Asked(close);
        }
        waiting.wake_reader();
        inner.flush();
    }

    /// Waits for something to hear; only for one that is [`local`](Self::local).
    pub(crate) async fn outgoing(&self) -> Outgoing {
        loop {
            let news = match self.next() {
                Ok(outgoing) => return outgoing,
                Err(news) => news,
            };
            // Whatever came since `next` looked has left its notice.
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

    /// The handshake is answered, here is its socket. What waited for it is written by the next [`flush`](Self::flush).
    pub(super) fn attach(&self, stream: TcpStream) {
        self.lock().wire = Wire::Tcp(stream);
    }

    /// Reads what the kernel has, up to the buffer's size.
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

    /// Asks for a sign of life, unless something waits: then the client has enough to read.
    pub(super) fn ping(&self) {
        let mut inner = self.lock();
        if inner.waiting.is_none() {
            inner.write_control(Control::Ping, &Bytes::new());
        }
    }

    /// Answers a ping. Where others wait, only the newest is answered.
    pub(super) fn pong(&self, payload: Bytes) {
        let mut inner = self.lock();
        match &mut inner.waiting {
            None => inner.write_control(Control::Pong, &payload),
            Some(waiting) if matches!(waiting.closing, Closing::No) => waiting.pong = Some(payload),
            Some(_) => {}
        }
    }

    /// The client says goodbye: answers as soon as the frame under way is out, and forgets what else waits.
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

    /// Whether goodbye is under way: nothing that comes is a message any more.
    pub(super) fn is_closing(&self) -> bool {
        self.lock().waiting.as_ref().is_some_and(|waiting| !matches!(waiting.closing, Closing::No))
    }

    /// How the connection ended, once both sides have said goodbye.
    pub(super) fn ended(&self) -> Option<Close> {
        let inner = self.lock();
        let waiting = inner.waiting.as_ref()?;
        match &waiting.closing {
            Closing::Over(close) if waiting.rest.is_empty() => Some(close.clone()),
            _ => None,
        }
    }

    /// How the connection ends if nothing more comes of it.
    pub(super) fn unanswered(&self) -> Option<Close> {
        match &self.lock().waiting.as_ref()?.closing {
            Closing::Said(close) | Closing::Asked(close) | Closing::Answering(close) | Closing::Over(close) => {
                Some(close.clone())
            }
            Closing::No => None,
        }
    }

    /// How the connection ends if it has not taken a frame for `write_timeout`, or not answered a goodbye for
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

    /// Once goodbye is said, tells the client not to wait for more.
    pub(super) fn finish_writing(&self) {
        let inner = self.lock();
        if let (Wire::Tcp(stream), Some(waiting)) = (&inner.wire, &inner.waiting)
            && matches!(waiting.closing, Closing::Said(_))
            && waiting.rest.is_empty()
        {
            // One that is gone needs no telling.
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }

    /// Closes the socket. With `reset` the kernel throws away what the client has not taken.
    pub(super) fn hang_up(&self, reset: bool) {
        let mut inner = self.lock();
        let wire = std::mem::replace(&mut inner.wire, Wire::Gone);
        inner.waiting = None;
        drop(inner);
        if let Wire::Tcp(stream) = wire
            && reset
        {
            // Otherwise the kernel keeps it for minutes, which is no more than a waste.
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing that holds the lock can panic halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Writes a message at once; what the kernel does not take is put into the box. `false` if this is no time to write:
    /// then there is a box to put it into.
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
            // Whatever the error, the worker hears of it, too.
            let _ = waiting.flush(stream);
            self.forget_nothing();
        }
    }

    /// Gives the box back when it is empty.
    fn forget_nothing(&mut self) {
        if self.waiting.as_ref().is_some_and(|waiting| waiting.is_empty()) {
            self.waiting = None;
        }
    }
}
