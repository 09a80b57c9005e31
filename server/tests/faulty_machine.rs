//! Counting goes on while the machine fails: with full and hanging disks, broken networks, and too few open files.
//!
//! These tests need Linux, root, and some programs. Without those they fail and say so.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing test may panic")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use support::{Binary, Client, wait_until};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

/// Runs a program of the system that the test needs.
fn system(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output();
    let output =
        output.unwrap_or_else(|error| panic!("this test needs the program {program}: {error}; please install it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs root, to run {program} {args:?}: {said}");
}

/// A separate file system. It is removed when this is dropped.
struct Mount {
    folder: PathBuf,
    _parent: tempfile::TempDir,
}

impl Mount {
    /// A file system in memory, of this size.
    fn in_memory(size: &str) -> Self {
        let mount = Self::point();
        system("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", mount.folder.to_str().unwrap()]);
        mount
    }

    /// A file system in a file, which can be frozen.
    fn in_a_file() -> Self {
        let mount = Self::point();
        let image = mount.folder.with_extension("img");
        fs::File::create(&image).unwrap().set_len(256 * 1024 * 1024).unwrap();
        system("mkfs.ext4", &["-q", image.to_str().unwrap()]);
        system("mount", &["-o", "loop", image.to_str().unwrap(), mount.folder.to_str().unwrap()]);
        mount
    }

    fn point() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("disk");
        fs::create_dir(&folder).unwrap();
        Self { folder, _parent: parent }
    }

    fn freeze(&self) -> Frozen<'_> {
        system("fsfreeze", &["-f", self.folder.to_str().unwrap()]);
        Frozen(&self.folder)
    }
}

/// A file system that takes no writes until this is dropped.
struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.0).status();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // If it is not mounted, this fails, which does not matter.
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).stderr(Stdio::null()).status();
    }
}

/// The program, with its log in a file.
fn start(data: &Path, log: &Path, args: &[&str]) -> Binary {
    Binary::spawn(Binary::command(data, args).stderr(fs::File::create(log).unwrap()))
}

async fn readiness(server: &Client) -> serde_json::Value {
    server.get_json("/readyz").await
}

