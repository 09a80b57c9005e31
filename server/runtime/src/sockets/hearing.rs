//! Reads from one client: how much it may send now, and what its bytes mean.

use std::{io::ErrorKind, time::Instant};

use tokio_tungstenite::tungstenite::Error as FrameError;

use super::{
    Ears,
    pace::Pace,
    reader::{Incoming, Reader},
    worker::Worker,
};
use crate::{
    close::{self, Close},
    notice::Notice,
    party::Message,
};

/// Reads from one socket in a row. If it has more, it is read again after the others.
const READS_IN_A_ROW: usize = 8;

/// Whether a client is still listened to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    Yes,
    /// It has sent a close frame.
    Done,
    /// It broke the protocol, so its bytes have no meaning any more.
    Broken,
}

/// Why a socket is served now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The kernel has bytes of the client, or takes more of ours.
    Ready,
    /// The client was paused, and may have gone since then.
    PauseOver,
    /// The client sends no more.
    HungUp,
}

/// What follows after a read.
pub(super) enum Next {
    /// Nothing. The kernel reports when more arrives.
    Wait,
    /// Read again at this time, because the client is too fast, or because others must get their turn.
    Pause(Instant),
    /// The connection has ended.
    End(Close),
}

/// What a worker knows of a client that it reads from.
pub(super) struct Hearing {
    /// What has arrived in part.
    reader: Reader,
    /// How fast it may send.
    pace: Pace,
    /// Whether it is still listened to.
    listening: Listening,
    /// When it last sent anything, in milliseconds of the worker's clock. The value wraps after 49 days. No connection is
    /// silent for half of that.
    heard_at_ms: u32,
    /// It is paused until a set time, whatever it sends.
    pub(super) is_paused: bool,
    /// It sends no more. What has arrived is read without a pause, as far as one burst allows.
    has_hung_up: bool,
}

impl Hearing {
    /// A new client, with the bytes that arrived with its handshake.
    pub(super) fn new(already_read: &[u8], now_ms: u64) -> Self {
        let reader = Reader::keeping(already_read);
        Self {
            reader,
            pace: Pace::new(),
            listening: Listening::Yes,
            heard_at_ms: wrap(now_ms),
            is_paused: false,
            has_hung_up: false,
        }
    }

    /// For how many milliseconds it has sent nothing.
    pub(super) fn silent_ms(&self, now_ms: u64) -> u64 {
        // It may have sent something after the caller read the clock.
        wrap(now_ms).wrapping_sub(self.heard_at_ms).cast_signed().max(0).unsigned_abs().into()
    }

    /// Takes notice that the client has hung up. The last messages of a client that was too fast are read now, so that it is not
    /// counted for longer than it is there.
    pub(super) fn hangs_up(&mut self) {
        if !self.has_hung_up {
            self.has_hung_up = true;
            self.is_paused = false;
            self.pace = Pace::new();
        }
    }

    /// Whether it broke the protocol.
    pub(super) fn is_broken(&self) -> bool {
        self.listening == Listening::Broken
    }
}

impl<E: Ears> Worker<E> {
    /// Reads what has arrived. With `to_the_end` it reads on after a short read.
    pub(super) fn hear(
        &self,
        connection: &E::Connection,
        hearing: &mut Hearing,
        to_the_end: bool,
        buffer: &mut [u8],
    ) -> Next {
        let socket = connection.as_ref();
        let now = Instant::now();
        let now_ms = self.ms(now);
        let gone = |reason: &str| Next::End(socket.unanswered().unwrap_or_else(|| Close::abnormal(reason)));
        if hearing.reader.has_bytes() {
            self.take_in(connection, hearing, &[], now_ms);
        }
        let mut is_drained = false;
        for _ in 0..READS_IN_A_ROW {
            let wait = hearing.pace.wait(self.limits.allowance, now_ms);
            if !wait.is_zero() && !socket.is_closing() {
                return if hearing.has_hung_up { gone("it ended without a goodbye") } else { Next::Pause(now + wait) };
            }
            if is_drained {
                return Next::Wait;
            }
            match socket.read(buffer) {
                Ok(0) => return gone("it ended without a goodbye"),
                Ok(length) => {
                    hearing.heard_at_ms = wrap(now_ms);
                    self.take_in(connection, hearing, buffer.get(..length).unwrap_or_default(), now_ms);
                    is_drained = length < buffer.len() && !to_the_end;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return gone(&error.to_string()),
            }
        }
        Next::Pause(now)
    }

    /// Handles the bytes. After a close frame or a protocol error they are dropped.
    fn take_in(&self, connection: &E::Connection, hearing: &mut Hearing, bytes: &[u8], now_ms: u64) {
        if hearing.listening != Listening::Yes {
            return;
        }
        let Worker { ears, limits, .. } = self;
        let Hearing { reader, pace, listening, .. } = hearing;
        let socket = connection.as_ref();
        let read = reader.read(bytes, limits.message_bytes, |incoming| {
            pace.count(limits.allowance, now_ms);
            match incoming {
                Incoming::Message(_) if socket.is_closing() => {}
                Incoming::Message(Message::Text(text)) if text.as_str() == "ping" => {
                    // One that cannot take it is closing.
                    let _ = socket.send(Message::text("pong"), limits.send_queue_bytes);
                }
                Incoming::Message(message) => {
                    if let Err(close) = ears.heard(connection, message) {
                        socket.close(close);
                    }
                }
                Incoming::Ping(payload) => socket.pong(payload),
                Incoming::Part | Incoming::Pong => {}
                Incoming::Close(close) => {
                    socket.answer_goodbye(close);
                    *listening = Listening::Done;
                }
            }
            *listening == Listening::Yes && (pace.wait(limits.allowance, now_ms).is_zero() || socket.is_closing())
        });
        if let Err(error) = read {
            tell(&error);
            socket.close(Close::new(code_of(&error), &error.to_string()));
            socket.finish_writing();
            *listening = Listening::Broken;
        }
        if *listening != Listening::Yes {
            *reader = Reader::default();
        }
    }
}

fn wrap(ms: u64) -> u32 {
    (ms % (1 << u32::BITS)) as u32
}

/// Logs that a client broke the protocol. If a flag allows more, it is named.
fn tell(error: &FrameError) {
    static TOO_BIG: Notice = Notice::warning();
    tracing::debug!(%error, "a client broke the protocol");
    if let FrameError::Capacity(_) = error {
        TOO_BIG.give(|| {
            "a connection was closed, because it sent a message that is larger than --max-message-bytes allows"
                .to_owned()
        });
    }
}

/// The close code for a client that broke the protocol.
fn code_of(error: &FrameError) -> u16 {
    match error {
        FrameError::Capacity(_) => close::TOO_BIG,
        FrameError::Utf8(_) => close::INVALID_TEXT,
        FrameError::Protocol(_) => close::PROTOCOL,
        _ => close::INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_measured_correctly_when_the_clock_wraps() {
        let round_ms = 1 << u32::BITS;
        for heard_ms in [5_000, round_ms - 500, round_ms + 7] {
            let hearing = Hearing::new(&[], heard_ms);
            assert_eq!(hearing.silent_ms(heard_ms + 1_000), 1_000);
            assert_eq!(hearing.silent_ms(heard_ms - 2), 0, "it was heard after the clock was read");
        }
    }
}
