//! WebSockets: the handshake, and one loop per connection that moves messages between a socket and its room.

use std::{sync::Arc, time::Instant};

use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as SocketError, Message as Frame,
        handshake::server::create_response_with_body,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    close,
    config::Config,
    error::Error,
    http::{Guest, HttpServer, without_body},
    limits::Limits,
    party::{Attached, Goodbye, Message, Outgoing, Response, Result, RoomKey, connection_id, cut_reason},
    quota::{Bucket, Paced, Share},
};
use bytes::Bytes;

/// Bytes read at a time: messages are small, and tungstenite's default of 128 KiB is taken by every idle connection.
const READ_BUFFER_BYTES: usize = 1024;

/// Answers a handshake, and has the room greet the connection first.
pub(crate) async fn accept(
    server: &HttpServer,
    key: RoomKey,
    mut request: hyper::Request<Incoming>,
    guest: Arc<Guest>,
) -> Result<Response> {
    let mut response =
        create_response_with_body(&request, Bytes::new).map_err(|error| Error::Handshake(error.into()))?;
    if let Some(protocol) = first_protocol(&request) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let address = server.quotas.address(guest.address, request.headers());
    server.quotas.pace(Paced::Handshake, address)?;
    // What a trusted proxy holds is counted by its headers; all others were counted when they were accepted.
    let of_address = if address == guest.address { None } else { server.quotas.open_from(address)? };
    let of_group = server.rooms.group(&key).map(|group| server.quotas.open_in(group)).transpose()?;

    let config = Arc::clone(&server.config);
    let held = (guest, of_address, of_group);
    // Either task ends with the connection, whose permit `HttpServer::run` waits for.
    match server.rooms.admit(&key, without_body(&request), true).await {
        Ok(asked) => {
            let id = connection_id(asked.uri());
            let attached = server.rooms.connect(&key, id, asked).await?;
            tokio::spawn(live(hyper::upgrade::on(&mut request), attached, config, held));
        }
        Err(refusal) => match refusal.extensions().get::<Goodbye>().cloned() {
            Some(goodbye) => drop(tokio::spawn(turn_away(hyper::upgrade::on(&mut request), goodbye, config, held))),
            None => return Ok(refusal),
        },
    }
    Ok(response)
}

/// The subprotocol the client likes best: browsers fail the handshake when they offer some and none is chosen.
fn first_protocol(request: &hyper::Request<Incoming>) -> Option<HeaderValue> {
    let offered = request.headers().get(HeaderName::from_static("sec-websocket-protocol"))?.to_str().ok()?;
    HeaderValue::from_str(offered.split(',').next()?.trim()).ok()
}

type Socket = WebSocketStream<TcpStream>;

/// What a connection holds of the server for as long as it lives.
type Held = (Arc<Guest>, Option<Share>, Option<Share>);

/// A connection's life. Whatever ends it, dropping `attached` tells the room.
async fn live(upgrade: OnUpgrade, mut attached: Attached, config: Arc<Config>, _held: Held) {
    if let Some(mut socket) = open(upgrade, &config.limits).await {
        let (code, reason) = converse(&mut socket, &attached, &config.limits).await;
        attached.closed(code, &reason);
    }
}

/// The short life of a connection that a gatekeeper refused in words.
async fn turn_away(upgrade: OnUpgrade, Goodbye { code, reason }: Goodbye, config: Arc<Config>, _held: Held) {
    if let Some(mut socket) = open(upgrade, &config.limits).await {
        say_goodbye(&mut socket, code, reason, &config.limits).await;
    }
}

/// The WebSocket, once the client has read our answer.
async fn open(upgrade: OnUpgrade, limits: &Limits) -> Option<Socket> {
    let upgraded = match timeout(limits.write_timeout, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a handshake broke off");
            return None;
        }
        Err(_) => {
            tracing::debug!("the answer to a handshake was not read");
            return None;
        }
    };
    // The plain socket again: what hyper wraps around it costs memory for as long as the connection lives. It is always
    // of this type, for that is what `http` serves.
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    // Without a bound on what waits to be written: that is one message at a time, and the queue before it has a bound.
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(limits.message_bytes))
        .max_frame_size(Some(limits.message_bytes));
    let read = parts.read_buf.to_vec();
    Some(Socket::from_partially_read(parts.io.into_inner(), read, Role::Server, Some(config)).await)
}

