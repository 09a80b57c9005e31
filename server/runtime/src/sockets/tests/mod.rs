//! Tests of sockets without rooms, with an echo on each.

mod reading;

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{CloseFrame, Message as Frame, Role},
};

use super::*;
use crate::{close, error::Error};

/// This is longer than anything that the tests wait for.
const DEADLINE: Duration = Duration::from_secs(20);

/// Sends back each message, and records how connections ended.
#[derive(Clone)]
struct Echo {
    ended: mpsc::UnboundedSender<Close>,
    heard: Arc<Mutex<Vec<Message>>>,
}

#[derive(Clone)]
struct Record(Arc<Socket>);

impl AsRef<Socket> for Record {
    fn as_ref(&self) -> &Socket {
        &self.0
    }
}

impl Ears for Echo {
    type Connection = Record;
    type Held = ();

    fn heard(&self, connection: &Record, message: Message) -> Result<(), Close> {
        self.heard.lock().unwrap().push(message.clone());
        if message == Message::text("leave") {
            return Err(Close::new(4000, "as you wish"));
        }
        // One that cannot take it is closing.
        let _ = connection.0.send(message, QUEUE_BYTES);
        Ok(())
    }

    fn gone(&self, _: &Record, close: Close) {
        // The test may have ended.
        let _ = self.ended.send(close);
    }
}

const QUEUE_BYTES: usize = 1000;

/// A connection to an echo, from both sides.
struct Pair {
    client: TcpStream,
    socket: Arc<Socket>,
    echo: Echo,
    ended: mpsc::UnboundedReceiver<Close>,
    sockets: Sockets<Echo>,
}

impl Pair {
    async fn new(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (sender, ended) = mpsc::unbounded_channel();
        let echo = Echo { ended: sender, heard: Arc::default() };
        let socket = Arc::new(Socket::pending());
        let sockets = Sockets::start(&echo, &limits).unwrap();
        sockets.add(stream, &[], Record(Arc::clone(&socket)), ()).unwrap();
        Self { client, socket, echo, ended, sockets }
    }

    async fn websocket(
        self,
    ) -> (WebSocketStream<TcpStream>, Arc<Socket>, Sockets<Echo>, mpsc::UnboundedReceiver<Close>) {
        let client = WebSocketStream::from_raw_socket(self.client, Role::Client, None).await;
        (client, self.socket, self.sockets, self.ended)
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it took too long")
}

fn limits() -> Limits {
    Limits { message_burst: 1000, ..Limits::default() }
}

#[tokio::test]
async fn messages_and_the_close_frame_are_received_and_answered() {
    let (mut client, _, _sockets, mut ended) = Pair::new(limits()).await.websocket().await;
    for length in [0, 1, 125, 126, 2000, 16 * 1024] {
        let message = Frame::text("x".repeat(length));
        client.send(message.clone()).await.unwrap();
        assert_eq!(soon(client.next()).await.unwrap().unwrap(), message);
    }
    client.close(Some(CloseFrame { code: 4001.into(), reason: "enough".into() })).await.unwrap();
    assert_eq!(soon(ended.recv()).await, Some(Close::new(4001, "enough")));
    let answer = soon(client.next()).await.unwrap().unwrap();
    assert!(matches!(answer, Frame::Close(Some(frame)) if u16::from(frame.code) == 4001));
    assert!(soon(client.next()).await.is_none());
}

#[tokio::test]
async fn a_close_by_the_room_waits_for_the_clients_close_frame() {
    let (mut client, socket, _sockets, mut ended) = Pair::new(limits()).await.websocket().await;
    client.send(Frame::text("leave")).await.unwrap();
    let goodbye = soon(client.next()).await.unwrap().unwrap();
    assert!(matches!(goodbye, Frame::Close(Some(frame)) if u16::from(frame.code) == 4000));
    assert_eq!(socket.send(Message::text("late"), QUEUE_BYTES), Err(Refusal::Closed));
    assert!(soon(client.next()).await.is_none());
    assert_eq!(soon(ended.recv()).await, Some(Close::new(4000, "as you wish")));
}

#[tokio::test]
async fn an_unanswered_close_frame_ends_the_connection_after_a_time() {
    let limits = Limits { shutdown_timeout: Duration::from_millis(100), ..limits() };
    let mut pair = Pair::new(limits).await;
    pair.socket.close(Close::new(1001, "closing time"));
    assert_eq!(soon(pair.ended.recv()).await, Some(Close::new(1001, "closing time")));
}

#[tokio::test]
async fn messages_sent_before_the_handshake_arrive_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (sender, _ended) = mpsc::unbounded_channel();
    let sockets = Sockets::start(&Echo { ended: sender, heard: Arc::default() }, &limits()).unwrap();
    let socket = Arc::new(Socket::pending());
    socket.send(Message::text("welcome"), QUEUE_BYTES).unwrap();
    assert!(!socket.is_idle());
    // "Hi", masked with zeros. All but its last byte was read together with the handshake.
    sockets.add(stream, &[0x81, 0x82, 0, 0, 0, 0, b'H'], Record(socket), ()).unwrap();
    let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    assert_eq!(soon(client.next()).await.unwrap().unwrap(), Frame::text("welcome"));
    client.get_mut().write_all(b"i").await.unwrap();
    assert_eq!(soon(client.next()).await.unwrap().unwrap(), Frame::text("Hi"));
}

