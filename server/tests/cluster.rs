//! Several servers that count together, through a real NATS server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]
#![cfg(feature = "cluster")]

mod support;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use support::{Binary, Client, TestServer, wait_until};
use tempfile::TempDir;

/// A NATS server, killed when it is dropped.
struct Nats {
    child: Option<Child>,
    address: SocketAddr,
    folder: TempDir,
}

impl Nats {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut nats = Self { child: None, address: SocketAddr::from(([127, 0, 0, 1], 0)), folder };
        nats.run(-1);
        let mut told = String::new();
        wait_until("nats-server says its port", async || {
            let files = fs::read_dir(nats.folder.path()).unwrap().filter_map(Result::ok);
            told = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
            told.contains('}')
        })
        .await;
        let (_, rest) = told.split_once("nats://").unwrap();
        nats.address = rest.split('"').next().unwrap().parse().unwrap();
        nats
    }

    /// Starts it on this port; -1 is any.
    fn run(&mut self, port: i32) {
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--ports_file_dir"]).arg(self.folder.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let needed = "this test needs nats-server; please install it (on Debian: sudo apt-get install nats-server)";
        self.child = Some(child.unwrap_or_else(|error| panic!("{needed}: {error}")));
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn restart(&mut self) {
        self.run(self.address.port().into());
    }

    /// The flags of a node.
    fn flags(&self) -> [String; 2] {
        [format!("--cluster=nats://{}", self.address), "--cluster-secret=not very secret at all".to_owned()]
    }

    async fn node(&self) -> TestServer {
        let flags = self.flags();
        TestServer::with(&[&flags[0], &flags[1]]).await
    }

    /// A node in a process of its own.
    fn process(&self, data: &Path) -> Binary {
        let flags = self.flags();
        Binary::start(data, &[&flags[0], &flags[1]])
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until all nodes show these viewers of a page of `example.org`.
async fn expect_everywhere(nodes: &[&Client], page: &str, viewers: u32) {
    for node in nodes {
        node.expect_counted("example.org", page, viewers).await;
    }
}

/// Waits until a node hears this many others.
async fn expect_peers(node: &Client, peers: usize) {
    wait_until(&format!("it hears {peers} other nodes"), async || {
        node.get_json("/clusterz").await["peers"].as_array().unwrap().len() == peers
    })
    .await;
}

/// Whether a node says that it cannot reach NATS. It is ready all the same.
async fn misses_the_engine(node: &Client) -> bool {
    node.get_json("/readyz").await["reasons"].to_string().contains("NATS")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_show_the_same_count() {
    let nats = Nats::start().await;
    let (one, two) = (nats.node().await, nats.node().await);
    let mut reader = two.viewer("example.org/home").await;
    reader.subscribe(&["example.org/a"]).await;
    reader.expect_viewers("example.org/a", 0).await;
    let here = one.viewer("example.org/a").await;
    reader.expect_viewers("example.org/a", 1).await;
    let there = two.viewer("example.org/a").await;
    reader.expect_viewers("example.org/a", 2).await;
    // The one who comes last knows of all, by name.
    let three = nats.node().await;
    expect_everywhere(&[&one, &two, &three], "example.org/a", 2).await;
    expect_everywhere(&[&one, &two, &three], "example.org/home", 1).await;
    let only_here = one.get_json("/parties/counter/example.org?here").await;
    assert_eq!(only_here["pages"]["example.org/a"], 1, "{only_here}");
    for node in [&one, &three] {
        let detail = node.get_json("/parties/counter/example.org?detail").await;
        assert_eq!(detail["pages"]["example.org/a"]["peak"], 2, "{detail}");
    }
    assert_eq!(three.get_json("/parties/page/example.org%2Fa").await["viewers"], 2);
    here.close().await;
    there.close().await;
    reader.expect_viewers("example.org/a", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_or_dies_does_not_count() {
    let nats = Nats::start().await;
    let stays = nats.node().await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut stops = nats.process(folders[0].path());
    let dies = nats.process(folders[1].path());
    let _viewers = (stops.viewer("example.org/a").await, dies.viewer("example.org/a").await);
    let _own = stays.viewer("example.org/a").await;
    expect_everywhere(&[&stays, &stops, &dies], "example.org/a", 3).await;
    stops.signal("TERM");
    expect_everywhere(&[&stays, &dies], "example.org/a", 2).await;
    assert!(stops.exit().await.success());
    expect_peers(&stays, 1).await;
    dies.kill();
    expect_everywhere(&[&stays], "example.org/a", 1).await;
    expect_peers(&stays, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_count_on_without_the_engine_and_together_after_it() {
    let mut nats = Nats::start().await;
    let (one, two) = (nats.node().await, nats.node().await);
    let first = one.viewer("example.org/a").await;
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    nats.kill();
    wait_until("readiness says what is wrong", async || misses_the_engine(&one).await).await;
    let _more = (two.viewer("example.org/a").await, two.viewer("example.org/a").await);
    first.close().await;
    let _own = one.viewer("example.org/b").await;
    one.expect_counted("example.org", "example.org/b", 1).await;
    nats.restart();
    expect_everywhere(&[&one, &two], "example.org/a", 2).await;
    expect_everywhere(&[&one, &two], "example.org/b", 1).await;
    wait_until("readiness has no such reason any more", async || !misses_the_engine(&one).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_on_the_bus_are_not_heard() {
    let nats = Nats::start().await;
    let (one, two) = (nats.node().await, nats.node().await);
    let url = format!("--cluster=nats://{}", nats.address);
    let stranger = TestServer::with(&[&url, "--cluster-secret=quite another secret"]).await;
    let _viewers = (stranger.viewer("example.org/a").await, two.viewer("example.org/a").await);
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    wait_until("the stranger's frames are refused", async || {
        one.get_json("/clusterz").await["framesRefused"]["Forged"].as_u64().unwrap_or(0) > 5
    })
    .await;
    expect_everywhere(&[&one, &two, &stranger], "example.org/a", 1).await;
    expect_peers(&one, 1).await;
}