#[tokio::test]
async fn a_full_disk_is_logged_once_and_writes_resume_when_there_is_space() {
    let disk = Mount::in_memory("24m");
    let elsewhere = tempfile::tempdir().unwrap();
    let log = elsewhere.path().join("log");
    // With more connections than the limit of open files, `/readyz` would give that as another reason.
    let server = start(&disk.folder.join("data"), &log, &["--max-connections=500"]);
    assert_eq!(readiness(&server).await, json!({ "status": "ready" }));
    let filler = disk.folder.join("filler");
    // This fills the disk.
    let _ = std::io::copy(&mut std::io::repeat(1), &mut fs::File::create(&filler).unwrap());
    let mut viewers = Vec::new();
    wait_until("the disk is found to be full", async || {
        viewers.push(server.viewer(&format!("page-{}", viewers.len() % 20)).await);
        readiness(&server).await["status"] == "degraded"
    })
    .await;
    let reasons = readiness(&server).await["reasons"].to_string();
    assert!(reasons.contains("No space left"), "{reasons}");
    let _one_more = server.viewer("counted").await;
    // Failed reads of many pages are logged as one problem.
    for number in 0..5 {
        server.get_json(&format!("/parties/page/example.org%2F{number}%3Fkey%3Dsecret")).await;
    }
    server.expect_counted("all-pages", "counted", 1).await;
    // In this time the server tries again, and fails again.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    assert_eq!(readiness(&server).await["status"], "degraded");
    fs::remove_file(&filler).unwrap();
    wait_until("it takes writes again", async || readiness(&server).await["status"] == "ready").await;
    let log = fs::read_to_string(log).unwrap();
    let told = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!((told("takes no writes"), told("storage takes writes again")), (1, 1), "{log}");
    assert!(told("links of example.org/") == 1 && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_log_on_a_full_disk_stops_nothing() {
    let data = tempfile::tempdir().unwrap();
    // Nothing can be written to this device.
    let log = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut server = Binary::spawn(Binary::command(data.path(), &["--log=debug"]).stderr(log));
    let _anna = server.viewer("a").await;
    assert_eq!(server.get("/live-00000000.js").await.0, 404);
    server.expect_counted("all-pages", "a", 1).await;
    server.signal("TERM");
    assert!(server.exit().await.success());
}

#[tokio::test]
async fn a_hanging_disk_does_not_delay_the_shutdown() {
    let disk = Mount::in_a_file();
    let elsewhere = tempfile::tempdir().unwrap();
    let log = elsewhere.path().join("log");
    let mut server = start(&disk.folder.join("data"), &log, &["--shutdown-timeout-ms=1000"]);
    server.expect_health().await;
    // This is dropped before the server. Otherwise a failed test would wait for the server for ever.
    let frozen = disk.freeze();
    let mut anna = server.viewer("a").await;
    anna.subscribe(&["b"]).await;
    anna.expect_viewers("b", 0).await;
    // The write of these values has begun, and hangs.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let asked = Instant::now();
    server.signal("TERM");
    assert_eq!(anna.expect_close_code().await, 1012);
    anna.expect_end().await;
    // On Linux, a process cannot end completely while a thread waits for a frozen file system. All other threads end.
    wait_until("only the thread at the disk is left", async || has_ended(server.child.id())).await;
    assert!(asked.elapsed() < Duration::from_secs(4), "it took {:?}", asked.elapsed());
    drop(frozen);
    assert!(server.exit().await.success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("the disk did not answer within --shutdown-timeout-ms"), "{log}");
}

/// Whether the main thread of a process has ended.
fn has_ended(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[tokio::test]
async fn connections_are_accepted_again_once_open_files_are_free() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(&folder.path().join("data"), &folder.path().join("log"), &[]);
    server.expect_health().await;
    let process = server.child.id().to_string();
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    // Two more connections are allowed, but not three.
    system("prlimit", &["--pid", &process, &format!("--nofile={}:", open + 2)]);
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait_until("it lacks open files", async || log().contains("Too many open files")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(held);
    server.expect_health().await;
    assert_eq!(log().matches("no connection can be accepted").count(), 1, "it is logged once a minute: {}", log());
}

/// A network with a host, which can be cut off.
struct Network {
    name: String,
}

impl Network {
    /// The server's address in that network.
    const SERVER: &str = "198.18.77.1";

    fn new() -> Self {
        let network = Self { name: format!("cc{}", std::process::id()) };
        let (name, ours, theirs) = (network.name.as_str(), network.link(), format!("{}b", network.name));
        system("ip", &["netns", "add", name]);
        system("ip", &["link", "add", &ours, "type", "veth", "peer", "name", &theirs]);
        system("ip", &["link", "set", &theirs, "netns", name]);
        system("ip", &["addr", "add", &format!("{}/30", Self::SERVER), "dev", &ours]);
        system("ip", &["link", "set", &ours, "up"]);
        system("ip", &["-n", name, "addr", "add", "198.18.77.2/30", "dev", &theirs]);
        system("ip", &["-n", name, "link", "set", &theirs, "up"]);
        network
    }

    fn link(&self) -> String {
        format!("{}a", self.name)
    }

    /// Starts a program in that host. It views a page, and then sends nothing more.
    fn viewer(&self, port: u16) -> Child {
        let handshake = "GET /parties/page/a HTTP/1.1\\r\\nhost: x\\r\\nconnection: upgrade\\r\\nupgrade: websocket\\r\\n\
                         sec-websocket-version: 13\\r\\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n";
        let script =
            format!("exec 3<>/dev/tcp/{}/{port}; printf '{handshake}' >&3; exec cat <&3 >/dev/null", Self::SERVER);
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "bash", "-c", &script]);
        command.spawn().expect("this test needs the programs ip and bash")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.link()]).stderr(Stdio::null()).status();
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn viewers_behind_a_cut_network_are_counted_out() {
    let network = Network::new();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Binary::bare_command(&folder.path().join("data"));
    command.args(["--listen=0.0.0.0:0", "--open", "--ping-interval-ms=300", "--idle-timeout-ms=1000"]);
    let mut server = Binary::spawn(command.stderr(Stdio::null()));
    let mut viewer = network.viewer(server.address.port());
    server.at(([127, 0, 0, 1], server.address.port()).into());
    server.expect_counted("all-pages", "a", 1).await;
    let cut = Instant::now();
    system("ip", &["link", "set", &network.link(), "down"]);
    server.expect_counted("all-pages", "a", 0).await;
    assert!(cut.elapsed() < Duration::from_secs(5), "it took {:?}", cut.elapsed());
    viewer.kill().unwrap();
    viewer.wait().unwrap();
}

/// An address of a private network on this machine, like that of a proxy in another container.
struct PrivateAddress;

impl PrivateAddress {
    const ADDRESS: &str = "10.198.77.9";

    fn new() -> Self {
        system("ip", &["addr", "replace", &format!("{}/32", Self::ADDRESS), "dev", "lo"]);
        Self
    }

    /// The status of the answer to a request from there, and its connection.
    async fn ask(&self, port: u16, request: &str) -> (u16, TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{}:0", Self::ADDRESS).parse().unwrap()).unwrap();
        let mut stream = socket.connect(format!("{}:{port}", Self::ADDRESS).parse().unwrap()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let status = support::answer(&mut stream).await.expect("it is answered").status;
        (status, stream)
    }
}

impl Drop for PrivateAddress {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["addr", "del", &format!("{}/32", Self::ADDRESS), "dev", "lo"]).status();
    }
}

#[tokio::test]
async fn an_untrusted_proxy_is_logged_once() {
    const HANDSHAKE: &str = "GET /live?page=a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let proxy = PrivateAddress::new();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Binary::bare_command(&folder.path().join("data"));
    command.args(["--listen=0.0.0.0:0", "--open", "--max-connections-per-address=3"]);
    let server = Binary::spawn(command.stderr(fs::File::create(&log).unwrap()));
    let mut held = Vec::new();
    for reader in 0..6 {
        let (status, stream) = proxy.ask(server.address.port(), HANDSHAKE).await;
        assert_eq!(status, if reader < 3 { 101 } else { 429 }, "reader {reader}");
        held.push(stream);
    }
    for file in ["/healthz", "/readyz", "/live.js"] {
        let (status, _) = proxy.ask(server.address.port(), &format!("GET {file} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert_eq!(status, 200, "{file} does not count as a connection");
    }
    let log = fs::read_to_string(log).unwrap();
    let hint = format!("add --trusted-proxy {}", PrivateAddress::ADDRESS);
    assert_eq!(log.matches(&hint).count(), 1, "{log}");
    assert_eq!(log.matches("--max-connections-per-address").count(), 1, "{log}");
}