#[tokio::test]
async fn frames_that_arrive_byte_by_byte_are_read() {
    let mut pair = Pair::new(limits()).await;
    for byte in [0x01, 0x81, 0, 0, 0, 0, b'H', 0x89, 0x80, 0, 0, 0, 0, 0x80, 0x81, 0, 0, 0, 0, b'i'] {
        pair.client.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answer = [0; 6];
    soon(pair.client.read_exact(&mut answer)).await.unwrap();
    // The pong arrives between the parts.
    assert_eq!(answer, [0x8a, 0, 0x81, 2, b'H', b'i']);
}

#[tokio::test]
async fn messages_beyond_the_burst_are_read_at_the_allowed_rate() {
    let limits = Limits { message_burst: 30, messages_per_second: 50, ..Limits::default() };
    let (mut client, _, _sockets, _ended) = Pair::new(limits).await.websocket().await;
    let start = std::time::Instant::now();
    for number in 0..60 {
        client.send(Frame::text(number.to_string())).await.unwrap();
    }
    for number in 0..60 {
        assert_eq!(soon(client.next()).await.unwrap().unwrap(), Frame::text(number.to_string()));
    }
    assert!(start.elapsed() >= Duration::from_millis(500), "30 more than the burst took {:?}", start.elapsed());
}

#[tokio::test]
async fn pings_pongs_and_empty_parts_count_towards_the_rate() {
    for frame in [[0x89, 0x80, 0, 0, 0, 0], [0x8a, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0]] {
        let limits = Limits { message_burst: 5, messages_per_second: 1, ..Limits::default() };
        let mut pair = Pair::new(limits).await;
        pair.client.write_all(&[0x01, 0x80, 0, 0, 0, 0]).await.unwrap();
        // Five frames at once and one a second, so the next message cannot arrive within this test.
        pair.client.write_all(&frame.repeat(100)).await.unwrap();
        pair.client.write_all(&[0x80, 0x81, 0, 0, 0, 0, b'x']).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(*pair.echo.heard.lock().unwrap(), [], "{frame:?}");
    }
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_dropped() {
    let limits =
        Limits { ping_interval: Duration::from_millis(300), idle_timeout: Duration::from_secs(2), ..Limits::default() };
    let mut pair = Pair::new(limits).await;
    let mut pings = Vec::new();
    // It ends with a reset, so that the kernel drops what the client does not take.
    let end = soon(pair.client.read_to_end(&mut pings)).await.unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
    assert!((4..=14).contains(&pings.len()) && pings.starts_with(&[0x89, 0, 0x89, 0]), "{pings:?}");
    assert_eq!(soon(pair.ended.recv()).await, Some(Close::abnormal("no sign of life")));
}

#[tokio::test]
async fn a_client_that_answers_pings_stays_connected() {
    let limits =
        Limits { ping_interval: Duration::from_millis(200), idle_timeout: Duration::from_millis(1500), ..limits() };
    let (mut client, _, _sockets, mut ended) = Pair::new(limits).await.websocket().await;
    let pongs = async { while client.next().await.is_some() {} };
    assert!(tokio::time::timeout(Duration::from_secs(3), pongs).await.is_err());
    assert!(ended.try_recv().is_err());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_when_its_queue_is_full() {
    let limits =
        Limits { write_timeout: Duration::from_millis(200), shutdown_timeout: Duration::from_millis(200), ..limits() };
    let mut pair = Pair::new(limits).await;
    let message = Message::Binary(vec![7; 16 * 1024].into());
    // First, the kernel takes what fits into its buffers. Then a part of a frame and one message may wait, but no more.
    let sent = (0..1000).position(|_| pair.socket.send(message.clone(), QUEUE_BYTES) == Err(Refusal::Slow));
    assert!(sent.is_some(), "the queue never gets full");
    assert_eq!(pair.socket.send(message, QUEUE_BYTES), Err(Refusal::Closed));
    assert_eq!(soon(pair.ended.recv()).await.unwrap().reason, Error::SlowConnection.to_string());
    let mut read = Vec::new();
    let end = soon(pair.client.read_to_end(&mut read)).await.unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn waiting_messages_are_written_when_the_client_reads_again() {
    let mut pair = Pair::new(limits()).await;
    let mut expected = Vec::new();
    let mut number = 0_u8;
    while pair.socket.is_idle() {
        let payload = vec![number; 5000];
        expected.extend([&[0x82, 126, 0x13, 0x88], payload.as_slice()].concat());
        pair.socket.send(Message::Binary(payload.into()), QUEUE_BYTES).unwrap();
        number = number.wrapping_add(1);
    }
    pair.socket.send(Message::text("last"), QUEUE_BYTES).unwrap();
    expected.extend([0x81, 4, b'l', b'a', b's', b't']);
    let mut read = vec![0; expected.len()];
    soon(pair.client.read_exact(&mut read)).await.unwrap();
    assert!(read == expected, "the bytes differ");
    soon(async {
        while !pair.socket.is_idle() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_invalid_frame_gets_a_close_code_and_ends_the_connection() {
    for (bytes, code) in [
        // A frame without a mask, one with a reserved bit, one that is too long, and one that is not UTF-8.
        (vec![0x81, 0x01, b'x'], 1002),
        (vec![0xc1, 0x80, 0, 0, 0, 0], 1002),
        (vec![0x82, 0xfe, 0x40, 0x01, 0, 0, 0, 0], 1009),
        (vec![0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
    ] {
        let mut pair = Pair::new(limits()).await;
        pair.client.write_all(&bytes).await.unwrap();
        let mut goodbye = Vec::new();
        soon(pair.client.read_to_end(&mut goodbye)).await.unwrap();
        assert_eq!(goodbye.get(..1), Some([0x88].as_slice()));
        assert_eq!(goodbye.get(2..4), Some(u16::to_be_bytes(code).as_slice()));
        drop(pair.client);
        assert_eq!(soon(pair.ended.recv()).await.unwrap().code, close::ABNORMAL);
    }
}
