//! A WebSocket to a room, as a browser would hold it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, handshake::client::Response, protocol::CloseFrame},
};

use super::DEADLINE;

/// A WebSocket to a room, and what it was told.
pub struct TestViewer {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The answer to its handshake.
    pub response: Response,
    pub counts: BTreeMap<String, u64>,
    /// Every update, in the order of arrival.
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
                    other => panic!("expected a message, got {other:?}"),
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

    /// Expects an error with this code as the next message. Returns its sentence.
    pub async fn expect_error(&mut self, code: &str) -> String {
        let message = self.next().await;
        assert_eq!((&message["type"], &message["code"]), (&json!("error"), &json!(code)), "{message}");
        message["message"].as_str().unwrap().to_owned()
    }

    /// Checks that no message comes for this long.
    pub async fn expect_silence(&mut self, patience: Duration) {
        if let Some(message) = self.next_within(patience).await {
            panic!("unexpected message {message}");
        }
    }

    /// Waits for the server's close frame, and skips other messages.
    pub async fn expect_close(&mut self) -> CloseFrame {
        let read = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => break frame,
                    Some(Ok(_)) => {}
                    other => panic!("expected a close frame, got {other:?}"),
                }
            }
        };
        tokio::time::timeout(DEADLINE, read).await.expect("the connection was not closed")
    }

    /// Waits for the server's close frame. Returns its code.
    pub async fn expect_close_code(&mut self) -> u16 {
        self.expect_close().await.code.into()
    }

    /// Waits until the connection is over, with or without a close frame.
    pub async fn expect_end(&mut self) {
        let read = async { while let Some(Ok(_)) = self.socket.next().await {} };
        tokio::time::timeout(DEADLINE, read).await.expect("the connection did not end");
    }

    pub async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}
