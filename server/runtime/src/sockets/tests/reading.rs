//! Compares our reader with tungstenite's on random bytes, with limits so low that they are reached.

use std::io::{self, Cursor, Read, Write};

use proptest::{collection::vec, prelude::*};
use tokio_tungstenite::tungstenite::{
    Error, Message as Frame, WebSocket,
    protocol::{Role, WebSocketConfig},
};

use super::super::reader::{Incoming, Reader};
use crate::party::Message;

/// This is longer than any frame of the test with its header.
const PADDING: usize = 1024;

/// What a reader made of bytes: the messages, then how it ended.
#[derive(Debug, PartialEq)]
enum Heard {
    Message(Message),
    Ping(Vec<u8>),
    Pong,
    Close(u16),
    Failed(String),
}

/// How it failed. The two readers have different errors for invalid UTF-8.
fn failed(error: &Error) -> Heard {
    Heard::Failed(match error {
        Error::Utf8(_) => "no UTF-8".to_owned(),
        error => error.to_string(),
    })
}

/// What our reader makes of bytes that arrive in pieces.
fn ours(pieces: &[&[u8]], max_bytes: usize) -> Vec<Heard> {
    let mut heard = Vec::new();
    let mut reader = Reader::default();
    for piece in pieces {
        let read = reader.read(piece, max_bytes, |incoming| {
            heard.push(match incoming {
                Incoming::Message(message) => Heard::Message(message),
                Incoming::Ping(payload) => Heard::Ping(payload.to_vec()),
                Incoming::Pong => Heard::Pong,
                Incoming::Part => return true,
                Incoming::Close(close) => Heard::Close(close.code),
            });
            !matches!(heard.last(), Some(Heard::Close(_)))
        });
        if let Err(error) = read {
            heard.push(failed(&error));
            return heard;
        }
        if let Some(Heard::Close(_)) = heard.last() {
            return heard;
        }
    }
    heard
}

/// A stream that provides bytes and accepts any.
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(bytes: Vec<u8>, max_bytes: usize) -> Vec<Heard> {
    let config = WebSocketConfig::default().max_message_size(Some(max_bytes)).max_frame_size(Some(max_bytes));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), Role::Server, Some(config));
    let mut heard = Vec::new();
    loop {
        heard.push(match socket.read() {
            Ok(Frame::Text(text)) => Heard::Message(Message::Text(text)),
            Ok(Frame::Binary(bytes)) => Heard::Message(Message::Binary(bytes)),
            Ok(Frame::Ping(payload)) => Heard::Ping(payload.to_vec()),
            Ok(Frame::Pong(_)) => Heard::Pong,
            Ok(Frame::Close(frame)) => Heard::Close(frame.map_or(1005, |frame| frame.code.into())),
            Ok(Frame::Frame(_)) => unreachable!("only for writing"),
            Err(error) => failed(&error),
        });
        if let Some(Heard::Close(_) | Heard::Failed(_)) = heard.last() {
            return heard;
        }
    }
}

/// A frame that may be valid: its kind, whether it is the last, and its content. Rarely it is invalid.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![8 => 0_u8..3, 4 => 8_u8..11, 1 => 0_u8..16];
    let first = (opcode, prop::bool::weighted(0.6), prop::bool::weighted(0.03))
        .prop_map(|(opcode, is_final, reserved)| opcode | u8::from(is_final) << 7 | u8::from(reserved) << 5);
    let text = "[a-zé→🦀]{0,30}".prop_map(String::into_bytes);
    let closing = prop_oneof![0_u16..5010, Just(1000)].prop_map(|code| code.to_be_bytes().to_vec());
    let payload = prop_oneof![6 => text, 2 => vec(any::<u8>(), 0..200), 2 => closing, 2 => Just(Vec::new())];
    (first, payload, any::<[u8; 4]>(), prop::bool::weighted(0.97)).prop_map(|(first, payload, mask, is_masked)| {
        let mut frame = vec![first];
        let masked = u8::from(is_masked) << 7;
        match u8::try_from(payload.len()) {
            Ok(length @ 0..126) => frame.push(masked | length),
            _ => {
                frame.push(masked | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        if is_masked {
            frame.extend(mask);
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend(payload);
        }
        frame
    })
}

/// A text message in parts, which may be split within a character.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    ("[a-zé→🦀]{0,20}", vec(0_usize..60, 0..4)).prop_map(|(text, mut cuts)| {
        let bytes = text.into_bytes();
        cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut frames = Vec::new();
        let mut start = 0;
        for (number, end) in cuts.iter().enumerate() {
            let opcode = u8::from(number == 0);
            let is_final = u8::from(number + 1 == cuts.len()) << 7;
            frames.extend([opcode | is_final, 0x80 | u8::try_from(end - start).unwrap(), 0, 0, 0, 0]);
            frames.extend(&bytes[start..*end]);
            start = *end;
        }
        frames
    })
}

/// Whether this is the reason for refusing a frame that is longer than any control frame.
fn names_long_frame(reason: &str) -> bool {
    let size = reason.strip_prefix("Space limit exceeded: Message too long: ").and_then(|rest| rest.split(' ').next());
    size.and_then(|size| size.parse::<u64>().ok()).is_some_and(|size| size > 125)
}

fn check(mut bytes: Vec<u8>, cuts: &[usize], max_bytes: usize) {
    // This makes the last frame complete, and adds an invalid one. Our reader refuses a wrong frame by its header.
    bytes.extend([0; PADDING]);
    let mut pieces = Vec::new();
    let mut rest = bytes.as_slice();
    for cut in cuts {
        let (piece, others) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces.push(rest);
    let (mut ours, mut theirs) = (ours(&pieces, max_bytes), theirs(bytes.clone(), max_bytes));
    // A control frame of more than 125 bytes breaks the protocol, but theirs names the limit of bytes first.
    let is_protocol =
        matches!(ours.last(), Some(Heard::Failed(reason)) if reason.starts_with("WebSocket protocol error"));
    if is_protocol && matches!(theirs.last(), Some(Heard::Failed(reason)) if names_long_frame(reason)) {
        ours.pop();
        theirs.pop();
    }
    assert_eq!(ours, theirs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_readers_agree_on_random_frames(
        frames in vec(prop_oneof![3 => frame(), 2 => parts()], 0..8),
        cuts in vec(0_usize..40, 0..20),
        max_bytes in prop_oneof![Just(40_usize), Just(300)],
    ) {
        check(frames.concat(), &cuts, max_bytes);
    }

    #[test]
    fn both_readers_agree_on_random_bytes(
        bytes in vec(any::<u8>(), 0..300),
        cuts in vec(0_usize..40, 0..20),
    ) {
        check(bytes, &cuts, 40);
    }
}
