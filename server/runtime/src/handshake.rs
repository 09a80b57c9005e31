//! The handshake of a WebSocket. The room's `on_connect` runs first, then the handshake is answered and `sockets` gets the
//! socket.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use crate::{
    account::Account,
    client::WebSocketQuota,
    close::Close,
    error::Error,
    limits::Limits,
    notice::Notice,
    party::{Attached, Connection, Response, Result, RoomKey, Rooms},
    small_reads::SmallReads,
    sockets::{Socket, Sockets},
};

/// Runs the room's `on_connect`, then answers the handshake.
pub(crate) async fn accept(
    limits: &Limits,
    rooms: &Rooms,
    sockets: &Arc<Sockets<Rooms>>,
    key: RoomKey,
    mut request: hyper::Request<Incoming>,
    account: Option<Arc<Account>>,
    quota: WebSocketQuota,
) -> Result<Response> {
    check_version(request.headers())?;
    let mut response =
        create_response_with_body(&request, Bytes::new).map_err(|error| Error::Handshake(error.into()))?;
    let offered = protocols(request.headers()).map(str::to_owned).collect::<Vec<_>>();
    let upgrade = hyper::upgrade::on(&mut request);
    // A handshake has no body.
    let request = request.map(|_| Bytes::new());
    let (connection, attached, protocol) = match rooms.admit(&key, request, true).await {
        Ok(asked) => {
            // The gatekeeper may have removed some protocols, or put another one first.
            let protocol = protocols(asked.headers()).find(|wanted| offered.iter().any(|offer| offer == wanted));
            let protocol = protocol.map(str::to_owned);
            let attached = rooms.connect(&key, Socket::pending(), account, asked).await?;
            (attached.connection().clone(), Some(attached), protocol)
        }
        Err(refusal) => match refusal.extensions().get::<Close>().cloned() {
            Some(close) => (Connection::refused(close), None, offered.into_iter().next()),
            None => return Ok(refusal),
        },
    };
    if let Some(protocol) = protocol.and_then(|protocol| HeaderValue::try_from(protocol).ok()) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    // This task ends when the client has read our answer, or when that takes too long.
    let (patience, sockets) = (limits.write_timeout, Arc::clone(sockets));
    tokio::spawn(async move {
        if let Some((stream, already_read)) = upgraded(upgrade, patience).await {
            hand_over(&sockets, stream, &already_read, connection, attached, quota);
        }
    });
    Ok(response)
}

/// Refuses a handshake that names another version. One that names none is malformed.
fn check_version(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(header::SEC_WEBSOCKET_VERSION) {
        Some(version) if version != "13" => Err(Error::WebSocketVersion),
        _ => Ok(()),
    }
}

/// The subprotocols that the client offers, in its order. Browsers fail the handshake if they offer some and none is chosen.
fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(HeaderName::from_static("sec-websocket-protocol")).iter();
    let offers = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    offers.map(str::trim).filter(|offer| !offer.is_empty())
}

/// The plain socket once the client has our answer, and the bytes that it has sent since.
async fn upgraded(upgrade: OnUpgrade, patience: Duration) -> Option<(TcpStream, Bytes)> {
    match timeout(patience, upgrade).await {
        // The type is always right, because `http` and `admin` serve nothing else.
        Ok(Ok(upgraded)) => {
            let parts = upgraded.downcast::<TokioIo<SmallReads>>().ok()?;
            return Some((parts.io.into_inner().into_inner(), parts.read_buf));
        }
        Ok(Err(error)) => tracing::debug!(%error, "a handshake broke off"),
        Err(_) => tracing::debug!("a client did not read the answer to its handshake"),
    }
    None
}

/// Gives the socket to `sockets`.
fn hand_over(
    sockets: &Sockets<Rooms>,
    stream: TcpStream,
    already_read: &[u8],
    connection: Connection,
    attached: Option<Attached>,
    quota: WebSocketQuota,
) {
    let Some(held) = quota.hand_over() else { return };
    match sockets.add(stream, already_read, connection, held) {
        Ok(()) => attached.into_iter().for_each(Attached::hand_over),
        Err(error) => {
            static FAILED: Notice = Notice::fault();
            FAILED.give(|| format!("a WebSocket was dropped, for the system does not watch it: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subprotocols_are_read_from_comma_separated_lists() {
        let words = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(line)));
            protocols(&lines.collect()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(words(&[]), [""; 0]);
        assert_eq!(words(&[""]), [""; 0]);
        assert_eq!(words(&[" ,chat"]), ["chat"]);
        assert_eq!(words(&["chat, plain"]), ["chat", "plain"]);
    }
}
