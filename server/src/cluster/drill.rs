//! The shipped code through a real NATS server, at sizes that no test with viewers reaches. `just test-cluster` runs it, as a
//! release build.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use async_nats::ConnectOptions;
use connection_counter_protocol::PageId;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{interval, sleep},
};

use super::{
    Cluster, ClusterFeed, Site,
    bus::{self, Bus},
    key::Key,
    member::{Member, TICK, Versions},
    seal::Seal,
    wire::Node,
};
use crate::counter::elsewhere::Feed;

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
    /// Viewers of its pages.
    own: RefCell<HashMap<Key, u32>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Drilled {
    fn start(engine: &Engine, reads: Versions) -> Self {
        let node = Node(fastrand::u64(1..1 << 48));
        let cluster = Cluster::new(Seal::new("drill", "a secret for drills"), node, Vec::new());
        cluster.state().member = Member::new(node, reads);
        let options = ConnectOptions::new();
        let bus = Bus { servers: vec![engine.address.parse().unwrap()], options, subject: "cc.drill.x".into() };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(bus::run(cluster.clone(), bus, async {
            let _ = stopped.await;
        }));
        Self { cluster, own: RefCell::default(), stop, task }
    }

    fn set(&self, page: Key, viewers: u32) {
        self.own.borrow_mut().insert(page, viewers);
        self.cluster.state().member.set_local(page, viewers);
    }

    /// Viewers of these pages on all nodes, as far as this one knows.
    fn total(&self, pages: &[Key]) -> u64 {
        let state = self.cluster.state();
        pages.iter().map(|page| u64::from(state.member.local(*page) + state.member.elsewhere(*page))).sum()
    }

    /// Viewers of all pages on this node.
    fn own(&self) -> u64 {
        self.own.borrow().values().copied().map(u64::from).sum()
    }

    /// The version of its frames.
    fn writes(&self) -> u8 {
        self.cluster.state().member.ask_names(&[]).version
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap();
    }
}

/// Pages. Their keys are as good as hashes.
fn pages(many: u32) -> Vec<Key> {
    let key = |page: u32| {
        let mut rng = fastrand::Rng::with_seed(page.into());
        Key([(); 16].map(|()| rng.u8(..)))
    };
    (0..many).map(key).collect()
}

