//! Measures what sleeping rooms and connections cost, in a server process of its own: `cargo run --release --example memory`.
//!
//! Linux only: it reads the server's resident memory from /proc.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use connection_counter::{
    Counter, Page, Server, Settings,
    party::{Party, Request, Response, Result, Room, json},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Connections opened for each figure: enough to drown what the process needs anyway, few enough for 20,000 open files.
const CONNECTIONS: usize = 5_000;
/// Rooms put to sleep: those cost so little that more are needed to see it.
const ROOMS: usize = 20_000;
/// An idle room goes to sleep after this.
const ROOM_IDLE_MS: &str = "500";
/// Handshakes under way at once: below the burst that the server's backlog holds.
const AT_ONCE: usize = 100;

/// Does nothing, and sleeps with its connections.
#[derive(Default)]
struct Sleeper;

impl Party for Sleeper {
    const HIBERNATES: bool = true;

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        json(&room.connections().count())
    }
}

fn main() -> ExitCode {
    // The same program is the server, when it is told so.
    if env::args().any(|arg| arg == "--listen") {
        let server = Server::builder().party::<Sleeper>("sleeper").party::<Page>("page").party::<Counter>("counter");
        return server.main_with(Settings::equip);
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;
type Viewer = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

#[tokio::main]
async fn measure() -> std::result::Result<(), Failure> {
    let data = env::temp_dir().join(format!("connection-counter-memory-{}", std::process::id()));
    for (what, count, party, one_room) in [
        ("connection of one page", CONNECTIONS, "page", true),
        ("sleeping connection, all in one room", CONNECTIONS, "sleeper", true),
        ("sleeping connection, each in a room of its own", CONNECTIONS, "sleeper", false),
    ] {
        let server = start(&data)?;
        let before = server.resident()?;
        let mut viewers: Vec<Viewer> = Vec::new();
        while viewers.len() < count {
            let batch = (viewers.len()..count).take(AT_ONCE).map(|idx| {
                let room = if one_room { 0 } else { idx };
                connect_async(format!("ws://{}/parties/{party}/room-{room}", server.address))
            });
            for connected in futures_util::future::join_all(batch).await {
                viewers.push(connected?.0);
            }
        }
        report(what, &server, before, count).await?;
    }
    let server = start(&data)?;
    let before = server.resident()?;
    for idx in 0..ROOMS {
        let mut stream = tokio::net::TcpStream::connect(&server.address).await?;
        let request = format!("GET /parties/sleeper/room-{idx} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await?;
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await?;
    }
    report("sleeping room without connections", &server, before, ROOMS).await?;
    drop(server);
    Ok(fs::remove_dir_all(data)?)
}

async fn report(what: &str, server: &Process, before: u64, count: usize) -> std::result::Result<(), Failure> {
    // Long enough for every room to have gone to sleep.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let grown = server.resident()?.saturating_sub(before);
    println!("{what}: {} bytes ({count} of them, {} KiB in all)", grown / count as u64, grown / 1024);
    Ok(())
}

/// The server, ended when dropped.
struct Process {
    child: Child,
    address: String,
}

fn start(data: &std::path::Path) -> std::result::Result<Process, Failure> {
    let mut child = Command::new(env::current_exe()?)
        .args(["--listen", "127.0.0.1:0", "--log", "error", "--room-idle-ms", ROOM_IDLE_MS, "--data"])
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on http://").ok_or("the server did not start")?.to_owned();
    Ok(Process { child, address })
}

impl Process {
    /// Bytes of memory that the process really has.
    fn resident(&self) -> std::result::Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is ours, and holds nothing worth keeping.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
