//! The shipped code through a real NATS server, at sizes that no test with viewers reaches. `just test-cluster` runs it, as a
//! release build.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use async_nats::ConnectOptions;
use tempfile::TempDir;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{interval, sleep},
};

use super::{
    Cluster,
    bus::{self, Bus},
    key::Key,
    member::{Member, TICK, Versions},
    seal::Seal,
    wire::{Frame, Node},
};

/// The version of a node that is not upgraded yet, and of one that is.
const OLD: Versions = Versions { oldest: 1, newest: 1 };
const NEW: Versions = Versions { oldest: 1, newest: 2 };

/// A NATS server, killed when it is dropped.
struct Engine {
    child: Child,
    address: String,
    folder: TempDir,
}

impl Engine {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("nats-server");
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"]).arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let needed = "this test needs nats-server; please install it (on Debian: sudo apt-get install nats-server)";
        let child = command.spawn().unwrap_or_else(|error| panic!("{needed}: {error}"));
        let mut engine = Self { child, address: String::new(), folder };
        while engine.address.is_empty() {
            let files = fs::read_dir(engine.folder.path()).unwrap().filter_map(Result::ok);
            let told: String = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
            if let Some((_, rest)) = told.split_once("nats://").filter(|_| told.contains('}')) {
                engine.address = format!("nats://{}", rest.split('"').next().unwrap());
            }
            sleep(Duration::from_millis(10)).await;
        }
        engine
    }

    /// Seconds of processor time that it has used.
    fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node without viewers: its counts are set by the test.
