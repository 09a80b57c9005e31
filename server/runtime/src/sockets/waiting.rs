//! What must still be written to a connection. It is kept in a box until the kernel has taken it.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Write},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use mio::net::TcpStream;
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::frame::{self, Header};
use crate::{
    close::{self, Close},
    party::Message,
};

/// Bytes of the largest frame that is copied behind its header to be written at once. For larger ones, passing both to the
/// kernel is cheaper.
const COPIED_FRAME_BYTES: usize = 1024;

/// What must be written, in the order of the fields.
#[derive(Default)]
pub(super) struct Waiting {
    /// The rest of a frame that the kernel took in part.
    pub(super) rest: Bytes,
    /// The answer to the newest ping.
    pub(super) pong: Option<Bytes>,
    /// Messages that are not begun yet.
    pub(super) queue: VecDeque<Message>,
    /// Bytes of these messages.
    pub(super) queued_bytes: usize,
    /// How far the closing of the connection has come.
    pub(super) closing: Closing,
    /// When the next frame began to wait, or when the close frame was sent. `None` before the handshake is answered.
    pub(super) since: Option<Instant>,
    /// Wakes the room of this process that receives all this, if there is one.
    pub(super) reader: Option<Arc<Notify>>,
}

#[derive(Default)]
pub(super) enum Closing {
    #[default]
    No,
    /// A close frame must be sent.
    Asked(Close),
    /// The close frame is sent, and not answered yet.
    Said(Close),
    /// The other side has sent a close frame, and ours must be sent.
    Answering(Close),
    /// Both sides have sent a close frame.
    Over(Close),
}

/// The socket does not work any more. The worker notices this, too, and ends the connection.
pub(super) struct Broken;

impl Waiting {
    /// Wakes the room of this process that receives messages.
    pub(super) fn wake_reader(&self) {
        if let Some(reader) = &self.reader {
            reader.notify_one();
        }
    }

    pub(super) fn flush(&mut self, stream: &TcpStream) -> Result<(), Broken> {
        loop {
            if !self.rest.is_empty() {
                let written = write_some(stream, |mut stream| stream.write(&self.rest))?;
                let left = self.rest.split_off(written.min(self.rest.len()));
                self.rest = left;
                if !self.rest.is_empty() {
                    self.since.get_or_insert_with(Instant::now);
                    return Ok(());
                }
            }
            let Some((opcode, payload)) = self.next_frame() else { return Ok(()) };
            self.since = Some(Instant::now());
            self.rest = write_frame(stream, opcode, &payload)?.unwrap_or_default();
        }
    }

    fn next_frame(&mut self) -> Option<(OpCode, Bytes)> {
        if let Some(payload) = self.pong.take() {
            return Some((OpCode::Control(Control::Pong), payload));
        }
        if let Some(message) = self.take() {
            let (opcode, payload) = parts(&message);
            return Some((opcode, payload.clone()));
        }
        let payload = match &self.closing {
            Closing::Asked(close) | Closing::Answering(close) => close_payload(close),
            Closing::No | Closing::Said(_) | Closing::Over(_) => return None,
        };
        self.closing = match std::mem::take(&mut self.closing) {
            Closing::Asked(close) => Closing::Said(close),
            Closing::Answering(close) => Closing::Over(close),
            closing => closing,
        };
        Some((OpCode::Control(Control::Close), payload))
    }

    pub(super) fn take(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.queued_bytes -= message.len();
        Some(message)
    }

    pub(super) fn forget_queue(&mut self) {
        self.queue = VecDeque::new();
        self.queued_bytes = 0;
        self.pong = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.pong.is_none() && self.queue.is_empty() && matches!(self.closing, Closing::No)
    }
}

pub(super) fn parts(message: &Message) -> (OpCode, &Bytes) {
    match message {
        Message::Text(text) => (OpCode::Data(Data::Text), text.as_ref()),
        Message::Binary(bytes) => (OpCode::Data(Data::Binary), bytes),
    }
}

fn close_payload(close: &Close) -> Bytes {
    match close.code {
        close::NO_STATUS => Bytes::new(),
        code => [&code.to_be_bytes(), close.reason.as_bytes()].concat().into(),
    }
}

/// Writes a frame. Returns what the kernel did not take of it.
pub(super) fn write_frame(stream: &TcpStream, opcode: OpCode, payload: &Bytes) -> Result<Option<Bytes>, Broken> {
    let header = Header::new(opcode, payload.len());
    let start = header.as_bytes().len();
    let length = start + payload.len();
    let mut copy = [0; COPIED_FRAME_BYTES];
    let written = match copy.get_mut(..length).and_then(|copy| copy.split_at_mut_checked(start)) {
        Some((head, body)) => {
            head.copy_from_slice(header.as_bytes());
            body.copy_from_slice(payload);
            let whole = copy.get(..length).unwrap_or_default();
            write_some(stream, |mut stream| stream.write(whole))?
        }
        None => {
            let pieces = [IoSlice::new(header.as_bytes()), IoSlice::new(payload)];
            write_some(stream, |mut stream| stream.write_vectored(&pieces))?
        }
    };
    Ok((written < length).then(|| frame::rest(&header, payload, written)))
}

/// Writes once. If the kernel's buffer is full, nothing is written.
fn write_some(stream: &TcpStream, mut write: impl FnMut(&TcpStream) -> io::Result<usize>) -> Result<usize, Broken> {
    loop {
        match write(stream) {
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Broken),
        }
    }
}
