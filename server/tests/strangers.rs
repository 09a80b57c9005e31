//! How much clients can make the server hold. One address, and the viewers of one page, have limits.
//!
//! The server is a process of its own, so that its memory can be measured.
//! `cargo test --release --test strangers -- --nocapture` prints the figures.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{fs, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use support::{Binary, TestServer, TestViewer, wait_until};

/// Addresses are told apart only behind a proxy. Requests from this machine itself have no limits.
const PROXY: &str = "--trusted-proxy=127.0.0.1/32";
/// How much the server's memory may grow because of one address.
const BYTES_PER_ADDRESS: u64 = 64 * 1024 * 1024;
/// Nearly as much as one address may have by default.
const SOCKETS: usize = 60;
const LINKS: usize = 1_024;
const LINK_BYTES: usize = 480;
/// How many of these links fit into one message.
const LINKS_PER_MESSAGE: usize = 32;
/// After an attack, the server may still hold this part of the memory that it used: one third.
const GIVEN_BACK: u64 = 3;
/// With these flags, the attack is not slowed down, and its connections stay open although it does not read.
const HASTE: [&str; 5] = [
    "--handshake-burst=100",
    "--message-burst=1000",
    "--write-timeout-ms=600000",
    "--idle-timeout-ms=600000",
    "--log=error",
];

/// A server in a process of its own.
struct Server {
    binary: Binary,
    _data: tempfile::TempDir,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let args: Vec<&str> = args.iter().chain(&HASTE).copied().chain([PROXY]).collect();
        let binary = Binary::start(&data.path().join("data"), &args);
        Self { binary, _data: data }
    }

    async fn viewer(&self, page: &str, address: &str) -> TestViewer {
        let headers = [("x-forwarded-for", address), ("origin", "https://example.org")];
        self.binary.try_viewer(&page.replace('/', "%2F"), &headers).await.unwrap()
    }

    /// Bytes of memory that the server uses.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.binary.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Makes each of these addresses watch as many long links as it may, and waits until the server has handled that.
    /// `site_of` gives the site of each link by its number.
    async fn attack(&self, addresses: &[&str], site_of: impl Fn(usize) -> String) -> Vec<TestViewer> {
        let mut viewers = Vec::new();
        let mut number = 0;
        for address in addresses {
            for _ in 0..SOCKETS {
                let mut viewer = self.viewer(&format!("example.org/{number}"), address).await;
                for _ in 0..LINKS / LINKS_PER_MESSAGE {
                    let links: Vec<_> =
                        (0..LINKS_PER_MESSAGE).map(|idx| link(&site_of(number + idx), number + idx)).collect();
                    number += LINKS_PER_MESSAGE;
                    viewer.subscribe(&links.iter().map(String::as_str).collect::<Vec<_>>()).await;
                }
                viewers.push(viewer);
            }
        }
        for viewer in &mut viewers {
            settled(viewer).await;
        }
        viewers
    }

    /// Checks that a viewer from another address is counted on a page that no one has viewed before.
    async fn expect_fresh_page(&self, name: &str) {
        let viewer = self.viewer(&format!("example.org/{name}"), "198.51.100.7").await;
        self.binary.expect_counted("example.org", &format!("example.org/{name}"), 1).await;
        viewer.close().await;
    }
}

/// A link of nearly the greatest length.
fn link(site: &str, number: usize) -> String {
    format!("{site}/{number:0>width$}", width = LINK_BYTES - site.len() - 1)
}

/// Waits until the page has answered all that this viewer sent. Returns whether it has refused links as too many.
async fn settled(viewer: &mut TestViewer) -> bool {
    viewer.subscribe(&[""]).await;
    let mut too_many = false;
    loop {
        let message = viewer.next().await;
        match message["code"].as_str() {
            Some("bad-link") => return too_many,
            Some("too-many-links") => too_many = true,
            _ => {}
        }
    }
}