struct Drilled {
    cluster: Cluster,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Drilled {
    fn start(engine: &Engine, reads: Versions) -> Self {
        let node = Node(fastrand::u64(1..1 << 48));
        let cluster = Cluster::new(Seal::new("drill", &["a secret for drills".to_owned()]), node);
        cluster.state().member = Member::new(node, reads);
        let options = ConnectOptions::new();
        let bus = Bus { servers: vec![engine.address.parse().unwrap()], options, subject: "cc.drill.x".into() };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(bus::run(cluster.clone(), bus, async {
            let _ = stopped.await;
        }));
        Self { cluster, stop, task }
    }

    fn set(&self, page: u32, viewers: u32) {
        self.cluster.state().member.set_local(key(page), viewers);
    }

    /// Viewers of these pages on all nodes, as far as this one knows.
    fn total(&self, pages: u32) -> u64 {
        let state = self.cluster.state();
        let viewers = |page| u64::from(state.member.local(key(page)) + state.member.elsewhere(key(page)));
        (0..pages).map(viewers).sum()
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }
}

/// As good as a hash.
fn key(page: u32) -> Key {
    let mut rng = fastrand::Rng::with_seed(page.into());
    Key([(); 16].map(|()| rng.u8(..)))
}

/// Waits until all nodes show this total. Says how long it took.
async fn exact(nodes: &[Drilled], pages: u32, total: u64) -> Duration {
    let start = Instant::now();
    while nodes.iter().any(|node| node.total(pages) != total) {
        let shown: Vec<u64> = nodes.iter().map(|node| node.total(pages)).collect();
        assert!(start.elapsed() < Duration::from_secs(20), "nodes show {shown:?}, not {total}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn a_node_that_joins_20000_pages_is_exact_in_2_s() {
    const PAGES: u32 = 20_000;
    let engine = Engine::start().await;
    let mut nodes = vec![Drilled::start(&engine, OLD), Drilled::start(&engine, OLD)];
    for page in 0..PAGES {
        nodes[page as usize % 2].set(page, 1 + page % 7);
    }
    let total = (0..PAGES).map(|page| u64::from(1 + page % 7)).sum();
    exact(&nodes, PAGES, total).await;
    nodes.push(Drilled::start(&engine, OLD));
    let took = exact(&nodes, PAGES, total).await;
    println!("a node joins with {PAGES} pages around: {took:.2?} of 2s");
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn counts_are_exact_after_each_step_of_an_upgrade() {
    const PAGES: u32 = 2_000;
    let engine = Engine::start().await;
    let mut nodes: Vec<_> = (0..3).map(|_| Drilled::start(&engine, OLD)).collect();
    for step in 0..3 {
        // The counts change all the time: 20,000 times a second.
        for round in 0..30 {
            for node in &nodes {
                (0..700).for_each(|_| node.set(fastrand::u32(..PAGES), fastrand::u32(..9)));
            }
            if round == 10 {
                nodes.remove(0).stop().await;
                nodes.push(Drilled::start(&engine, NEW));
            }
            sleep(TICK).await;
        }
        let truth = |node: &Drilled| {
            (0..PAGES).map(|page| u64::from(node.cluster.state().member.local(key(page)))).sum::<u64>()
        };
        let total = nodes.iter().map(truth).sum();
        let took = exact(&nodes, PAGES, total).await;
        println!("after step {step} of an upgrade: {took:.2?} of 2s");
        assert!(took <= Duration::from_secs(2), "{took:?}");
    }
    sleep(Duration::from_secs(3)).await;
    let refused = |node: &Drilled| node.cluster.state().member.tallies.refused.clone();
    println!("refused: {:?}", nodes.iter().map(refused).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn a_million_changes_a_second_pass_one_nats_server() {
    const PAGES: u32 = 40_000;
    const SECONDS: u32 = 10;
    let engine = Engine::start().await;
    let nodes: Vec<_> = (0..3).map(|_| Drilled::start(&engine, OLD)).collect();
    exact(&nodes, PAGES, 0).await;
    sleep(Duration::from_secs(2)).await;
    let keys: Vec<Key> = (0..PAGES).map(key).collect();
    let told = || nodes.iter().map(|node| node.cluster.state().member.tallies.told).sum::<u64>();
    let (before, start, cpu) = (told(), Instant::now(), engine.cpu_seconds());
    let mut ticks = interval(TICK);
    let mut round = 0;
    while start.elapsed() < Duration::from_secs(SECONDS.into()) {
        ticks.tick().await;
        round += 1;
        for node in &nodes {
            let mut state = node.cluster.state();
            keys.iter().for_each(|key| state.member.set_local(*key, 1 + round % 1_000));
        }
    }
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), engine.cpu_seconds() - cpu);
    let per_second = (told() - before) as f64 / elapsed;
    let took = exact(&nodes, PAGES, 3 * u64::from(PAGES) * u64::from(1 + round % 1_000)).await;
    println!(
        "{per_second:.0} changes a second in through one NATS server, which used {:.0} % of a core; exact {took:.2?} later",
        100.0 * cpu / elapsed
    );
    assert!(per_second >= 1_000_000.0, "{per_second} changes a second");
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

#[test]
#[ignore = "run it with `just test-cluster`"]
fn a_change_costs_a_node_150_ns() {
    const CHANGES: u32 = 20_000;
    const ROUNDS: u32 = 50;
    let seal = Seal::new("drill", &["a secret for drills".to_owned()]);
    let mut now = Instant::now();
    let (mut sends, mut receives) = (Member::new(Node(1), OLD), Member::new(Node(2), OLD));
    sends.connected(now);
    receives.connected(now);
    let keys: Vec<Key> = (0..CHANGES).map(key).collect();
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    for round in 1..=ROUNDS {
        now += TICK;
        let start = Instant::now();
        keys.iter().for_each(|key| sends.set_local(*key, round));
        let sent: Vec<Vec<u8>> = sends.on_tick(now).into_iter().filter_map(|frame| seal.seal(frame)).collect();
        sending += start.elapsed();
        let start = Instant::now();
        for bytes in &sent {
            let frame: Frame = seal.open(bytes).unwrap();
            receives.on_frame(now, &frame).unwrap();
        }
        receives.take_changed();
        receiving += start.elapsed();
    }
    assert!(keys.iter().all(|key| receives.elsewhere(*key) == ROUNDS));
    let [sending, receiving] = [sending, receiving].map(|time| time / (CHANGES * ROUNDS));
    println!("a change costs the node that tells it {sending:?}, and each that hears it {receiving:?}, of 150ns");
    assert!(receiving <= Duration::from_nanos(150), "{receiving:?}");
}
