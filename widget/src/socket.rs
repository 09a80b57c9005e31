//! Step 2, connect: one WebSocket to the room of the host page. It is opened again whenever it is lost.

use connection_counter_protocol::close;

use crate::dom::{self, now_ms, random};
use crate::timers::alarm;

// The numbers for reconnecting, in milliseconds.
/// Longest wait before the first attempt. Half a second of jitter spreads out the viewers of a busy server.
const FIRST_DELAY_MS: f64 = 500.0;
/// Longest wait before any attempt: long enough for a server in trouble, short enough for someone who is still reading.
const LONGEST_DELAY_MS: f64 = 30_000.0;
/// If a connection lasted this long, delays start small again. If it was shorter, the server may accept connections and then
/// fail, and needs time.
const STABLE_AFTER_MS: f64 = 5_000.0;
/// After a reconnect, lower counts are held back at least this long, and as long as our own next delay could have been. By then
/// nearly everyone who lost the server with us is back, and no page has shown the restart.
const SHORTEST_HOLD_MS: f64 = 5_000.0;

/// A server that does not answer for this long is gone. Slow networks take two or three seconds.
const ANSWER_WITHIN_MS: f64 = 10_000.0;
/// The server answers this text at once.
const PROBE: &str = "ping";

// The rate of messages. The server takes 30 messages at once and then 5 a second. We stay below both.
/// Messages that may be sent at once.
const MESSAGES_AT_ONCE: f64 = 16.0;
/// Time between messages after that.
const MESSAGE_INTERVAL_MS: f64 = 250.0;

/// The connection to one room at a time.
pub(crate) struct Socket {
    /// What leads to the room that we are in, or want to be in. Empty if there is none.
    room: String,
    state: State,
    /// Since when the connection is open.
    since_ms: f64,
    backoff: Backoff,
    pace: Pace,
    /// A connection broke, and no new one has opened yet.
    lost: bool,
    /// We wait for the server's answer to a probe.
    is_probing: bool,
}

#[derive(PartialEq)]
enum State {
    /// In no room, and not connecting.
    Away,
    Connecting,
    Open,
    /// The connection was lost or refused, and we will try again.
    Waiting,
    /// The server refuses us in this room.
    Refused,
}

impl Socket {
    pub(crate) const fn new() -> Self {
        Self {
            room: String::new(),
            state: State::Away,
            since_ms: 0.0,
            backoff: Backoff::NEW,
            pace: Pace { due_ms: 0.0 },
            lost: false,
            is_probing: false,
        }
    }

    /// Whether we are in this room, or connecting to it.
    pub(crate) fn is_in(&self, room: &str) -> bool {
        self.room == room
    }

    /// Moves to another room, or leaves if it is empty. Returns whether there was a room before.
    pub(crate) fn join(&mut self, room: String) -> bool {
        let was_somewhere = !self.room.is_empty();
        self.room = room;
        self.connect();
        was_somewhere
    }

    /// Opens the room's WebSocket. The old one is closed first, so that a viewer is never counted twice.
    pub(crate) fn connect(&mut self) {
        self.end(State::Away);
        self.heard();
        dom::wait(alarm::RETRY, -1.0);
        if self.room.is_empty() {
            return dom::leave();
        }
        // If it cannot even be tried, trying again would not help.
        self.state = if dom::connect(&self.room) { State::Connecting } else { State::Refused };
    }

    /// The connection is open. If an earlier one was lost, returns for how many milliseconds lower counts should be held back.
    pub(crate) fn opened(&mut self) -> Option<f64> {
        if self.state == State::Connecting {
            self.state = State::Open;
            self.since_ms = now_ms();
        }
        self.pace = Pace::default();
        std::mem::take(&mut self.lost).then(|| self.backoff.ceiling_ms.max(SHORTEST_HOLD_MS))
    }

    /// The server has answered, or we have left.
    pub(crate) fn heard(&mut self) {
        if std::mem::take(&mut self.is_probing) {
            dom::wait(alarm::ANSWER, -1.0);
        }
    }

    /// Asks the server whether it is still there. If the viewer has come back, a lost connection is tried again soon.
    pub(crate) fn probe(&mut self, is_back: bool) {
        match self.state {
            State::Open if !self.is_probing => {
                self.is_probing = true;
                self.send(PROBE);
                dom::wait(alarm::ANSWER, ANSWER_WITHIN_MS);
            }
            State::Waiting if is_back => {
                self.backoff = Backoff::NEW;
                self.retry_later();
            }
            _ => {}
        }
    }

