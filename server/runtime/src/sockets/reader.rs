//! Turns the bytes of a client into its messages.
//!
//! A silent connection needs no memory for this. It is allocated only while a frame or message has arrived in part.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{
    Error, Utf8Bytes,
    error::{CapacityError, ProtocolError},
    protocol::frame::coding::{CloseCode, Control, Data, OpCode},
};

use super::frame::{self, Frame};
use crate::{close::Close, party::Message};

/// A close code that was registered after RFC 6455.
const BAD_GATEWAY: u16 = 1014;

/// The meaning of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A complete message.
    Message(Message),
    /// A part of a message. More will follow.
    Part,
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// A close frame.
    Close(Close),
}

/// The parts of a message that have arrived.
struct Parts {
    /// Whether it is a text, so that its bytes must be UTF-8.
    is_text: bool,
    /// The bytes so far.
    bytes: Vec<u8>,
    /// How many of the bytes have been checked to be UTF-8.
    checked: usize,
}

/// What is kept of a connection between two reads. Usually nothing.
#[derive(Default)]
pub(super) struct Reader(Option<Box<Kept>>);

#[derive(Default)]
struct Kept {
    /// Bytes that are read, but not parsed yet.
    bytes: Vec<u8>,
    /// The message whose parts are arriving.
    parts: Option<Parts>,
}

impl Reader {
    /// A reader with bytes that were read before.
    pub(super) fn keeping(bytes: &[u8]) -> Self {
        let kept = (!bytes.is_empty()).then(|| Box::new(Kept { bytes: bytes.to_vec(), parts: None }));
        Self(kept)
    }

    /// Whether there are bytes that may be a complete frame.
    pub(super) fn has_bytes(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| !kept.bytes.is_empty())
    }

    /// Parses the kept bytes, followed by `bytes`. Passes the meaning of each frame to `take`, until that returns `false` or no
    /// complete frame is left. Keeps the rest.
    ///
    /// # Errors
    /// Fails if the client breaks the protocol, or sends a message of more than `max_bytes`. Nothing more can be read then.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        max_bytes: usize,
        mut take: impl FnMut(Incoming) -> bool,
    ) -> Result<(), Error> {
        let mut kept = self.0.take().unwrap_or_default();
        let mut own = std::mem::take(&mut kept.bytes);
        let all = if own.is_empty() {
            bytes
        } else {
            own.extend_from_slice(bytes);
            &own
        };
        let mut taken = 0;
        let mut goes_on = true;
        while goes_on && let Some((frame, length)) = frame::parse(all.get(taken..).unwrap_or_default(), max_bytes)? {
            taken += length;
            goes_on = take(meaning(&mut kept.parts, frame, max_bytes)?);
        }
        kept.bytes = if own.is_empty() {
            bytes.get(taken..).unwrap_or_default().to_vec()
        } else if taken > 0 {
            own.split_off(taken)
        } else {
            // This avoids copying a long frame for each of its pieces.
            own
        };
        if !kept.bytes.is_empty() || kept.parts.is_some() {
            self.0 = Some(kept);
        }
        Ok(())
    }
}

fn meaning(parts: &mut Option<Parts>, frame: Frame, max_bytes: usize) -> Result<Incoming, Error> {
    match frame.opcode {
        OpCode::Control(Control::Ping) => Ok(Incoming::Ping(frame.payload.into())),
        OpCode::Control(Control::Pong) => Ok(Incoming::Pong),
        OpCode::Control(Control::Close) => close(&frame.payload).map(Incoming::Close),
        OpCode::Control(Control::Reserved(code)) => Err(ProtocolError::UnknownControlFrameType(code).into()),
        OpCode::Data(data) => part(parts, data, frame, max_bytes),
    }
}

/// Adds a part to its message.
fn part(parts: &mut Option<Parts>, data: Data, frame: Frame, max_bytes: usize) -> Result<Incoming, Error> {
    let mut message = match (data, parts.take()) {
        (Data::Continue, None) => return Err(ProtocolError::UnexpectedContinueFrame.into()),
        (Data::Continue, Some(message)) => message,
        (_, Some(_)) => return Err(ProtocolError::ExpectedFragment(data).into()),
        (Data::Text | Data::Binary, None) => Parts { is_text: data == Data::Text, bytes: Vec::new(), checked: 0 },
        (Data::Reserved(code), None) => return Err(ProtocolError::UnknownDataFrameType(code).into()),
    };
    message.add(frame.payload, max_bytes)?;
    if frame.is_final {
        return message.finish().map(Incoming::Message);
    }
    *parts = Some(message);
    Ok(Incoming::Part)
}

impl Parts {
    fn add(&mut self, payload: Vec<u8>, max_bytes: usize) -> Result<(), Error> {
        let size = self.bytes.len() + payload.len();
        if size > max_bytes {
            return Err(CapacityError::MessageTooLong { size, max_size: max_bytes }.into());
        }
        if self.bytes.is_empty() {
            self.bytes = payload;
        } else {
            self.bytes.extend_from_slice(&payload);
        }
        if self.is_text { self.check() } else { Ok(()) }
    }

    /// Text that can no longer become valid UTF-8 is refused at once.
    fn check(&mut self) -> Result<(), Error> {
        let unchecked = self.bytes.get(self.checked..).unwrap_or_default();
        match std::str::from_utf8(unchecked) {
            Ok(_) => self.checked = self.bytes.len(),
            // The last character has not arrived completely.
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(error) => return Err(Error::Utf8(error.to_string())),
        }
        Ok(())
    }

    fn finish(self) -> Result<Message, Error> {
        let bytes = Bytes::from(self.bytes);
        if !self.is_text {
            return Ok(Message::Binary(bytes));
        }
        // All bytes are checked, except for a character that was never completed.
        Utf8Bytes::try_from(bytes).map(Message::Text).map_err(|error| Error::Utf8(error.to_string()))
    }
}

/// The content of a close frame. An invalid code breaks the protocol.
fn close(payload: &[u8]) -> Result<Close, Error> {
    match payload {
        [] => Ok(Close::without_status()),
        [_] => Err(ProtocolError::InvalidCloseSequence.into()),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let reason = std::str::from_utf8(reason).map_err(|error| Error::Utf8(error.to_string()))?;
            if CloseCode::from(code).is_allowed() || code == BAD_GATEWAY {
                Ok(Close::new(code, reason))
            } else {
                Ok(Close::new(CloseCode::Protocol.into(), "a close frame must not carry this code"))
            }
        }
    }
}
