//! How a request that failed is answered, and what the operator is told of it.

use http::{HeaderValue, Method, StatusCode, header};
use tokio::net::TcpStream;

use crate::{
    error::Error,
    http::MAX_HEADER_BYTES,
    metrics::Metrics,
    notice::Notice,
    party::{Response, text},
};

/// The answer to a request that failed. The operator is told where it is our fault, or a flag would change it.
pub(crate) fn answer(method: &Method, error: &Error, metrics: &Metrics) -> Response {
    static FAILED: Notice = Notice::fault();
    let status = error.status();
    let mut response = text(status, error.to_string());
    let headers = response.headers_mut();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after()));
    }
    match error {
        Error::Method(allowed) => drop(headers.insert(header::ALLOW, HeaderValue::from_static(allowed))),
        Error::UpgradeLost(_) => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        _ => {}
    }
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        FAILED.give(|| format!("a {method} request failed: {error}"));
    } else {
        tell(error, metrics);
        tracing::debug!(%method, %error, "a request was refused");
    }
    response
}

/// Answers without reading: the guest is one too many, and a task for it would be too.
pub(crate) fn answer_unread(stream: &TcpStream, error: &Error) {
    tracing::debug!(%error, "a connection was not let in");
    let (status, seconds) = (error.status(), retry_after());
    let answer =
        format!("HTTP/1.1 {status}\r\nretry-after: {seconds}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // A fresh socket has room for this; if not, the close says enough.
    let _ = stream.try_write(answer.as_bytes());
}

/// Seconds, spread so that those turned away together do not come back together.
fn retry_after() -> u32 {
    fastrand::u32(1..=10)
}

/// Counts a refusal, and tells the operator why strangers are refused, when that is for a limit of ours and not for what they sent.
pub(crate) fn tell(error: &Error, metrics: &Metrics) {
    if let Some(reason) = note(error) {
        metrics.refused(reason);
    }
}

/// Tells the operator of a refusal that is for a limit of ours. Answers with the word for it in metrics.
fn note(error: &Error) -> Option<&'static str> {
    static FULL: Notice = Notice::warning();
    static ADDRESS: Notice = Notice::warning();
    static MEMORY: Notice = Notice::warning();
    static GROUP: Notice = Notice::warning();
    static ROOM: Notice = Notice::warning();
    static ROOMS: Notice = Notice::warning();
    static MAILBOX: Notice = Notice::warning();
    static CALLS: Notice = Notice::warning();
    static BODIES: Notice = Notice::warning();
    static UPGRADE: Notice = Notice::warning();
    let (notice, reason, sentence) = match error {
        Error::ServerFull => (
            &FULL,
            "connections",
            "a connection was refused: there are as many as --max-connections and the open files allow",
        ),
        Error::TooManyFromAddress => (
            &ADDRESS,
            "address",
            "an address was refused: it has --max-connections-per-address connections, or came faster than \
             --handshakes-per-second or --requests-per-second. If it is a proxy, name it with --trusted-proxy",
        ),
        Error::TooMuchFromAddress => (
            &MEMORY,
            "address_memory",
            "an address holds as much memory as --max-bytes-per-address allows, so some of its requests were refused, or some of \
             its links show no counts. If it is a proxy, name it with --trusted-proxy",
        ),
        Error::GroupFull(_) => (
            &GROUP,
            "group",
            "a connection was refused: its group has as many as it may, such as a site has \
             --max-connections-per-site",
        ),
        Error::RoomFull => {
            (&ROOM, "room_connections", "a connection was refused: its room has --max-connections-per-room")
        }
        Error::TooManyRooms => {
            (&ROOMS, "rooms", "a room could not be started: as many of --max-rooms are in memory as may be")
        }
        Error::RoomBusy => (&MAILBOX, "mailbox", "a room had no time for an event: --max-mailbox others wait for it"),
        Error::TooManyCalls => (&CALLS, "calls", "a room could not call another: --max-calls are under way"),
        Error::TooManyBodies => (
            &BODIES,
            "bodies",
            "a request was refused: the bodies that arrive slowly hold --max-body-bytes-in-all, and its own was the slowest",
        ),
        Error::UpgradeLost(lost) => {
            UPGRADE.give(|| {
                format!(
                    "a WebSocket handshake was refused, so its page shows no counts: {lost}. A proxy on the way does that; it \
                     must speak HTTP/1.1 and pass on the headers Upgrade and Connection"
                )
            });
            return Some("upgrade_lost");
        }
        _ => return None,
    };
    notice.give(|| sentence.to_owned());
    Some(reason)
}

/// A connection that hyper has given up, most often because the other side has.
pub(crate) fn note_failure(error: &hyper::Error) {
    static HEADERS: Notice = Notice::warning();
    if error.is_parse_too_large() {
        HEADERS.give(|| {
            format!(
                "a request was refused with 431: its address and headers are larger than {MAX_HEADER_BYTES} bytes, or it has \
                 more than 100 headers. Serve it under a host name that gets fewer cookies, or look at what the proxy adds"
            )
        });
    } else {
        tracing::debug!(%error, "a connection failed");
    }
}
