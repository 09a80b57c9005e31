//! Viewers that read slowly, or not at all. The server holds one message for each of them, and the others do not wait.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::{Client, DEADLINE, TestServer, TestViewer};
use tokio::net::TcpSocket;

const TOKEN: &[(&str, &str)] = &[("authorization", "Bearer secret")];
/// Long ids make large updates. With these, an update has about 100 KB.
const LINKS: usize = 200;
const LINK_BYTES: usize = 480;
/// Together they are more than the operating system buffers between two sockets of one machine, about 4 MiB here.
const UPDATES: u32 = 100;

fn links() -> Vec<String> {
    (0..LINKS).map(|number| format!("{number:0>LINK_BYTES$}")).collect()
}

/// A viewer of page a that watches all links.
async fn watch(viewer: &mut TestViewer) {
    let links = links();
    for part in links.chunks(20) {
        viewer.subscribe(&part.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    viewer.expect_viewers(&links[LINKS - 1], 0).await;
}

/// Tells page a, as its counter would, that every link has this many viewers.
async fn tell(server: &Client, viewers: u32) {
    let connections: BTreeMap<String, u32> = links().into_iter().map(|link| (link, viewers)).collect();
    let body = json!({ "action": "update", "connections": connections }).to_string();
    assert_eq!(server.request("POST", "/parties/page/a", TOKEN, &body).await.0, 200);
}

/// A viewer with a small receive buffer, so that little waits there while it does not read.
async fn slow_viewer(server: &Client) -> TestViewer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(server.address).await.unwrap();
    let url = format!("ws://{}/parties/page/a", server.address);
    let stream = tokio_tungstenite::MaybeTlsStream::Plain(stream);
    let (socket, response) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    TestViewer { socket, response, counts: BTreeMap::new(), updates: Vec::new() }
}

#[tokio::test]
async fn a_slow_viewer_skips_updates_and_gets_the_newest_counts() {
    let server = TestServer::with(&["--party-token=secret", "--update-interval-ms=1"]).await;
    let mut slow = slow_viewer(&server).await;
    watch(&mut slow).await;
    let mut fast = server.viewer("a").await;
    watch(&mut fast).await;
    slow.updates.clear();
    for viewers in 1..=UPDATES {
        tell(&server, viewers).await;
        // The viewer that reads gets every update, whatever the slow one does.
        fast.expect_viewers(&links()[0], viewers.into()).await;
    }
    slow.expect_viewers(&links()[0], UPDATES.into()).await;
    let of_first = |update: &&Value| update["connections"].get(&links()[0]).is_some();
    let received = slow.updates.iter().filter(of_first).count();
    assert!(received < UPDATES as usize, "{received} updates waited for a viewer that did not read");
}

#[tokio::test]
async fn a_viewer_that_never_reads_is_dropped() {
    let args = ["--party-token=secret", "--update-interval-ms=1", "--write-timeout-ms=200"];
    let server = TestServer::with(&args).await;
    let mut slow = slow_viewer(&server).await;
    watch(&mut slow).await;
    let start = std::time::Instant::now();
    for viewers in 1.. {
        let page: Value = server.get_json("/parties/page/a").await;
        if page["viewers"] == 0 {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "it is still there after {viewers} updates");
        tell(&server, viewers).await;
    }
}

#[tokio::test]
async fn large_updates_are_split_into_small_messages() {
    let server = TestServer::with(&["--party-token=secret", "--max-send-queue-bytes=40000"]).await;
    let mut anna = server.viewer("a").await;
    // The first counts and the later update are each larger than the send queue of a connection.
    watch(&mut anna).await;
    tell(&server, 7).await;
    for link in links() {
        anna.expect_viewers(&link, 7).await;
    }
    let longest = anna.updates.iter().map(|update| update.to_string().len()).max().unwrap();
    assert!(longest < 17 * 1024, "{longest} bytes in one message");
}
