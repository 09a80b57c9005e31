//! Measures the memory of sleeping rooms and connections, in a separate server process: `cargo run --release --example memory`.
//!
//! It works only on Linux, because it reads the server's resident memory from /proc.

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

/// Connections for each figure: many more bytes than the process needs anyway, but within 20,000 open files.
const CONNECTIONS: usize = 5_000;
/// Sleeping rooms. They take so little memory that more are needed.
const ROOMS: usize = 20_000;
/// An idle room sleeps after this time.
const ROOM_IDLE_MS: &str = "500";
/// Handshakes at the same time: fewer than fit into the server's backlog.
const AT_ONCE: usize = 100;

/// A room that only sleeps with its connections.
#[derive(Default)]
struct Sleeper;

impl Party for Sleeper {
    const HIBERNATES: bool = true;

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        json(&room.connections().count())
    }
}

fn main() -> ExitCode {
    // With `--listen` this program is the server.
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
    // Every room sleeps after this time.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let grown = server.resident()?.saturating_sub(before);
    println!("{what}: {} bytes ({count} of them, {} KiB in all)", grown / count as u64, grown / 1024);
    Ok(())
}

/// The server. It ends when this is dropped.
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
    /// Bytes of resident memory of the process.
    fn resident(&self) -> std::result::Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This program started the process, and its data is not needed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
