//! What several servers promise when nodes, the network or the NATS server fail, with the time that each may take.
//!
//! These take minutes, so they run with `just test-cluster` only.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]
#![cfg(feature = "cluster")]

mod support;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use support::{
    Binary, Client, TestViewer,
    nats::{Nats, Node, SECRET, expect_everywhere},
    wait_until,
};

/// How long NATS is away. It is longer than the time for which a silent node still counts.
const AWAY: Duration = Duration::from_secs(7);
/// Viewers who come and go, one at a time. They cause twice as many changes, and the slowest 1 % of those are compared.
const VISITS: usize = 150;
/// The pause between two changes, so that each is sent by itself.
const PAUSE: Duration = Duration::from_millis(67);
/// How long a node collects changes before it sends them together.
const TICK: Duration = Duration::from_millis(100);
/// All viewers of a test share one address, also with the client that asks for counts.
const GENEROUS: [&str; 4] = [
    "--handshake-burst=100000",
    "--handshakes-per-second=100000",
    "--request-burst=100000",
    "--requests-per-second=100000",
];

fn within(what: &str, took: Duration, promised: Duration) {
    println!("{what}: {took:.2?} of {promised:?}");
    assert!(took <= promised, "{what}: it took {took:?}, not {promised:?}");
}

async fn node(nats: &Nats) -> Node {
    Node::with(&nats.url(""), &[SECRET], &GENEROUS).await
}

/// The length is random. Otherwise every change would fall into the same part of a tick.
async fn pause() {
    tokio::time::sleep(PAUSE + TICK.mul_f64(fastrand::f64())).await;
}

/// A page, the server that its viewers connect to, and a reader of its count.
struct Watched<'a> {
    here: &'a Client,
    reader: TestViewer,
    took: Vec<Duration>,
}

impl<'a> Watched<'a> {
    const PAGE: &'static str = "example.org/a";

    async fn new(here: &'a Client, there: &Client) -> Self {
        let mut reader = there.viewer("example.org/reader").await;
        reader.subscribe(&[Self::PAGE]).await;
        reader.expect_viewers(Self::PAGE, 0).await;
        Self { here, reader, took: Vec::new() }
    }

    /// A viewer comes and leaves. This records how long it takes until the reader sees each of the two changes.
    async fn visit(&mut self) {
        pause().await;
        let start = Instant::now();
        let visitor = self.here.viewer(Self::PAGE).await;
        self.reader.expect_viewers(Self::PAGE, 1).await;
        self.took.push(start.elapsed());
        pause().await;
        let start = Instant::now();
        drop(visitor);
        self.reader.expect_viewers(Self::PAGE, 0).await;
        self.took.push(start.elapsed());
    }

