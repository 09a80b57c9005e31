//! One frame of a WebSocket as bytes: parses those of clients, and builds those of the server.
//!
//! Only clients mask their frames, so a frame of the server is the same for every client.

use std::io::Cursor;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{
    Error,
    error::{CapacityError, ProtocolError},
    protocol::frame::{FrameHeader, coding::OpCode},
};

/// Bytes of the longest header that the server sends: two, and eight for the length.
const MAX_HEADER_BYTES: usize = 10;
/// Bytes of the longest payload of a control frame.
pub(super) const MAX_CONTROL_BYTES: usize = 125;

/// A frame of a client, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its kind.
    pub(super) opcode: OpCode,
    /// Whether it is the last frame of its message.
    pub(super) is_final: bool,
    /// Its content.
    pub(super) payload: Vec<u8>,
}

/// Parses the first frame of `bytes`, and returns it with its length. `None` if it has not arrived completely.
///
/// A wrong frame is refused by its header, before any of its payload is kept.
///
/// # Errors
/// Fails if the frame breaks the protocol, or is longer than `max_bytes`.
pub(super) fn parse(bytes: &[u8], max_bytes: usize) -> Result<Option<(Frame, usize)>, Error> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(None) };
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    // A longer control frame breaks the protocol, whatever our own limit is.
    let breaks_protocol = matches!(header.opcode, OpCode::Control(_)) && size > MAX_CONTROL_BYTES;
    if size > max_bytes && !breaks_protocol {
        return Err(CapacityError::MessageTooLong { size, max_size: max_bytes }.into());
    }
    let mask = check(&header, size)?;
    let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    // Both numbers are small: the header has at most 14 bytes, and the size is checked.
    let end = start + size;
    let Some(masked) = bytes.get(start..end) else { return Ok(None) };
    let mut payload = masked.to_vec();
    unmask(&mut payload, mask);
    Ok(Some((Frame { opcode: header.opcode, is_final: header.is_final, payload }, end)))
}

/// Checks a header. Returns its mask.
fn check(header: &FrameHeader, size: usize) -> Result<[u8; 4], ProtocolError> {
    let mask = header.mask.ok_or(ProtocolError::UnmaskedFrameFromClient)?;
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(ProtocolError::NonZeroReservedBits);
    }
    if matches!(header.opcode, OpCode::Control(_)) {
        if !header.is_final {
            return Err(ProtocolError::FragmentedControlFrame);
        }
        if size > MAX_CONTROL_BYTES {
            return Err(ProtocolError::ControlFrameTooBig);
        }
    }
    Ok(mask)
}

/// Unmasks four bytes at a time. The compiler turns this into larger steps.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let word = u32::from_ne_bytes(mask);
    let (words, rest) = payload.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// The header of a frame of the server.
pub(super) struct Header {
    /// The header, followed by zeros.
    bytes: [u8; MAX_HEADER_BYTES],
    /// How many of the bytes are the header.
    length: usize,
}

impl Header {
    /// The header of a whole message or a control frame, with a payload of this many bytes.
    pub(super) fn new(opcode: OpCode, payload_bytes: usize) -> Self {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let mut bytes = [0; MAX_HEADER_BYTES];
        let mut rest = bytes.as_mut_slice();
        header.format(payload_bytes as u64, &mut rest).expect("the longest header fits");
        let length = MAX_HEADER_BYTES - rest.len();
        Self { bytes, length }
    }

    /// The bytes of the header.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The bytes of a frame after the first `written` ones. They share the payload's memory, unless a part of the header is left.
pub(super) fn rest(header: &Header, payload: &Bytes, written: usize) -> Bytes {
    let header = header.as_bytes();
    match header.get(written..) {
        Some(unwritten) if !unwritten.is_empty() => [unwritten, payload].concat().into(),
        _ => payload.slice(written - header.len()..),
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data};

    use super::*;

    #[test]
    fn a_frame_is_parsed_once_it_is_complete() {
        // "Hi", masked with 1, 2, 3, 4.
        let bytes = [0x81, 0x82, 1, 2, 3, 4, b'H' ^ 1, b'i' ^ 2, 0x99];
        for length in 0..8 {
            assert!(parse(&bytes[..length], 100).unwrap().is_none(), "{length} bytes are no frame");
        }
        let frame = Frame { opcode: OpCode::Data(Data::Text), is_final: true, payload: b"Hi".to_vec() };
        assert_eq!(parse(&bytes, 100).unwrap(), Some((frame, 8)));
    }

    #[test]
    fn an_invalid_frame_is_refused_by_its_header() {
        let too_long = [0x82, 0xfe, 0x40, 0x01];
        // Without its mask, the header is not complete.
        assert!(parse(&too_long, 16 * 1024).unwrap().is_none());
        let refused = |bytes: &[u8]| parse(bytes, 16 * 1024).unwrap_err();
        assert!(matches!(refused(&[0x82, 0xfe, 0x40, 0x01, 0, 0, 0, 0]), Error::Capacity(_)));
        assert!(matches!(refused(&[0xF2, 0xfe, 0x40, 0x01, 0, 0, 0, 0]), Error::Capacity(_)), "the length comes first");
        assert!(matches!(refused(&[0x82, 0x05]), Error::Protocol(ProtocolError::UnmaskedFrameFromClient)));
        assert!(matches!(refused(&[0x83, 0x80, 0, 0, 0, 0]), Error::Protocol(ProtocolError::InvalidOpcode(3))));
        let giant_pong = [0x8A, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0];
        assert!(matches!(refused(&giant_pong), Error::Protocol(ProtocolError::ControlFrameTooBig)));
    }

    #[test]
    fn headers_use_the_shortest_form_of_the_length() {
        let header = |bytes| Header::new(OpCode::Data(Data::Binary), bytes).as_bytes().to_vec();
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(Header::new(OpCode::Control(Control::Ping), 0).as_bytes(), [0x89, 0]);
    }

    #[test]
    fn rest_returns_the_bytes_that_are_not_written_yet() {
        let payload = Bytes::from(vec![7; 200]);
        let header = Header::new(OpCode::Data(Data::Text), payload.len());
        let whole = [header.as_bytes(), &payload].concat();
        for written in 0..whole.len() {
            assert_eq!(rest(&header, &payload, written), whole[written..], "{written} bytes are written");
        }
    }
}
