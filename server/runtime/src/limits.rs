//! The limits on what one stranger can cost: for each, its default, its reason, and what the other side sees.

use std::time::Duration;

use clap::Args;

use crate::{
    config::{defaults, milliseconds},
    error::StartupError,
};

/// Limits on everything that a stranger can make the server hold or do. They are passed down, never global.
///
/// Each is a flag of the binary and an environment variable. A field's text is the help of its flag.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
#[non_exhaustive]
pub struct Limits {
    /// Connections in all. Never more than the number of allowed open files minus 256. Beyond: status 503.
    #[arg(long = "max-connections", env = "CONNECTION_COUNTER_MAX_CONNECTIONS", default_value_t = 100_000)]
    pub connections: usize,

    /// Connections of one room. Beyond: status 503.
    #[arg(
        long = "max-connections-per-room",
        env = "CONNECTION_COUNTER_MAX_CONNECTIONS_PER_ROOM",
        default_value_t = 100_000
    )]
    pub connections_per_room: usize,

    /// WebSockets of one address (IPv6: one /64). Raise it if whole offices share one address. Beyond: status 429. Connections
    /// of all kinds, also those that load files or ask for health, may be eight times as many. Loopback has no such limit,
    /// because it may be a proxy on the same machine.
    #[arg(
        long = "max-connections-per-address",
        env = "CONNECTION_COUNTER_MAX_CONNECTIONS_PER_ADDRESS",
        default_value_t = 64
    )]
    pub connections_per_address: u32,

    /// Bytes of memory that one address may hold: its links, the rooms they need, the bodies of its requests, and answers that
    /// it does not read. Bytes of links still count for one to two times --room-idle-ms after they are given back. Beyond: an
    /// error message for a link, status 429 for a request. Loopback has no such limit.
    #[arg(
        long = "max-bytes-per-address",
        env = "CONNECTION_COUNTER_MAX_BYTES_PER_ADDRESS",
        default_value_t = 32 * 1024 * 1024
    )]
    pub bytes_per_address: usize,

    /// WebSockets that one address may open at once before --handshakes-per-second applies. Beyond: status 429.
    #[arg(long = "handshake-burst", env = "CONNECTION_COUNTER_HANDSHAKE_BURST", default_value_t = 30)]
    pub handshake_burst: u32,

    /// WebSockets that one address may open per second after its burst. Beyond: status 429.
    #[arg(long = "handshakes-per-second", env = "CONNECTION_COUNTER_HANDSHAKES_PER_SECOND", default_value_t = 5)]
    pub handshakes_per_second: u32,

    /// Requests to parties that one address may send at once before --requests-per-second applies. Requests with the party
    /// token do not count. Beyond: status 429.
    #[arg(long = "request-burst", env = "CONNECTION_COUNTER_REQUEST_BURST", default_value_t = 60)]
    pub request_burst: u32,

    /// Requests to parties that one address may send per second after its burst. Beyond: status 429.
    #[arg(long = "requests-per-second", env = "CONNECTION_COUNTER_REQUESTS_PER_SECOND", default_value_t = 20)]
    pub requests_per_second: u32,

    /// Rooms in memory. The default is one for each connection, and as many for the rooms behind them. Requests may start
    /// a quarter of these, connections half, other rooms all. Beyond: status 503.
    #[arg(long = "max-rooms", env = "CONNECTION_COUNTER_MAX_ROOMS", default_value_t = 200_000)]
    pub rooms: usize,

    /// Events that may wait for one room. Beyond: status 503, or close code 1013.
    #[arg(long = "max-mailbox", env = "CONNECTION_COUNTER_MAX_MAILBOX", default_value_t = 16_384)]
    pub mailbox_events: usize,

    /// Calls between rooms that may run at once. Beyond: the call fails.
    #[arg(long = "max-calls", env = "CONNECTION_COUNTER_MAX_CALLS", default_value_t = 10_000)]
    pub calls: usize,

    /// Bytes of one WebSocket message. Beyond: close code 1009, or a close without a code.
    #[arg(long = "max-message-bytes", env = "CONNECTION_COUNTER_MAX_MESSAGE_BYTES",
          default_value_t = 16 * 1024)]
    pub message_bytes: usize,

    /// Frames that a connection may send at once: messages and their parts, also empty ones, and pings. Beyond: the server
    /// reads --messages-per-second of them, so the others arrive later, in order.
    #[arg(long = "message-burst", env = "CONNECTION_COUNTER_MESSAGE_BURST", default_value_t = 30)]
    pub message_burst: u32,

    /// Frames that a connection may send per second after its burst, at most 1000. Beyond: they arrive later, in order.
    #[arg(long = "messages-per-second", env = "CONNECTION_COUNTER_MESSAGES_PER_SECOND", default_value_t = 5)]
    pub messages_per_second: u32,

    /// Bytes that may wait to be sent to one connection. A single message may be larger. Beyond: close code 1013.
    #[arg(long = "max-send-queue-bytes", env = "CONNECTION_COUNTER_MAX_SEND_QUEUE_BYTES", default_value_t = 256 * 1024)]
    pub send_queue_bytes: usize,

    /// Bytes of a request's body. Beyond: status 413.
    #[arg(long = "max-body-bytes", env = "CONNECTION_COUNTER_MAX_BODY_BYTES", default_value_t = 128 * 1024)]
    pub body_bytes: usize,

    /// Bytes of all request bodies that have arrived in part, at least --max-body-bytes. The default is small, because most
    /// bodies arrive at once. Beyond: status 503 for the slowest body. If the sender's address holds more than an eighth, it
    /// is the slowest of that address.
    #[arg(
        long = "max-body-bytes-in-all",
        env = "CONNECTION_COUNTER_MAX_BODY_BYTES_IN_ALL",
        default_value_t = 4 * 1024 * 1024
    )]
    pub body_bytes_in_all: usize,

    /// Milliseconds that the headers of a connection's first request may take. Beyond: the connection is closed.
    #[arg(long = "header-timeout-ms", env = "CONNECTION_COUNTER_HEADER_TIMEOUT_MS", value_parser = milliseconds,
          default_value = "5000")]
    pub header_timeout: Duration,

    /// Milliseconds that a kept-alive connection may take until the headers of its next request have arrived. Beyond: the
    /// connection is closed. The default is longer than the 60 s for which most proxies keep theirs, so that no proxy sends
    /// a request into a closing connection.
    #[arg(long = "keep-alive-ms", env = "CONNECTION_COUNTER_KEEP_ALIVE_MS", value_parser = milliseconds,
          default_value = "75000")]
    pub keep_alive: Duration,

    /// Milliseconds that a request's body may take. Beyond: status 413.
    #[arg(long = "body-timeout-ms", env = "CONNECTION_COUNTER_BODY_TIMEOUT_MS", value_parser = milliseconds,
          default_value = "10000")]
    pub body_timeout: Duration,

    /// Milliseconds that a connection other than a WebSocket may last. Beyond: its next answer is the last one, and the client
    /// connects again. If it sends no more requests, or does not read its answers, it is dropped after --keep-alive-ms.
    #[arg(long = "http-lifetime-ms", env = "CONNECTION_COUNTER_HTTP_LIFETIME_MS", value_parser = milliseconds,
          default_value = "60000")]
    pub http_lifetime: Duration,

    /// Milliseconds between pings to a silent connection.
    #[arg(long = "ping-interval-ms", env = "CONNECTION_COUNTER_PING_INTERVAL_MS", value_parser = milliseconds,
          default_value = "25000")]
    pub ping_interval: Duration,

    /// Milliseconds after which a silent connection is dropped. The default is a little more than two pings.
    #[arg(long = "idle-timeout-ms", env = "CONNECTION_COUNTER_IDLE_TIMEOUT_MS", value_parser = milliseconds,
          default_value = "60000")]
    pub idle_timeout: Duration,

    /// Milliseconds that a client may take to read a message. Beyond: the connection is dropped. The default is long enough
    /// for a train in a tunnel, and drops a client that never reads within half a minute.
    #[arg(long = "write-timeout-ms", env = "CONNECTION_COUNTER_WRITE_TIMEOUT_MS", value_parser = milliseconds,
          default_value = "25000")]
    pub write_timeout: Duration,

    /// Milliseconds that a room may take to answer a request, a handshake or another room. Beyond: status 504.
    #[arg(long = "call-timeout-ms", env = "CONNECTION_COUNTER_CALL_TIMEOUT_MS", value_parser = milliseconds,
          default_value = "3000")]
    pub call_timeout: Duration,

    /// Milliseconds that an empty room with nothing to do stays in memory. If more than a sixteenth of --max-rooms are in
    /// memory, a room that only got requests leaves at once.
    #[arg(long = "room-idle-ms", env = "CONNECTION_COUNTER_ROOM_IDLE_MS", value_parser = milliseconds,
          default_value = "10000")]
    pub room_idle: Duration,

    /// Milliseconds that a stopping server may take in all, after --drain-ms. It closes its connections one after another,
    /// over at most 5 s and at most five eighths of this time. Beyond: connections that are still open are dropped, and
    /// values that are not on the disk yet are lost. The default is less than the 10 s after which Docker kills a container.
    #[arg(long = "shutdown-timeout-ms", env = "CONNECTION_COUNTER_SHUTDOWN_TIMEOUT_MS", value_parser = milliseconds,
          default_value = "8000")]
    pub shutdown_timeout: Duration,
}