/// Waits until all nodes show this total. Says how long it took.
async fn exact(nodes: &[Drilled], pages: &[Key], total: u64) -> Duration {
    let start = Instant::now();
    while nodes.iter().any(|node| node.total(pages) != total) {
        let shown: Vec<u64> = nodes.iter().map(|node| node.total(pages)).collect();
        assert!(start.elapsed() < Duration::from_secs(20), "nodes show {shown:?}, not {total}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

fn within(what: &str, took: Duration, promised: Duration) {
    println!("{what}: {took:.2?} of {promised:?}");
    assert!(took <= promised, "{what}: it took {took:?}, not {promised:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn a_node_that_joins_20000_pages_is_exact_in_2_s() {
    let engine = Engine::start().await;
    let mut nodes = vec![Drilled::start(&engine, OLD), Drilled::start(&engine, OLD)];
    let pages = pages(20_000);
    for (idx, page) in pages.iter().enumerate() {
        nodes[idx % 2].set(*page, 1 + idx as u32 % 7);
    }
    let total = nodes.iter().map(Drilled::own).sum();
    exact(&nodes, &pages, total).await;
    // What it counts itself must be known to the others as soon.
    nodes.push(Drilled::start(&engine, OLD));
    pages.iter().step_by(2).for_each(|page| nodes[2].set(*page, 3));
    let took = exact(&nodes, &pages, total + 3 * 10_000).await;
    within("a node joins with 20,000 pages around", took, Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn counts_are_exact_after_each_step_of_an_upgrade() {
    let engine = Engine::start().await;
    let mut nodes: Vec<_> = (0..3).map(|_| Drilled::start(&engine, OLD)).collect();
    let pages = pages(2_000);
    for step in 0..3 {
        // The counts change all the time: 20,000 times a second.
        for round in 0..30 {
            for node in &nodes {
                (0..700).for_each(|_| node.set(pages[fastrand::usize(..pages.len())], fastrand::u32(..9)));
            }
            if round == 10 {
                nodes.remove(0).stop().await;
                nodes.push(Drilled::start(&engine, NEW));
            }
            sleep(TICK).await;
        }
        let total = nodes.iter().map(Drilled::own).sum();
        let took = exact(&nodes, &pages, total).await;
        within(&format!("step {step} of an upgrade"), took, Duration::from_secs(2));
        let settled = Instant::now();
        while settled.elapsed() < Duration::from_secs(1) {
            assert!(nodes.iter().all(|node| node.total(&pages) == total), "it was exact, and is not any more");
            sleep(TICK).await;
        }
        let writes: Vec<u8> = nodes.iter().map(Drilled::writes).collect();
        // The last of the old nodes holds the others to its version.
        assert_eq!(writes, if step < 2 { [1; 3] } else { [2; 3] });
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run it with `just test-cluster`"]
async fn a_million_changes_a_second_pass_one_nats_server() {
    const SECONDS: u64 = 10;
    let engine = Engine::start().await;
    let nodes: Vec<_> = (0..3).map(|_| Drilled::start(&engine, OLD)).collect();
    let pages = pages(40_000);
    sleep(Duration::from_secs(2)).await;
    let told = || nodes.iter().map(|node| node.cluster.state().member.tallies.told).sum::<u64>();
    let (before, start, cpu) = (told(), Instant::now(), engine.cpu_seconds());
    let work = cpu_time(ClockId::ProcessCPUTime);
    let mut ticks = interval(TICK);
    let (viewers, mut round) = (|round: u32| 1 + round % 1_000, 0);
    while start.elapsed() < Duration::from_secs(SECONDS) {
        ticks.tick().await;
        round += 1;
        for node in &nodes {
            let mut state = node.cluster.state();
            pages.iter().for_each(|page| state.member.set_local(*page, viewers(round)));
        }
    }
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), engine.cpu_seconds() - cpu);
    let changes = told() - before;
    let per_second = changes as f64 / elapsed;
    // All nodes are in this process: setting, sending and receiving, with the client of NATS and the network.
    let work = (cpu_time(ClockId::ProcessCPUTime) - work).as_secs_f64() * 1e9 / changes as f64 / nodes.len() as f64;
    let total = (nodes.len() * pages.len()) as u64 * u64::from(viewers(round));
    let took = exact(&nodes, &pages, total).await;
    let lost: u64 = nodes.iter().map(|node| node.cluster.state().member.tallies.lost).sum();
    println!(
        "{per_second:.0} changes a second in through one NATS server, which used {:.0} % of a core; {lost} frames lost",
        100.0 * cpu / elapsed
    );
    println!("each node worked {work:.0} ns of 150 for each of these changes, without a counter");
    assert!(per_second >= 1_000_000.0, "{per_second} changes a second");
    assert!(work <= 150.0, "{work} ns for each change and node");
    within("all is exact after that", took, Duration::from_secs(2));
}

#[test]
#[ignore = "run it with `just test-cluster`"]
fn the_protocol_spends_at_most_150_ns_on_a_change() {
    const CHANGES: u32 = 20_000;
    const ROUNDS: u32 = 50;
    const WARM_UP: u32 = 10;
    const SITE: &str = "example.org";
    let pages: Vec<PageId> =
        (0..CHANGES).map(|page| PageId::parse(&format!("{SITE}/articles/2026/{page}")).unwrap()).collect();
    let mut now = Instant::now();
    let nodes = [1, 2].map(|name| Cluster::new(Seal::new("drill", "a secret for drills"), Node(name), Vec::new()));
    let mut feeds = nodes.each_ref().map(|cluster| ClusterFeed { cluster: cluster.clone(), site: SITE.to_owned() });
    let keys = [0, 1].map(|node| {
        nodes[node].set_connected(now, true);
        // As if each had a counter of that site.
        nodes[node].state().sites.insert(SITE.into(), Site::default());
        pages.iter().map(|page| feeds[node].watch(page).0).collect::<Vec<_>>()
    });
    let [here, there] = &nodes;
    // A node without counters shows what the protocol alone costs.
    let mut listener = Member::new(Node(3), Versions::default());
    listener.connected(now);
    let seal = Seal::new("drill", "a secret for drills");
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        now += TICK;
        // It must hear that it is heard.
        there.on_tick(now).iter().for_each(|message| here.on_message(now, message));
        for frame in listener.on_tick(now) {
            here.on_message(now, &seal.seal(frame).unwrap());
        }
        let start = cpu_time(ClockId::ThreadCPUTime);
        pages.iter().zip(&keys[0]).for_each(|(page, key)| feeds[0].set(page, *key, round + 1));
        let set = cpu_time(ClockId::ThreadCPUTime);
        let messages = here.on_tick(now);
        let sent = cpu_time(ClockId::ThreadCPUTime);
        for message in &messages {
            // The first frames of a node are refused until it has shown that it hears us.
            let _ = listener.on_frame(now, &seal.open(message).unwrap());
        }
        let heard = listener.take_changed();
        let received = cpu_time(ClockId::ThreadCPUTime);
        messages.iter().for_each(|message| there.on_message(now, message));
        let changes = feeds[1].changes();
        let told = cpu_time(ClockId::ThreadCPUTime);
        // At first they are strangers to each other.
        if round >= WARM_UP {
            rounds.push([set - start, sent - set, received - sent, told - received]);
            assert_eq!([heard.len(), changes.len()], [pages.len(); 2]);
        }
    }
    let times = [0, 1, 2, 3].map(|step| {
        let mut times: Vec<Duration> = rounds.iter().map(|times| times[step] / CHANGES).collect();
        times.sort();
        times[times.len() / 2]
    });
    let [setting, sending, receiving, telling] = times;
    println!("a change, to its node: {sending:?} to send it; {setting:?} to take it from the counter");
    println!(
        "to each that hears it: {receiving:?} to take it in; {telling:?} with handing it to a counter that lists it"
    );
    assert!(sending.max(receiving) <= Duration::from_nanos(150), "{times:?}");
}

/// How long this thread or process has been at work on a processor. Other programs still cost it the processor's caches.
fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