    /// The 99th percentile of the times.
    fn p99(mut self, whose: &str) -> Duration {
        let took = &mut self.took;
        took.sort();
        let (many, p99) = (took.len(), took[took.len() * 99 / 100]);
        println!("{many} changes {whose}: {:.2?} at the median, {p99:.2?} for 99 of 100", took[many / 2]);
        p99
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn a_change_reaches_another_node_about_one_tick_later() {
    let nats = Nats::start().await;
    let folder = tempfile::tempdir().unwrap();
    let single = Binary::start(folder.path(), &GENEROUS);
    let (one, two) = (node(&nats).await, node(&nats).await);
    one.expect_peers(1).await;
    two.expect_peers(1).await;
    // They take turns, so that other load on the machine affects both alike.
    let mut alone = Watched::new(&single, &single).await;
    let mut elsewhere = Watched::new(&one, &two).await;
    for _ in 0..VISITS {
        alone.visit().await;
        elsewhere.visit().await;
    }
    let (alone, elsewhere) = (alone.p99("on one machine"), elsewhere.p99("seen on another node"));
    within("p99 of a change, seen on another node", elsewhere, alone.mul_f64(1.3) + TICK);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn viewers_of_a_stopped_or_killed_node_disappear_in_time() {
    let nats = Nats::start().await;
    let (stays, mut stops, dies) = (nats.node().await, nats.node().await, nats.node().await);
    let _viewers = (dies.viewer("example.org/a").await, stays.viewer("example.org/a").await);
    for _ in 0..10 {
        let mut viewer = stops.viewer("example.org/a").await;
        // Like browsers, they answer the server's close frame at once.
        tokio::spawn(async move { viewer.expect_end().await });
    }
    expect_everywhere(&[&stays, &stops, &dies], "example.org/a", 12).await;
    let start = Instant::now();
    stops.signal("TERM");
    expect_everywhere(&[&stays, &dies], "example.org/a", 2).await;
    within("a node stops, and its viewers are not counted", start.elapsed(), Duration::from_millis(500));
    assert!(stops.server.exit().await.success());
    let start = Instant::now();
    stays.expect_peers(1).await;
    dies.expect_peers(1).await;
    within("a node has exited, and is no peer any more", start.elapsed(), Duration::from_millis(500));
    let start = Instant::now();
    dies.server.kill();
    expect_everywhere(&[&stays], "example.org/a", 1).await;
    within("a node is killed", start.elapsed(), Duration::from_millis(5_500));
}

/// Viewers come and go on both nodes while NATS is away. Checks that a reader on each node sees every change on that
/// node, and nothing else. Returns the viewers who stayed, with their readers: those of `b` on the first node, and of
/// `c` on the second.
async fn churn(one: &Node, two: &Node, start: Instant) -> [Vec<TestViewer>; 2] {
    let mut stayed = [Vec::new(), Vec::new()];
    for (node, page, stay) in [(one, "example.org/b", 0), (two, "example.org/c", 1)] {
        let mut reader = node.viewer("example.org/reader").await;
        reader.subscribe(&[page]).await;
        reader.expect_viewers(page, 0).await;
        reader.updates.clear();
        stayed[stay].push(reader);
    }
    let mut expected = [Vec::new(), Vec::new()];
    let mut visitors: [Vec<TestViewer>; 2] = [Vec::new(), Vec::new()];
    let mut round = 0;
    while start.elapsed() < AWAY {
        round += 1;
        for (idx, (node, page)) in [(one, "example.org/b"), (two, "example.org/c")].into_iter().enumerate() {
            if round % 3 == 0 || visitors[idx].len() == 20 {
                visitors[idx].pop();
            } else {
                visitors[idx].push(node.viewer(page).await);
            }
            let viewers = visitors[idx].len() as u64;
            expected[idx].push(viewers);
            stayed[idx][0].expect_viewers(page, viewers).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    for (idx, page) in ["example.org/b", "example.org/c"].into_iter().enumerate() {
        let told: Vec<u64> =
            stayed[idx][0].updates.iter().filter_map(|update| update["connections"][page].as_u64()).collect();
        assert_eq!(told, expected[idx], "what a reader saw of {page}");
        stayed[idx].append(&mut visitors[idx]);
    }
    stayed
}

/// Checks that both nodes show all viewers who stayed, within 2 s from now.
async fn expect_exact(what: &str, nodes: [&Node; 2], stayed: &[Vec<TestViewer>; 2]) {
    let start = Instant::now();
    // One of each is the reader, who views another page.
    let [b, c] = stayed.each_ref().map(|viewers| viewers.len() as u64 - 1);
    for (page, viewers) in [("example.org/a", 1), ("example.org/b", b), ("example.org/c", c)] {
        expect_everywhere(&nodes, page, viewers).await;
    }
    within(what, start.elapsed(), Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn counts_are_exact_within_2_s_after_nats_is_back() {
    let mut nats = Nats::start().await;
    let (one, two) = (node(&nats).await, node(&nats).await);
    let _first = one.viewer("example.org/a").await;
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    nats.kill();
    let stayed = churn(&one, &two, Instant::now()).await;
    expect_everywhere(&[&two], "example.org/a", 0).await;
    nats.restart();
    wait_until("nats-server listens", async || tokio::net::TcpStream::connect(nats.address).await.is_ok()).await;
    expect_exact("NATS was killed for 7 s and is back", [&one, &two], &stayed).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn a_frozen_nats_server_is_reported_and_counts_recover() {
    let nats = Nats::start().await;
    let (one, two) = (node(&nats).await, node(&nats).await);
    let _first = one.viewer("example.org/a").await;
    expect_everywhere(&[&one, &two], "example.org/a", 1).await;
    let start = Instant::now();
    nats.signal("STOP");
    wait_until("readiness says that NATS is away", async || {
        one.complaints().await.contains("NATS") && two.complaints().await.contains("NATS")
    })
    .await;
    within("NATS is frozen, and readiness says so", start.elapsed(), Duration::from_secs(4));
    let stayed = churn(&one, &two, start).await;
    nats.signal("CONT");
    expect_exact("NATS is no longer frozen", [&one, &two], &stayed).await;
}

/// Two network namespaces and the links between them. They are removed when this is dropped.
struct Halves {
    names: [String; 2],
}

impl Halves {
    /// `left` and `right` reach each other at 10.77.3.1 and 10.77.3.2. We reach them at 10.77.1.2 and 10.77.2.2.
    fn new() -> Self {
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        assert!(root, "this test makes network namespaces, which takes root: run `just test-cluster` as root");
        let names = ["left", "right"].map(|side| format!("cc-{side}-{}", std::process::id()));
        let halves = Self { names };
        let [left, right] = &halves.names;
        for name in &halves.names {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link set lo up"));
        }
        ip(&format!("link add middle netns {left} type veth peer name middle netns {right}"));
        for (idx, name) in halves.names.iter().enumerate() {
            let (number, outside) = (idx + 1, format!("cc{}-{}", idx, std::process::id()));
            ip(&format!("link add {outside} type veth peer name outside netns {name}"));
            ip(&format!("address add 10.77.{number}.1/24 dev {outside}"));
            ip(&format!("link set {outside} up"));
            ip(&format!("-n {name} address add 10.77.{number}.2/24 dev outside"));
            ip(&format!("-n {name} address add 10.77.3.{number}/24 dev middle"));
            ip(&format!("-n {name} link set outside up"));
            ip(&format!("-n {name} link set middle up"));
        }
        halves
    }

    fn part(&self) {
        ip(&format!("-n {} link set middle down", self.names[0]));
    }

    fn heal(&self) {
        ip(&format!("-n {} link set middle up", self.names[0]));
    }

    /// A command that runs a program in one of them.
    fn run(&self, idx: usize, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[idx], program]).args(args);
        command
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).output();
    let done = done.expect("this test needs ip; please install it (on Debian: apt-get install iproute2)");
    assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn halves_of_a_split_network_count_apart_and_together_after_it_heals() {
    let halves = Halves::new();
    let folder = tempfile::tempdir().unwrap();
    let (mut engines, mut nodes) = (Vec::new(), Vec::new());
    for idx in 0..2 {
        let (number, other) = (idx + 1, 2 - idx);
        // NATS servers notice each other's silence with these, and try again every second.
        let settings = format!(
            "listen: 127.0.0.1:4222\nping_interval: \"1s\"\nping_max: 2\n\
             cluster {{ name: cc, listen: \"10.77.3.{number}:6222\", routes: [\"nats://10.77.3.{other}:6222\"] }}\n"
        );
        let file = folder.path().join(format!("nats-{idx}.conf"));
        std::fs::write(&file, settings).unwrap();
        engines.push(Nats::of(halves.run(idx, "nats-server", &["--config", file.to_str().unwrap()])));
        let program = env!("CARGO_BIN_EXE_connection-counter");
        let listen = format!("10.77.{number}.2:1999");
        let data = folder.path().join(format!("data-{idx}"));
        let mut command = halves.run(idx, program, &["--open", "--listen", &listen, "--data", data.to_str().unwrap()]);
        command.args(GENEROUS);
        let log = std::fs::File::create(folder.path().join(format!("log-{idx}"))).unwrap();
        command.args(["--cluster=nats://127.0.0.1:4222", &format!("--cluster-secret={SECRET}")]).stderr(log);
        nodes.push(Binary::spawn(&mut command));
    }
    let viewers = async |idx: usize| {
        let page = nodes[idx].get_json("/parties/page/example.org%2Fa").await;
        page["viewers"].as_u64().unwrap()
    };
    let both_show = async |count: [u64; 2]| {
        wait_until(&format!("the halves show {count:?}"), async || [viewers(0).await, viewers(1).await] == count).await;
    };
    let _first = (nodes[0].viewer("example.org/a").await, nodes[1].viewer("example.org/a").await);
    both_show([2, 2]).await;
    halves.part();
    let start = Instant::now();
    both_show([1, 1]).await;
    within("the network parts", start.elapsed(), Duration::from_millis(5_500));
    let _more = (nodes[0].viewer("example.org/a").await, nodes[0].viewer("example.org/a").await);
    both_show([3, 1]).await;
    halves.heal();
    let start = Instant::now();
    both_show([4, 4]).await;
    within("the network heals", start.elapsed(), Duration::from_secs(2));
    drop(engines);
}
