//! A real server on a free port, and real viewers on real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    unreachable_pub,
    reason = "a failing test may panic, and no story uses every helper"
)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use clap::Parser;
use connection_counter::{Config, StartupError, run};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::CloseFrame},
};

/// How long anything may take before a test gives up. Generous: machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A server that stops when it is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    args: Vec<String>,
    data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    done: Option<JoinHandle<Result<(), StartupError>>>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with these flags besides its address and data folder.
    pub async fn with(args: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            data,
            stop: None,
            done: None,
        };
        server.run().await;
        server
    }

    /// The folder of the database, for tests that damage it.
    pub fn database(&self) -> std::path::PathBuf {
        self.data.path().join("data")
    }

    pub async fn run(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let data = self.database();
        let fixed = ["connection-counter", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        let args = fixed.into_iter().map(str::to_owned).chain(self.args.clone());
        let config = Config::parse_from(args);
        let shutdown = async {
            let _ = stopped.await;
        };
        self.stop = Some(stop);
        self.done = Some(tokio::spawn(run(listener, config, shutdown)));
        // The listener was bound before, so a connection waits until the server serves.
        assert_eq!(self.get("/healthz").await.0, 200);
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(&mut self) {
        if let (Some(stop), Some(done)) = (self.stop.take(), self.done.take()) {
            let _ = stop.send(());
            done.await.unwrap().unwrap();
        }
    }

    /// The same server again: same port, same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }

    /// A viewer of this page.
    pub async fn viewer(&self, page: &str) -> TestViewer {
        self.try_viewer(page, &[]).await.unwrap()
    }

    pub async fn try_viewer(
        &self,
        page: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<TestViewer, tungstenite::Error> {
        let mut request = format!("ws://{}/parties/page/{page}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(TestViewer { socket, counts: BTreeMap::new(), updates: Vec::new() })
    }

    /// Status and body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, &[], "").await
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let (head, body) = self.exchange(method, path, headers, body).await;
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
    }

    /// Head and body of the answer, as they are on the wire.
    pub async fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (String, String) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let address = self.address;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        let answer = String::from_utf8_lossy(&self.raw(request.as_bytes()).await).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {request}: {answer}"));
        (head.to_owned(), body.to_owned())
    }

    /// Sends these bytes and reads until the server closes.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        read.expect("the server did not close the connection").unwrap();
        answer
    }

    /// Waits until the counter of `site` shows these viewers.
    pub async fn expect_counted(&self, site: &str, page: &str, viewers: u32) {
        let path = format!("/parties/counter/{site}");
        let start = Instant::now();
        loop {
            let shown = self.get_json(&path).await["pages"][page].as_u64().unwrap_or(0);
            if shown == u64::from(viewers) {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{page} shows {shown} viewers, not {viewers}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A WebSocket to a page room, and what it was told.
pub struct TestViewer {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub counts: BTreeMap<String, u64>,
    /// Every update, as it came.
    pub updates: Vec<Value>,
}

impl TestViewer {
    pub async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub async fn subscribe(&mut self, links: &[&str]) {
        self.send(json!({ "type": "subscribe", "links": links }).to_string()).await;
    }

    pub async fn unsubscribe(&mut self, links: &[&str]) {
        self.send(json!({ "type": "unsubscribe", "links": links }).to_string()).await;
    }

    /// The next text message as JSON.
    pub async fn next(&mut self) -> Value {
        self.next_within(DEADLINE).await.expect("no message came")
    }

    /// The next text message as JSON, or `None` if none comes in time.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Value> {
        let read = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let value: Value = serde_json::from_str(&text).unwrap_or(Value::String(text.to_string()));
                        break value;
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("instead of a message came {other:?}"),
                }
            }
        };
        let value = tokio::time::timeout(patience, read).await.ok()?;
        if value["type"] == "update" {
            self.updates.push(value.clone());
            for (id, count) in value["connections"].as_object().unwrap() {
                self.counts.insert(id.clone(), count.as_u64().unwrap());
            }
        }
        Some(value)
    }

    /// Reads until the page shows these viewers.
    pub async fn expect_viewers(&mut self, page: &str, viewers: u64) {
        let start = Instant::now();
        while self.counts.get(page) != Some(&viewers) {
            let left = DEADLINE.saturating_sub(start.elapsed());
            if self.next_within(left).await.is_none() {
                panic!("{page} shows {:?} viewers, not {viewers}", self.counts.get(page));
            }
        }
    }

    /// The next message is an error of this code; returns its sentence.
    pub async fn expect_error(&mut self, code: &str) -> String {
        let message = self.next().await;
        assert_eq!((&message["type"], &message["code"]), (&json!("error"), &json!(code)), "{message}");
        message["message"].as_str().unwrap().to_owned()
    }

    /// Nothing comes for a while.
    pub async fn expect_silence(&mut self, patience: Duration) {
        if let Some(message) = self.next_within(patience).await {
            panic!("unexpected message {message}");
        }
    }

    /// Waits for the server's goodbye; other messages are passed over.
    pub async fn expect_close(&mut self) -> CloseFrame {
        let read = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => break frame,
                    Some(Ok(_)) => {}
                    other => panic!("instead of a close came {other:?}"),
                }
            }
        };
        tokio::time::timeout(DEADLINE, read).await.expect("the connection was not closed")
    }

    pub async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
