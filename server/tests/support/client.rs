//! Requests to a server from outside. The server may run in this process or in one of its own.

use std::{collections::BTreeMap, net::SocketAddr};

use http::HeaderMap;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, client::IntoClientRequest},
};

use super::{DEADLINE, TestViewer, wait_until};

/// Someone who knows a server's address.
#[derive(Clone, Copy)]
pub struct Client {
    pub address: SocketAddr,
}

/// An answer as it is on the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The header's value, or an empty string if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

impl Client {
    /// A viewer of this page, which is given as it stands in the URL.
    pub async fn viewer(&self, page: &str) -> TestViewer {
        self.try_viewer(page, &[]).await.unwrap()
    }

    pub async fn try_viewer(
        &self,
        page: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<TestViewer, tungstenite::Error> {
        self.connect(&format!("/parties/page/{page}"), headers).await
    }

    /// A WebSocket to any room.
    pub async fn connect(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<TestViewer, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let handshake = timeout(DEADLINE, connect_async(request)).await.expect("the handshake was not answered");
        let (socket, response) = handshake?;
        Ok(TestViewer { socket, response, counts: BTreeMap::new(), updates: Vec::new() })
    }

    /// The status of the answer to a handshake.
    pub async fn handshake_status(&self, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        match self.connect(path, headers).await {
            Ok(_) => 101,
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("no answer to the handshake: {error}"),
        }
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

    /// Status and body.
    pub async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let answer = self.exchange(method, path, headers, body).await;
        (answer.status, answer.text())
    }

    pub async fn exchange(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let address = self.address;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.raw(request.as_bytes()).await.unwrap_or_else(|| panic!("no answer to {request}"))
    }

    /// Sends these bytes, and reads one answer. `None` means that the server closed without one.
    pub async fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may refuse early, and close before everything is sent.
        let _ = stream.write_all(bytes).await;
        answer(&mut stream).await
    }

    /// Waits until the counter of `site` shows these viewers.
    pub async fn expect_counted(&self, site: &str, page: &str, viewers: u32) {
        let path = format!("/parties/counter/{site}");
        let what = format!("{page} has {viewers} viewers");
        wait_until(&what, async || {
            self.get_json(&path).await["pages"][page].as_u64().unwrap_or(0) == u64::from(viewers)
        })
        .await;
    }

    /// The value of a metric, with its labels, at the operator's address.
    pub async fn metric(&self, name: &str) -> Option<String> {
        let (_, text) = self.get("/metrics").await;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    }

    /// Checks that the server still serves.
    pub async fn expect_health(&self) {
        assert_eq!(self.get("/healthz").await, (200, "ok\n".to_owned()));
    }
}

/// The next answer on this connection, or none if the server closes without one.
pub async fn answer(stream: &mut TcpStream) -> Option<Answer> {
    timeout(DEADLINE, read_answer(stream)).await.expect("the server neither answered nor closed the connection")
}

async fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        // A reset ends a connection, too.
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            assert!(read.is_empty(), "half an answer: {}", String::from_utf8_lossy(&read));
            return None;
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap();
    let mut body = read.split_off(end + 4);
    let (status_line, lines) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
        headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let answer = Answer { status, headers, body: Vec::new() };
    if status != 101 && answer.header("connection") == "close" {
        let _ = stream.read_to_end(&mut body).await;
    }
    Some(Answer { body, ..answer })
}