impl Limits {
    /// Refuses 0 where it would stop the server from working, and settings that contradict each other.
    pub(crate) fn validate(&self) -> Result<(), StartupError> {
        let positive = [
            ("max-connections", self.connections),
            ("max-connections-per-room", self.connections_per_room),
            ("max-connections-per-address", self.connections_per_address as usize),
            ("max-bytes-per-address", self.bytes_per_address),
            ("handshake-burst", self.handshake_burst as usize),
            ("handshakes-per-second", self.handshakes_per_second as usize),
            ("request-burst", self.request_burst as usize),
            ("requests-per-second", self.requests_per_second as usize),
            ("max-rooms", self.rooms),
            ("max-mailbox", self.mailbox_events),
            ("max-calls", self.calls),
            ("max-message-bytes", self.message_bytes),
            ("message-burst", self.message_burst as usize),
            ("messages-per-second", self.messages_per_second as usize),
            ("max-send-queue-bytes", self.send_queue_bytes),
        ];
        if let Some((setting, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(StartupError::Setting {
                setting,
                problem: "0 would refuse everyone, now or later; give 1 or more",
            });
        }
        let periods = [
            ("header-timeout-ms", self.header_timeout),
            ("keep-alive-ms", self.keep_alive),
            ("body-timeout-ms", self.body_timeout),
            ("http-lifetime-ms", self.http_lifetime),
            ("ping-interval-ms", self.ping_interval),
            ("write-timeout-ms", self.write_timeout),
            ("call-timeout-ms", self.call_timeout),
        ];
        if let Some((setting, _)) = periods.into_iter().find(|(_, period)| period.is_zero()) {
            return Err(StartupError::Setting { setting, problem: "0 leaves no time at all; give 1 or more" });
        }
        if self.idle_timeout <= self.ping_interval {
            let problem = "a live connection would be dropped between two pings; give more than --ping-interval-ms";
            return Err(StartupError::Setting { setting: "idle-timeout-ms", problem });
        }
        Ok(())
    }
}

/// The defaults are the defaults of the flags.
impl Default for Limits {
    fn default() -> Self {
        defaults()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::config::Config;

    #[test]
    fn settings_in_errors_have_the_names_of_their_flags() {
        let source = include_str!("limits.rs");
        let flags: Vec<String> = Config::command()
            .get_arguments()
            .filter_map(|arg| Some(format!("(\"{}\", self.", arg.get_long()?)))
            .collect();
        let named: Vec<&str> = source.lines().map(str::trim).filter(|line| line.starts_with("(\"")).collect();
        assert!(named.len() > 10, "{named:?}");
        for line in named {
            assert!(flags.iter().any(|flag| line.starts_with(flag.as_str())), "{line} names no flag");
        }
    }
}
