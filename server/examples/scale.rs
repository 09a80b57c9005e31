//! Shows how the server grows up to a million connections, rooms and pages: `npx --yes rust-just bench-scale`.
//!
//! No computer can open a million sockets to itself, so connections go through memory here. Everything above the socket is the
//! server's own code: rooms, the page and counter parties, and their messages. It works only on Linux, because it reads memory
//! from /proc.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use connection_counter::{
    Counter, Error, Page, Server, Settings,
    party::{Message, Party, Request, Response, Result, Room, Socket, Stub, json},
};

/// The same allocator as in the binary.
#[cfg(all(feature = "jemalloc", target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The number of connections, rooms or pages in each run.
const COUNTS: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Connections that one request opens. It takes a few tenths of a second.
const AT_ONCE: usize = 5_000;
/// Time until idle rooms sleep, and freed memory has gone back to the system.
const SETTLING: Duration = Duration::from_secs(4);
/// The page that everybody watches.
const HOT: &str = "scale.test/hot";
/// Limits that must not apply here, and times in which the largest runs finish.
const FLAGS: [(&str, &str); 11] = [
    ("--listen", "127.0.0.1:0"),
    ("--log", "error"),
    ("--max-connections-per-room", "2000000"),
    ("--max-rooms", "4000000"),
    ("--max-mailbox", "4000000"),
    ("--max-pages-per-site", "2000000"),
    ("--max-bytes-per-site", "2000000000"),
    ("--call-timeout-ms", "300000"),
    ("--http-lifetime-ms", "300000"),
    ("--room-idle-ms", "1000"),
    ("--request-burst", "1000000"),
];

/// The clients' side of all connections of a run.
#[derive(Default)]
struct Crowd {
    sockets: Vec<Socket>,
    /// The viewer of the page that all others watch.
    hot: Option<Socket>,
}

impl Party for Crowd {
    async fn on_request(&mut self, room: &mut Room, request: Request) -> Result<Response> {
        // The sockets close when this room leaves memory.
        room.stay_awake(true);
        let words: Vec<&str> = request.uri().query().unwrap_or_default().split('&').collect();
        match words.as_slice() {
            ["open", shape, from, to] => self.open(room, shape, number(from)?..number(to)?).await?,
            ["tell", shape] => return json(&self.tell(room, shape).await?),
            _ => return Err(Error::Path(words.join("&"))),
        }
        json(&self.sockets.len())
    }
}

impl Crowd {
    async fn open(&mut self, room: &Room, shape: &str, range: std::ops::Range<usize>) -> Result {
        let first = self.sockets.len();
        for idx in range {
            let socket = stub(room, shape, idx)?.socket(Request::default()).await?;
            if shape != "rooms" {
                socket.send(Message::text(format!(r#"{{"type":"subscribe","links":["{HOT}"]}}"#)))?;
            }
            self.sockets.push(socket);
        }
        if shape != "rooms" {
            for socket in self.sockets.iter_mut().skip(first) {
                hear(socket, ":0}").await?;
            }
        }
        Ok(())
    }

    /// Milliseconds from one change until everybody has it.
    async fn tell(&mut self, room: &Room, shape: &str) -> Result<u128> {
        let start = Instant::now();
        if shape == "rooms" {
            for idx in 0..self.sockets.len() {
                stub(room, shape, idx)?.send(Request::default())?;
            }
        } else {
            self.hot = Some(room.parties().get("page")?.room(HOT)?.socket(Request::default()).await?);
        }
        for socket in &mut self.sockets {
            hear(socket, if shape == "rooms" { "" } else { ":1}" }).await?;
        }
        Ok(start.elapsed().as_millis())
    }
}

/// The room of one connection: one page for all, a different page for each, or a sleeping room for each.
fn stub(room: &Room, shape: &str, idx: usize) -> Result<Stub> {
    match shape {
        "connections" => room.parties().get("page")?.room("scale.test/page"),
        "pages" => room.parties().get("page")?.room(&format!("scale.test/page/{idx}")),
        _ => room.parties().get("sleeper")?.room(&idx.to_string()),
    }
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::Path(text.to_owned()))
}

/// Waits for a message with these words.
async fn hear(socket: &mut Socket, words: &str) -> Result {
    while let Some(message) = socket.recv().await? {
        if matches!(&message, Message::Text(text) if text.contains(words)) {
            return Ok(());
        }
    }
    Err(Error::ConnectionClosed)
}

/// A room that sleeps with its connections, and sends them a message when it is woken.
#[derive(Default)]
struct Sleeper;

impl Party for Sleeper {
    const HIBERNATES: bool = true;

    async fn on_request(&mut self, room: &mut Room, _: Request) -> Result<Response> {
        room.broadcast(&Message::text("awake"), &[]);
        json(&())
    }
}

fn main() -> ExitCode {
    // With `--listen` this program is the server.
    if env::args().any(|arg| arg == "--listen") {
        let server = Server::builder().party::<Page>("page").party::<Counter>("counter");
        return server.party::<Crowd>("crowd").party::<Sleeper>("sleeper").main_with(Settings::equip);
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn measure() -> std::result::Result<(), Failure> {
    let largest = env::args().nth(1).map_or(Ok(COUNTS[2]), |text| text.parse())?;
    println!("Of the bytes, {} are this program's own end of a connection.", size_of::<Socket>());
    for shape in ["connections", "rooms", "pages"] {
        for count in COUNTS.into_iter().filter(|count| *count <= largest) {
            let data = tempfile::TempDir::new()?;
            let server = Process::start(data.path())?;
            server.ask("open&connections&0&0")?;
            let before = server.resident()?;
            let start = Instant::now();
            for from in (0..count).step_by(AT_ONCE) {
                server.ask(&format!("open&{shape}&{from}&{}", from + AT_ONCE))?;
            }
            let micros = start.elapsed().as_micros() as usize / count;
            std::thread::sleep(SETTLING);
            let bytes = (server.resident()?.saturating_sub(before)) as usize / count;
            let millis = server.ask(&format!("tell&{shape}"))?;
            println!("{count} {shape}: {bytes} bytes each, {micros} µs to open each, {millis} ms until all have heard");
        }
    }
    Ok(())
}

/// The server. It ends when this is dropped.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(data: &Path) -> std::result::Result<Self, Failure> {
        let flags = FLAGS.into_iter().flat_map(|(flag, value)| [flag, value]);
        let mut command = Command::new(env::current_exe()?);
        let mut child = command.args(flags).arg("--data").arg(data).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").ok_or("the server did not start")?.to_owned();
        Ok(Self { child, address })
    }

    /// Sends the crowd an order, and returns its answer.
    fn ask(&self, what: &str) -> std::result::Result<String, Failure> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET /parties/crowd/all?{what} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(format!("{what}: {answer}").into()) }
    }

    /// Bytes of resident memory of the process.
    fn resident(&self) -> std::result::Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
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
