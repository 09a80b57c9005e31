//! The few bytes of HTTP and WebSocket that a viewer needs, without a library between the clock and the socket.

/// Any key will do, because these answers are not cached.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Viewers must mask their frames. Any mask will do.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
/// Payloads up to here have a length of one byte.
const SHORT: usize = 125;

/// A whole text message.
pub(crate) const TEXT: u8 = 0x1;
/// The end of the connection.
pub(crate) const CLOSE: u8 = 0x8;
/// A ping, which a pong must answer.
pub(crate) const PING: u8 = 0x9;
/// The answer to a ping.
pub(crate) const PONG: u8 = 0xa;

/// The request that opens the room of a page.
pub(crate) fn handshake(host: &str, page: &str) -> Vec<u8> {
    let room = page.replace('/', "%2F");
    format!(
        "GET /parties/page/{room} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes()
}

/// The length of a request or answer with its empty line, once it has arrived completely.
pub(crate) fn head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// A frame from a viewer.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(opcode, payload.len(), 0x80);
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A text frame from a server.
pub(crate) fn text(payload: &[u8]) -> Vec<u8> {
    let mut frame = header(TEXT, payload.len(), 0);
    frame.extend_from_slice(payload);
    frame
}

fn header(opcode: u8, length: usize, mask_bit: u8) -> Vec<u8> {
    let mut header = vec![0x80 | opcode];
    match u16::try_from(length) {
        Ok(_) if length <= SHORT => header.push(mask_bit | length.to_le_bytes()[0]),
        Ok(length) => {
            header.push(mask_bit | 126);
            header.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            header.push(mask_bit | 127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    header
}

/// A frame at the beginning of some bytes.
pub(crate) struct Frame<'a> {
    /// What kind of frame it is.
    pub(crate) opcode: u8,
    /// The content. If there is a mask, it is still masked.
    pub(crate) payload: &'a [u8],
    /// The mask. Zeros if there is none.
    pub(crate) mask: [u8; 4],
    /// Bytes of the whole frame.
    pub(crate) length: usize,
}

impl Frame<'_> {
    /// The content, unmasked.
    pub(crate) fn unmasked(&self) -> Vec<u8> {
        self.payload.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
    }
}

/// The first frame, if it has arrived completely.
pub(crate) fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (size, mut start) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        size => (usize::from(size), 2),
    };
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        mask = bytes.get(start..start + 4)?.try_into().ok()?;
        start += 4;
    }
    let end = start.checked_add(size)?;
    Some(Frame { opcode: first & 0x0f, payload: bytes.get(start..end)?, mask, length: end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_read_as_they_were_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|idx: usize| idx.to_le_bytes()[0]).collect();
            let bytes = masked(TEXT, &payload);
            for cut in [0, 1, bytes.len() - 1] {
                assert!(frame(&bytes[..cut]).is_none(), "{cut} of {} bytes are no frame", bytes.len());
            }
            let frame = frame(&bytes).unwrap();
            assert_eq!((frame.opcode, frame.length), (TEXT, bytes.len()));
            assert_eq!(frame.unmasked(), payload);
        }
    }
}
