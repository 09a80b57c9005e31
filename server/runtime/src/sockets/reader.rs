//! From the bytes of a client to its messages.
//!
//! A connection that says nothing needs none of this: what it takes exists only between the pieces of a frame or message.

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{
    Error, Utf8Bytes,
    error::{CapacityError, ProtocolError},
    protocol::frame::coding::{CloseCode, Control, Data, OpCode},
};

use super::frame::{self, Frame};
use crate::{close::Close, party::Message};

/// What a frame means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A message is whole.
    Message(Message),
    /// A part of a message, and more to come.
    Part,
    /// A question for a sign of life.
    Ping(Bytes),
    /// A sign of life.
    Pong,
    /// The client says goodbye.
    Close(Close),
}

/// What has come of a message so far.
struct Parts {
    /// Its bytes must be UTF-8.
    is_text: bool,
    /// The parts so far.
    bytes: Vec<u8>,
    /// So many of the bytes are known to be UTF-8.
    checked: usize,
}

/// What is kept of a connection between two reads; most of the time nothing.
#[derive(Default)]
pub(super) struct Reader(Option<Box<Kept>>);

#[derive(Default)]
struct Kept {
    /// Read, but not taken apart yet.
    bytes: Vec<u8>,
    /// The message whose parts are coming.
    parts: Option<Parts>,
}

impl Reader {
    /// With bytes that were read before.
    pub(super) fn keeping(bytes: &[u8]) -> Self {
        let kept = (!bytes.is_empty()).then(|| Box::new(Kept { bytes: bytes.to_vec(), parts: None }));
        Self(kept)
    }

    /// Whether bytes are kept that may be a whole frame.
    pub(super) fn has_bytes(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| !kept.bytes.is_empty())
    }

    /// Takes apart what was kept, followed by `bytes`. Hands each frame's meaning to `take`, until that answers `false`
    /// or no whole frame is left; the rest is kept.
    ///
    /// # Errors
    /// If the client breaks the protocol, or sends a message of more than `max_bytes`. Nothing more can be read then.
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
            // A long frame is not copied for each of its pieces.
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

    /// Text that cannot become UTF-8 any more is refused at once.
    fn check(&mut self) -> Result<(), Error> {
        let unchecked = self.bytes.get(self.checked..).unwrap_or_default();
        match std::str::from_utf8(unchecked) {
            Ok(_) => self.checked = self.bytes.len(),
            // The last character is not all there yet.
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
        // Checked already but for a character that was never finished.
        Utf8Bytes::try_from(bytes).map(Message::Text).map_err(|error| Error::Utf8(error.to_string()))
    }
}

/// What a close frame says. A code that no one may send is answered as a broken protocol.
fn close(payload: &[u8]) -> Result<Close, Error> {
    match payload {
        [] => Ok(Close::without_status()),
        [_] => Err(ProtocolError::InvalidCloseSequence.into()),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let reason = std::str::from_utf8(reason).map_err(|error| Error::Utf8(error.to_string()))?;
            if CloseCode::from(code).is_allowed() {
                Ok(Close::new(code, reason))
            } else {
                Ok(Close::new(CloseCode::Protocol.into(), "a close frame must not carry this code"))
            }
        }
    }
}
