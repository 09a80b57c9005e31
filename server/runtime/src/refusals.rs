//! Answers to failed requests, and what the log says about them.

use std::io;

use http::{HeaderValue, Method, StatusCode, header};
use tokio::net::TcpStream;

use crate::{
    error::Error,
    http::MAX_HEADER_BYTES,
    metrics::Metrics,
    notice::Notice,
    party::{Response, RoomKey, text},
};

/// The answer to a failed request, which was for this room. The log says so if the fault is ours, or if a flag would change it.
pub(crate) fn answer(
    method: &Method,
    error: &Error,
    room: Option<&RoomKey>,
    prefix: &str,
    metrics: &Metrics,
) -> Response {
    static FAILED: Notice = Notice::fault();
    let status = error.status();
    let mut response = text(status, sentence(error, prefix));
    let headers = response.headers_mut();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after()));
    }
    match error {
        Error::Method(allowed) => drop(headers.insert(header::ALLOW, HeaderValue::from_static(allowed))),
        Error::UpgradeLost(_) | Error::WebSocketVersion => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        _ => {}
    }
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        FAILED.give(|| format!("a {method} request failed: {error}"));
    } else {
        tell(error, room, metrics);
        tracing::debug!(%method, %error, "a request was refused");
    }
    response
}

/// The error's sentence, and where parties are if the client looked elsewhere.
fn sentence(error: &Error, prefix: &str) -> String {
    match error {
        Error::NotFound => format!("{error}; parties are at /{prefix}/:party/:room"),
        Error::UnknownParty(_) => format!("{error}; check the name after /{prefix}/"),
        Error::NoPartyForHandshake(_) => {
            format!("{error}; connect to /{prefix}/:party/:room, and let proxies pass on the path and the query")
        }
        _ => error.to_string(),
    }
}

/// Answers without reading the request. The connection is one too many, so it gets no task.
pub(crate) fn answer_unread(stream: &TcpStream, error: &Error) {
    tracing::debug!(%error, "a connection was refused");
    let (status, seconds) = (error.status(), retry_after());
    let answer =
        format!("HTTP/1.1 {status}\r\nretry-after: {seconds}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // A new socket has space for this. If it has none, the client only sees the close.
    let _ = stream.try_write(answer.as_bytes());
}

/// A connection that was given up before it was accepted says nothing about the server.
pub(crate) fn is_the_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionRefused | Kind::ConnectionReset)
}

/// Seconds to wait. They are random, so that clients that are refused together do not come back together.
fn retry_after() -> u32 {
    fastrand::u32(1..=10)
}

/// Counts and logs a refusal if one of our limits is the reason, rather than what the stranger sent. The log has the room as an
/// example.
pub(crate) fn tell(error: &Error, room: Option<&RoomKey>, metrics: &Metrics) {
    if let Some(reason) = note(error, room) {
        metrics.refused(reason);
    }
}

/// Logs a refusal if one of our limits or a proxy is the reason. Returns the reason's name in the metrics.
fn note(error: &Error, room: Option<&RoomKey>) -> Option<&'static str> {
    let example = || room.map_or_else(String::new, |room| format!(". An example is the room {room}"));
    let Some((notice, reason, sentence)) = limit(error) else { return note_proxy(error, example) };
    notice.give(|| sentence.to_owned() + &example());
    Some(reason)
}