/// Moves messages until one side has had enough; tells how it ended.
async fn converse(socket: &mut Socket, attached: &Attached, limits: &Limits) -> (u16, String) {
    let silent = || (close::ABNORMAL, "no sign of life".to_owned());
    let mut allowance = Bucket::full(limits.message_burst, Instant::now());
    let mut heard_at = Instant::now();
    let mut ping_at = heard_at + limits.ping_interval;
    loop {
        let wake_at = ping_at.min(heard_at + limits.idle_timeout);
        let goodbye = tokio::select! {
            frame = socket.next() => {
                heard_at = Instant::now();
                ping_at = heard_at + limits.ping_interval;
                let allowed = allowance.take(limits.message_burst, limits.messages_per_second, heard_at);
                match frame {
                    Some(Ok(Frame::Close(frame))) => {
                        let (code, reason) = frame.map_or((close::NO_STATUS, String::new()), |frame| {
                            (frame.code.into(), frame.reason.to_string())
                        });
                        // tungstenite has its answer ready; this sends it.
                        let _ = timeout(limits.write_timeout, socket.flush()).await;
                        return (code, reason);
                    }
                    None | Some(Err(SocketError::ConnectionClosed)) => return (close::ABNORMAL, String::new()),
                    Some(Err(SocketError::Capacity(error))) => Some((close::TOO_BIG, error.to_string())),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a socket failed");
                        // For a client that broke the protocol; one that is gone does not mind.
                        let code = match error {
                            SocketError::Protocol(_) => close::PROTOCOL,
                            SocketError::Utf8(_) => close::INVALID_TEXT,
                            _ => close::INTERNAL,
                        };
                        say_goodbye(socket, code, error.to_string(), limits).await;
                        return (close::ABNORMAL, error.to_string());
                    }
                    Some(Ok(_)) if !allowed => Some((close::POLICY, "too many messages".to_owned())),
                    Some(Ok(Frame::Text(text))) if text.as_str() == "ping" => {
                        attached.connection().send(Message::text("pong")).err().map(goodbye)
                    }
                    Some(Ok(Frame::Text(text))) => attached.message(Message::Text(text)).err().map(goodbye),
                    Some(Ok(Frame::Binary(bytes))) => attached.message(Message::Binary(bytes)).err().map(goodbye),
                    // tungstenite answers pings itself, with the next read.
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => None,
                }
            }
            outgoing = attached.connection().outgoing() => match outgoing {
                Outgoing::Message(message) => match timeout(limits.write_timeout, socket.send(frame(message))).await {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => return (close::ABNORMAL, error.to_string()),
                    Err(_) => return (close::ABNORMAL, Error::SlowConnection.to_string()),
                },
                Outgoing::Close(code, reason) => Some((code, reason)),
            },
            () = tokio::time::sleep_until(wake_at.into()) => {
                if heard_at.elapsed() >= limits.idle_timeout {
                    return silent();
                }
                ping_at = Instant::now() + limits.ping_interval;
                match timeout(limits.write_timeout, socket.send(Frame::Ping(Bytes::new()))).await {
                    Ok(Ok(())) => None,
                    _ => return silent(),
                }
            }
        };
        if let Some((code, reason)) = goodbye {
            say_goodbye(socket, code, reason.clone(), limits).await;
            return (code, reason);
        }
    }
}

fn goodbye(error: Error) -> (u16, String) {
    (error.close_code(), error.to_string())
}

fn frame(message: Message) -> Frame {
    match message {
        Message::Text(text) => Frame::Text(text),
        Message::Binary(bytes) => Frame::Binary(bytes),
    }
}

/// Sends a close frame and waits for the answer: a socket that is closed with unread bytes in it is reset, and the
/// other side may never see the code.
async fn say_goodbye(socket: &mut Socket, code: u16, reason: String, limits: &Limits) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: cut_reason(&reason).into() };
    let answered = async {
        socket.close(Some(frame)).await?;
        while let Some(frame) = socket.next().await {
            frame?;
        }
        Ok::<_, SocketError>(())
    };
    let _ = timeout(limits.shutdown_timeout, answered).await;
}