#[tokio::test]
async fn one_address_cannot_use_up_memory_or_rooms() {
    // Half of the rooms of this server are for connections. The two addresses must not use up that half.
    let server = Server::start(&["--open", "--max-rooms=24000", "--room-idle-ms=500"]);
    server.expect_fresh_page("before").await;
    let before = server.memory();
    let mut held = Vec::new();
    for (idx, address) in ["192.0.2.1", "192.0.2.2"].into_iter().enumerate() {
        held.extend(server.attack(&[address], |number| format!("{idx}.{number}.example")).await);
        let grown = server.memory().saturating_sub(before);
        println!("{} addresses, sites of their own: {} MB", idx + 1, grown >> 20);
        assert!(grown < BYTES_PER_ADDRESS * (idx as u64 + 1), "{} MB after {} addresses", grown >> 20, idx + 1);
        server.expect_fresh_page(&format!("after-{idx}")).await;
    }
    // The last connection cannot watch another link, either.
    let refused = held.last_mut().unwrap();
    refused.subscribe(&[&link("fresh.example", 1)]).await;
    assert!(settled(refused).await, "it was told of the limit");
    let at_most = server.memory().saturating_sub(before);
    drop(held);
    // After they have left, the address may use as much as before.
    let mut viewer = server.viewer("example.org/again", "192.0.2.1").await;
    wait_until("the address may watch as before", async || {
        viewer.subscribe(&[&link("fresh.example", 1)]).await;
        !settled(&mut viewer).await
    })
    .await;
    wait_until("most of the memory is given back", async || {
        server.memory().saturating_sub(before) < at_most / GIVEN_BACK
    })
    .await;
    println!("after they left: {} MB", server.memory().saturating_sub(before) >> 20);
}

#[tokio::test]
async fn memory_for_links_of_one_site_is_limited_per_address() {
    let server = Server::start(&["--site=example.org"]);
    let before = server.memory();
    let held = server.attack(&["192.0.2.1"], |_| "example.org".to_owned()).await;
    let grown = server.memory().saturating_sub(before);
    println!("1 address, all of one site: {} MB", grown >> 20);
    assert!(grown < BYTES_PER_ADDRESS, "{} MB", grown >> 20);
    server.expect_fresh_page("after").await;
    drop(held);
}

#[tokio::test]
async fn subscribing_and_unsubscribing_cannot_use_up_rooms() {
    // Rooms stay in memory for ten seconds after they were last needed. Half of the rooms are for connections.
    let server = Server::start(&["--open", "--max-rooms=16000"]);
    let mut viewer = server.viewer("example.org/a", "192.0.2.1").await;
    for round in 0..100 {
        let links: Vec<_> = (0..250).map(|number| format!("{round}.{number}.example")).map(|site| site + "/").collect();
        let links: Vec<_> = links.iter().map(String::as_str).collect();
        viewer.subscribe(&links).await;
        viewer.unsubscribe(&links).await;
    }
    assert!(settled(&mut viewer).await, "it was told that these are too many");
    server.expect_fresh_page("after").await;
}