/// The limit of ours that refused something: its notice, its name in the metrics, and its sentence.
fn limit(error: &Error) -> Option<(&'static Notice, &'static str, &'static str)> {
    static FULL: Notice = Notice::warning();
    static ADDRESS: Notice = Notice::warning();
    static MEMORY: Notice = Notice::warning();
    static GROUP: Notice = Notice::warning();
    static ROOM: Notice = Notice::warning();
    static ROOMS: Notice = Notice::warning();
    static MAILBOX: Notice = Notice::warning();
    static CALLS: Notice = Notice::warning();
    static BODIES: Notice = Notice::warning();
    Some(match error {
        Error::ServerFull => (
            &FULL,
            "connections",
            "a connection was refused: the server has as many connections as --max-connections and the limit of open files allow",
        ),
        Error::TooManyFromAddress => (
            &ADDRESS,
            "address",
            "an address was refused: it has more connections than --max-connections-per-address allows, or is faster than \
             --handshakes-per-second or --requests-per-second. If it is a proxy, name it with --trusted-proxy",
        ),
        Error::TooMuchFromAddress => (
            &MEMORY,
            "address_memory",
            "an address holds as much memory as --max-bytes-per-address allows, so some of its requests were refused, or some \
             links show no counts there. If it is a proxy, name it with --trusted-proxy",
        ),
        Error::GroupFull(_) => (
            &GROUP,
            "group",
            "a connection was refused: its group of rooms has as many connections as it may. For a site the limit is \
             --max-connections-per-site",
        ),
        Error::RoomFull => (
            &ROOM,
            "room_connections",
            "a connection was refused: its room has as many as --max-connections-per-room allows",
        ),
        Error::TooManyRooms => {
            (&ROOMS, "rooms", "a room could not start: as many rooms are in memory as --max-rooms allows for this use")
        }
        Error::RoomBusy => {
            (&MAILBOX, "mailbox", "an event was refused: as many events wait for its room as --max-mailbox allows")
        }
        Error::TooManyCalls => {
            (&CALLS, "calls", "a room could not call another: as many calls are running as --max-calls allows")
        }
        Error::TooManyBodies => (
            &BODIES,
            "bodies",
            "a request was refused: the bodies that arrive slowly hold as much as --max-body-bytes-in-all allows, and its \
             body was the slowest",
        ),
        _ => return None,
    })
}

/// Logs that a request was refused because of what a proxy made of it. Returns the reason's name in the metrics.
fn note_proxy(error: &Error, example: impl Fn() -> String) -> Option<&'static str> {
    static HOSTS: Notice = Notice::warning();
    static UPGRADE: Notice = Notice::warning();
    static MALFORMED: Notice = Notice::warning();
    static VERSION: Notice = Notice::warning();
    static ASTRAY: Notice = Notice::warning();
    let refused = "a WebSocket handshake was refused, so its page shows no counts";
    match error {
        Error::Hosts => {
            HOSTS.give(|| {
                "a request was refused with 400: it has two Host headers. Usually a proxy adds one; let it replace the browser's"
                    .to_owned()
            });
            return Some("hosts");
        }
        Error::UpgradeLost(lost) => UPGRADE.give(|| {
            format!(
                "{refused}: {lost}. Usually a proxy dropped it. The proxy must speak HTTP/1.1 and pass on the headers Upgrade \
                 and Connection{}",
                example()
            )
        }),
        Error::Handshake(error) => MALFORMED.give(|| {
            format!(
                "{refused}: {error}. Usually a proxy dropped or changed a header; it must pass on those that begin with \
                 Sec-WebSocket-{}",
                example()
            )
        }),
        Error::WebSocketVersion => VERSION.give(|| {
            format!(
                "{refused}: its Sec-WebSocket-Version is not 13. The program that sent it is too old, or a proxy changed the \
                 header; the proxy must pass on those that begin with Sec-WebSocket-{}",
                example()
            )
        }),
        Error::NoPartyForHandshake(path) => {
            ASTRAY.give(|| {
                format!(
                    "a WebSocket handshake came to {path}, where no party is, so its page shows no counts. Usually a proxy changed \
                     the path or dropped the query; let it pass on both as they are"
                )
            });
            return Some("no_party");
        }
        _ => return None,
    }
    Some("upgrade_lost")
}

/// Logs that the query of a handshake did not arrive as its client sent it. `page` is its value up to the page's own query.
pub(crate) fn note_decoded_query(page: &str) {
    static DECODED: Notice = Notice::warning();
    DECODED.give(|| {
        format!(
            "the query of a WebSocket handshake arrived decoded, so pages whose own queries differ are counted as one. Usually a \
             proxy decodes it; let it pass on the query as it is. Programs of your own must encode the page with \
             encodeURIComponent. An example is {page}"
        )
    });
}

/// Logs that hyper gave up a connection, usually because the client is gone. Calls `no_http` if what came is no HTTP/1.1.
pub(crate) fn note_failure(error: &hyper::Error, no_http: impl FnOnce()) {
    static HEADERS: Notice = Notice::warning();
    if error.is_parse_too_large() {
        HEADERS.give(|| {
            format!(
                "a request was refused with 431: its address and headers are larger than {MAX_HEADER_BYTES} bytes, or it has \
                 more than 100 headers. Serve it under a host name that gets fewer cookies, or check which headers the proxy adds"
            )
        });
    } else {
        if error.is_parse() {
            no_http();
        }
        tracing::debug!(%error, "a connection failed");
    }
}