    /// The connection is gone. Returns whether we will connect again, or `None` if it was an old connection.
    pub(crate) fn closed(&mut self, code: u16, reason: &str) -> Option<bool> {
        match self.state {
            State::Connecting => {}
            State::Open => {
                self.lost = true;
                self.backoff.lived(now_ms() - self.since_ms);
            }
            _ => return None,
        }
        self.heard();
        let is_back_soon = code != close::POLICY;
        if is_back_soon {
            self.retry_later();
        } else {
            dom::refused(reason);
            self.end(State::Refused);
        }
        Some(is_back_soon)
    }

    fn retry_later(&mut self) {
        dom::wait(alarm::RETRY, self.backoff.next_delay_ms(random()));
        self.end(State::Waiting);
    }

    /// Closes the browser's WebSocket, if there is one.
    fn end(&mut self, state: State) {
        self.state = state;
        dom::disconnect();
    }

    /// In how many milliseconds a message may be sent. `None` while there is no connection.
    pub(crate) fn wait_ms(&self) -> Option<f64> {
        (self.state == State::Open).then(|| self.pace.wait_ms(now_ms()))
    }

    /// Sends `message`.
    pub(crate) fn send(&mut self, message: &str) {
        if self.state == State::Open {
            dom::send(message);
            self.pace.spend(now_ms());
        }
    }
}

/// How long to wait before the next attempt. It is a random time below a ceiling that doubles ("full jitter"), so that viewers
/// who lost a server together do not all come back together.
struct Backoff {
    /// The longest that the next delay can be.
    ceiling_ms: f64,
}

impl Backoff {
    const NEW: Self = Self { ceiling_ms: FIRST_DELAY_MS };

    /// The next delay. `random` is from 0 up, below 1.
    fn next_delay_ms(&mut self, random: f64) -> f64 {
        let delay_ms = self.ceiling_ms * random;
        self.ceiling_ms = (self.ceiling_ms * 2.0).min(LONGEST_DELAY_MS);
        delay_ms
    }

    /// A connection lasted this long.
    fn lived(&mut self, lived_ms: f64) {
        if lived_ms >= STABLE_AFTER_MS {
            *self = Self::NEW;
        }
    }
}

/// Keeps us below the server's message rate, however often a page changes its links.
#[derive(Default)]
struct Pace {
    /// The time until which all messages are paid for, if each takes [`MESSAGE_INTERVAL_MS`].
    due_ms: f64,
}

impl Pace {
    fn wait_ms(&self, now_ms: f64) -> f64 {
        (self.due_ms - now_ms - (MESSAGES_AT_ONCE - 1.0) * MESSAGE_INTERVAL_MS).max(0.0)
    }

    fn spend(&mut self, now_ms: f64) {
        self.due_ms = self.due_ms.max(now_ms) + MESSAGE_INTERVAL_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_delay() {
        let mut backoff = Backoff::NEW;
        let ceilings: Vec<f64> = (0..9).map(|_| backoff.next_delay_ms(1.0)).collect();
        assert_eq!(ceilings, [500.0, 1e3, 2e3, 4e3, 8e3, 16e3, 30e3, 30e3, 30e3]);
    }

    #[test]
    fn the_delay_is_a_random_part_of_its_ceiling() {
        let mut backoff = Backoff { ceiling_ms: 4e3 };
        assert_eq!(backoff.next_delay_ms(0.0), 0.0);
        assert_eq!(backoff.next_delay_ms(0.5), 4e3);
    }

    #[test]
    fn only_stable_connections_reset_the_delay() {
        let mut backoff = Backoff { ceiling_ms: 8e3 };
        backoff.lived(STABLE_AFTER_MS - 1.0);
        assert_eq!(backoff.ceiling_ms, 8e3);
        backoff.lived(STABLE_AFTER_MS);
        assert_eq!(backoff.ceiling_ms, FIRST_DELAY_MS);
    }

    #[test]
    fn a_burst_of_messages_is_allowed_and_then_one_at_a_time() {
        let mut pace = Pace::default();
        for _ in 0..16 {
            assert_eq!(pace.wait_ms(1_000.0), 0.0);
            pace.spend(1_000.0);
        }
        assert_eq!(pace.wait_ms(1_000.0), MESSAGE_INTERVAL_MS);
        assert_eq!(pace.wait_ms(1_100.0), MESSAGE_INTERVAL_MS - 100.0);
        assert_eq!(pace.wait_ms(1_250.0), 0.0);
    }

    #[test]
    fn a_quiet_time_restores_one_burst_at_most() {
        let mut pace = Pace::default();
        pace.spend(0.0);
        let sent = (0..100).filter(|_| {
            let may = pace.wait_ms(60_000.0) == 0.0;
            if may {
                pace.spend(60_000.0);
            }
            may
        });
        assert_eq!(sent.count(), 16);
    }
}