#[tokio::test]
async fn one_address_cannot_use_up_the_links_of_a_page() {
    let server = TestServer::with(&[PROXY, "--max-links-per-room=100"]).await;
    let come = async |address: &str, from: usize| {
        let mut viewer = server.try_viewer("a", &[("x-forwarded-for", address)]).await.unwrap();
        let links: Vec<_> = (from..from + 100).map(|number| format!("link-{number}")).collect();
        viewer.subscribe(&links.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert!(settled(&mut viewer).await, "it was told that these are too many");
        viewer
    };
    let watched = async || server.get_json("/parties/page/a").await["connections"].as_object().unwrap().len();
    let anna = come("192.0.2.1", 0).await;
    assert_eq!(watched().await, 50);
    // A second connection of the same address changes nothing.
    let alex = come("192.0.2.1", 100).await;
    assert_eq!(watched().await, 50);
    let ben = come("192.0.2.2", 200).await;
    assert_eq!(watched().await, 75);
    // Links that others watch already are not new links.
    let mut cleo = server.try_viewer("a", &[("x-forwarded-for", "192.0.2.3")]).await.unwrap();
    cleo.subscribe(&["link-0", "link-200"]).await;
    assert!(!settled(&mut cleo).await);
    for viewer in [anna, alex, ben, cleo] {
        viewer.close().await;
    }
    let mut viewer = server.try_viewer("a", &[("x-forwarded-for", "192.0.2.1")]).await.unwrap();
    let links: Vec<_> = (0..50).map(|number| format!("new-{number}")).collect();
    let links: Vec<_> = links.iter().map(String::as_str).collect();
    wait_until("the links are free again", async || {
        viewer.unsubscribe(&links).await;
        viewer.subscribe(&links).await;
        !settled(&mut viewer).await
    })
    .await;
}

/// Connections that each send pieces of a long body.
struct SlowBodies(Vec<TcpStream>);

impl SlowBodies {
    const BYTES: usize = 100 * 1024;

    async fn begin(server: &Server, method: &str, connections: usize) -> Self {
        let bytes = Self::BYTES;
        let head = format!("{method} /parties/page/a HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
        let mut streams = Vec::new();
        for _ in 0..connections {
            let mut stream = TcpStream::connect(server.binary.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            streams.push(stream);
        }
        Self(streams)
    }

    /// Each sends this many pieces, in turns. The server may have refused some of them already.
    async fn send(&mut self, pieces: usize, bytes: usize) {
        for _ in 0..pieces {
            for stream in &self.0 {
                let _ = stream.try_write(&vec![b'x'; bytes]);
            }
            // This pause lets each piece arrive by itself.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn connections_whose_headers_have_not_arrived_cost_little() {
    const CONNECTIONS: usize = 1_000;
    const LINE: &str = "GET /parties/page/a HTTP/1.1\r\n";
    for (what, beginning, piece) in [("nothing", "", ""), ("a part of its headers", LINE, "host: x\r\n")] {
        let server = Server::start(&["--header-timeout-ms=60000"]);
        server.expect_fresh_page("before").await;
        let before = server.memory();
        let mut slow = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(server.binary.address).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            slow.push(stream);
        }
        for stream in &mut slow {
            stream.write_all(piece.as_bytes()).await.unwrap();
        }
        // It is accepted after them.
        server.expect_fresh_page("after").await;
        let each = server.memory().saturating_sub(before) / CONNECTIONS as u64;
        println!("a connection that sends {what} costs {each} bytes");
        assert!(each < 4 * 1024, "{each} bytes for each that sends {what}");
    }
}

#[tokio::test]
async fn slow_bodies_use_little_memory_and_delay_no_one() {
    const CONNECTIONS: usize = 400;
    for method in ["GET", "POST"] {
        let server = Server::start(&["--body-timeout-ms=60000"]);
        server.expect_fresh_page("before").await;
        let before = server.memory();
        let each = || server.memory().saturating_sub(before) / CONNECTIONS as u64;
        let mut bodies = SlowBodies::begin(&server, method, CONNECTIONS).await;
        bodies.send(20, 10).await;
        println!("{method}: 20 pieces of 10 bytes cost {} bytes", each());
        assert!(each() < 14 * 1024, "{} bytes for each {method}", each());
        bodies.send(10, SlowBodies::BYTES / 10 - 20).await;
        println!("{method}: nearly all of 100 KB costs {} bytes", each());
        assert!(each() < 64 * 1024, "{} bytes for each {method}", each());
        // While the rest is missing, the memory of the read buffer is given back.
        wait_until("a body that waits costs little", async || each() < 40 * 1024).await;
        server.expect_fresh_page("after").await;
    }
}
