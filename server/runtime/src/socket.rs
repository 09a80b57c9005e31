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
    close::{self, Close},
    config::Config,
    error::Error,
    guest::Held,
    limits::Limits,
    party::{Attached, Message, Outgoing, Response, Result, RoomKey, Rooms, connection_id},
    quota::Bucket,
};
use bytes::Bytes;

/// Bytes read at a time: messages are small, and tungstenite's default of 128 KiB is taken by every idle connection.
const READ_BUFFER_BYTES: usize = 1024;

/// Answers a handshake, and has the room greet the connection first.
pub(crate) async fn accept(
    config: &Arc<Config>,
    rooms: &Rooms,
    key: RoomKey,
    mut request: hyper::Request<Incoming>,
    held: Held,
) -> Result<Response> {
    let mut response =
        create_response_with_body(&request, Bytes::new).map_err(|error| Error::Handshake(error.into()))?;
    if let Some(protocol) = first_protocol(&request) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let config = Arc::clone(config);
    // Either task ends with the connection, whose guest `HttpServer::run` waits for.
    match rooms.admit(&key, without_body(&request), true).await {
        Ok(asked) => {
            let id = connection_id(asked.uri());
            let attached = rooms.connect(&key, id, asked).await?;
            tokio::spawn(live(hyper::upgrade::on(&mut request), attached, config, held));
        }
        Err(refusal) => match refusal.extensions().get::<Close>().cloned() {
            Some(close) => drop(tokio::spawn(refuse_in_words(hyper::upgrade::on(&mut request), close, config, held))),
            None => return Ok(refusal),
        },
    }
    Ok(response)
}

/// A copy of a handshake for the party: its body, which it does not have, stays behind with the connection.
fn without_body(request: &hyper::Request<Incoming>) -> http::Request<Bytes> {
    let mut copy = http::Request::new(Bytes::new());
    *copy.method_mut() = http::Method::GET;
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy
}

/// The subprotocol the client likes best: browsers fail the handshake when they offer some and none is chosen.
fn first_protocol(request: &hyper::Request<Incoming>) -> Option<HeaderValue> {
    let offered = request.headers().get(HeaderName::from_static("sec-websocket-protocol"))?.to_str().ok()?;
    HeaderValue::from_str(offered.split(',').next()?.trim()).ok()
}

type Socket = WebSocketStream<TcpStream>;

/// A connection's life. Whatever ends it, dropping `attached` tells the room.
async fn live(upgrade: OnUpgrade, mut attached: Attached, config: Arc<Config>, _held: Held) {
    if let Some(mut socket) = open(upgrade, &config.limits).await {
        let close = converse(&mut socket, &attached, &config.limits).await;
        attached.closed(close);
    }
}

/// The short life of a connection that a gatekeeper refused in words.
async fn refuse_in_words(upgrade: OnUpgrade, close: Close, config: Arc<Config>, _held: Held) {
    if let Some(mut socket) = open(upgrade, &config.limits).await {
        send_close(&mut socket, &close, &config.limits).await;
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
async fn converse(socket: &mut Socket, attached: &Attached, limits: &Limits) -> Close {
    let silent = || Close::new(close::ABNORMAL, "no sign of life");
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
                        let close = frame.map_or(Close::new(close::NO_STATUS, ""), |frame| {
                            Close::new(frame.code.into(), &frame.reason)
                        });
                        // tungstenite has its answer ready; this sends it.
                        let _ = timeout(limits.write_timeout, socket.flush()).await;
                        return close;
                    }
                    None | Some(Err(SocketError::ConnectionClosed)) => return Close::new(close::ABNORMAL, ""),
                    Some(Err(SocketError::Capacity(error))) => Some(Close::new(close::TOO_BIG, &error.to_string())),
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a socket failed");
                        // For a client that broke the protocol; one that is gone does not mind.
                        let code = match error {
                            SocketError::Protocol(_) => close::PROTOCOL,
                            SocketError::Utf8(_) => close::INVALID_TEXT,
                            _ => close::INTERNAL,
                        };
                        send_close(socket, &Close::new(code, &error.to_string()), limits).await;
                        return Close::new(close::ABNORMAL, &error.to_string());
                    }
                    Some(Ok(_)) if !allowed => Some(Close::new(close::POLICY, "too many messages")),
                    Some(Ok(Frame::Text(text))) if text.as_str() == "ping" => {
                        attached.connection().send(Message::text("pong")).err().map(|error| error.close())
                    }
                    Some(Ok(Frame::Text(text))) => attached.message(Message::Text(text)).err().map(|error| error.close()),
                    Some(Ok(Frame::Binary(bytes))) => attached.message(Message::Binary(bytes)).err().map(|error| error.close()),
                    // tungstenite answers pings itself, with the next read.
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => None,
                }
            }
            outgoing = attached.connection().outgoing() => match outgoing {
                Outgoing::Message(message) => match timeout(limits.write_timeout, socket.send(frame(message))).await {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => return Close::new(close::ABNORMAL, &error.to_string()),
                    Err(_) => return Close::new(close::ABNORMAL, &Error::SlowConnection.to_string()),
                },
                Outgoing::Close(close) => Some(close),
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
        if let Some(close) = goodbye {
            send_close(socket, &close, limits).await;
            return close;
        }
    }
}

fn frame(message: Message) -> Frame {
    match message {
        Message::Text(text) => Frame::Text(text),
        Message::Binary(bytes) => Frame::Binary(bytes),
    }
}

/// Sends a close frame and waits for the answer: a socket that is closed with unread bytes in it is reset, and the
/// other side may never see the code.
async fn send_close(socket: &mut Socket, close: &Close, limits: &Limits) {
    let frame = CloseFrame { code: CloseCode::from(close.code), reason: close.reason.clone().into() };
    let answered = async {
        socket.close(Some(frame)).await?;
        while let Some(frame) = socket.next().await {
            frame?;
        }
        Ok::<_, SocketError>(())
    };
    let _ = timeout(limits.shutdown_timeout, answered).await;
}
