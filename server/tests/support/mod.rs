//! A real server on a free port, and real viewers on real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a failing test may panic, and no test uses every helper"
)]

mod binary;
mod client;
pub mod nats;
mod viewer;

use std::{
    net::SocketAddr,
    ops::Deref,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use connection_counter::{Config, Counter, Page, Server, Settings, StartupError};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub use binary::{Binary, Log, operators_address};
pub use client::{Answer, Client, answer};
pub use viewer::TestViewer;

/// All settings of the binary.
#[derive(Parser)]
pub struct All {
    #[command(flatten)]
    pub config: Config,
    #[command(flatten)]
    pub settings: Settings,
}

/// How long anything may take before a test gives up. It is long, because machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again and again until the answer is yes. If it never is, the panic message contains `what`.
pub async fn wait_until(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !asked().await {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server that stops when it is dropped.
pub struct TestServer {
    client: Client,
    server: fn() -> Server,
    args: Vec<String>,
    data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    done: Option<JoinHandle<Result<(), StartupError>>>,
}

/// Lets tests send requests directly: `server.get("/healthz")`.
impl Deref for TestServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with these flags besides its address and data folder.
    pub async fn with(args: &[&str]) -> Self {
        Self::of(built_in, args).await
    }

    /// A server with these parties.
    pub async fn of(server: fn() -> Server, args: &[&str]) -> Self {
        let mut server = Self {
            client: Client { address: SocketAddr::from(([127, 0, 0, 1], 0)) },
            server,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            data: tempfile::tempdir().unwrap(),
            stop: None,
            done: None,
        };
        server.run().await;
        server
    }

    /// The data folder, for tests that damage what is in it.
    pub fn database(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// The settings of this server.
    pub fn settings(&self) -> All {
        let data = self.database();
        let fixed = ["connection-counter", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        All::parse_from(fixed.into_iter().map(str::to_owned).chain(self.args.clone()))
    }

    pub async fn run(&mut self) {
        let listener = TcpListener::bind(self.client.address).await.unwrap();
        self.client.address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let All { config, settings } = self.settings();
        let server = settings.equip((self.server)(), &config).unwrap();
        let shutdown = async {
            let _ = stopped.await;
        };
        self.stop = Some(stop);
        self.done = Some(tokio::spawn(async move { server.run(listener, config, shutdown).await }));
        // The listener was bound before, so a connection waits until the server serves.
        assert_eq!(self.get("/healthz").await.0, 200);
    }

    /// Stops the server and waits until it is gone.
    pub async fn stop(&mut self) {
        self.begin_stop();
        self.stopped().await;
    }

    /// Tells the server to stop, and does not wait.
    pub fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until the server is gone.
    pub async fn stopped(&mut self) {
        if let Some(done) = self.done.take() {
            tokio::time::timeout(DEADLINE, done).await.expect("the server did not stop").unwrap().unwrap();
        }
    }

    /// Restarts with other parties, on the same port and with the same data.
    pub async fn restart_as(&mut self, server: fn() -> Server) {
        self.stop().await;
        self.server = server;
        self.run().await;
    }

    /// Restarts the same server, on the same port and with the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run().await;
    }
}

/// What the binary serves.
fn built_in() -> Server {
    Server::builder().party::<Page>("page").party::<Counter>("counter")
}
