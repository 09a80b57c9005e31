//! A real NATS server, and nodes that count together through it.

use std::{
    fs,
    net::SocketAddr,
    ops::Deref,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Binary, Client, wait_until};

/// The secret of the clusters here.
pub const SECRET: &str = "not very secret at all";

/// A NATS server, killed when it is dropped.
pub struct Nats {
    child: Option<Child>,
    /// Where it listens, also after a restart.
    pub address: SocketAddr,
    args: Vec<String>,
    folder: TempDir,
}

impl Nats {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with arguments besides its address.
    pub async fn with(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut nats = Self { child: None, address: SocketAddr::from(([127, 0, 0, 1], 0)), args, folder };
        nats.run(-1);
        let mut told = String::new();
        wait_until("nats-server says its port", async || {
            let files = fs::read_dir(nats.folder.path()).unwrap().filter_map(Result::ok);
            told = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
            told.contains('}')
        })
        .await;
        // With TLS, the URL begins with `tls://`.
        let (_, rest) = told.split_once("\"nats\"").unwrap();
        let (_, rest) = rest.split_once("://").unwrap();
        nats.address = rest.split('"').next().unwrap().parse().unwrap();
        nats
    }

    /// Starts one with a command that the caller has put together. The command sets its address.
    pub fn of(mut command: Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 4222));
        let mut nats = Self { child: None, address, args: Vec::new(), folder };
        nats.spawn(&mut command);
        nats
    }

    /// Starts it on this port. -1 means any free port.
    fn run(&mut self, port: i32) {
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--ports_file_dir"]).arg(self.folder.path());
        command.args(&self.args);
        self.spawn(&mut command);
    }

    fn spawn(&mut self, command: &mut Command) {
        // Debian installs it in a folder that only administrators have in their path.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let needed = "this test needs nats-server; please install it (on Debian: sudo apt-get install nats-server)";
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("{needed}: {error}")));
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id();
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {id}")).status().unwrap();
        assert!(sent.success());
    }

    /// The process, for measuring it.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn restart(&mut self) {
        self.run(self.address.port().into());
    }

    /// Its URL with these credentials, such as `user:password@`.
    pub fn url(&self, credentials: &str) -> String {
        format!("nats://{credentials}{}", self.address)
    }

    /// A node of the cluster.
    pub async fn node(&self) -> Node {
        Node::start(&self.url(""), &[SECRET]).await
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server that counts together with others, in a process of its own.
pub struct Node {
    pub server: Binary,
    /// The operator's address.
    pub admin: Client,
    folder: TempDir,
}

impl Deref for Node {
    type Target = Binary;

    fn deref(&self) -> &Binary {
        &self.server
    }
}

impl Node {
    /// One that reaches its NATS server at `url`, with these secrets and arguments.
    pub async fn with(url: &str, secrets: &[&str], args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = [&format!("--cluster={url}"), &format!("--cluster-secret={}", secrets.join(","))];
        let args = [&own.map(String::as_str), args].concat();
        let (server, admin) = Binary::with_admin(folder.path(), &args).await;
        Self { server, admin, folder }
    }

    pub async fn start(url: &str, secrets: &[&str]) -> Self {
        Self::with(url, secrets, &[]).await
    }

    /// Where it logs.
    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap()
    }

    /// Lines of the log with this text.
    pub fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// The value of a metric, or 0 if there is none of that name.
    pub async fn metric(&self, name: &str) -> f64 {
        let value = self.admin.metric(name).await;
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until it hears this many others.
    pub async fn expect_peers(&self, peers: u8) {
        wait_until(&format!("it hears {peers} other nodes"), async || {
            self.metric("connectioncounter_cluster_peers").await == f64::from(peers)
        })
        .await;
    }

    /// Why it is degraded.
    pub async fn complaints(&self) -> String {
        self.get_json("/readyz").await["reasons"].to_string()
    }

    /// Viewers of a page of `example.org`, on all nodes as far as this one knows.
    pub async fn viewers(&self, page: &str) -> u64 {
        // The counter's answers may be a second old. The page's are not.
        let page = page.replace('/', "%2F");
        self.get_json(&format!("/parties/page/{page}")).await["viewers"].as_u64().unwrap()
    }
}

/// Waits until all nodes show these viewers of a page. Says how long that took.
pub async fn expect_everywhere(nodes: &[&Node], page: &str, viewers: u64) -> Duration {
    let start = Instant::now();
    for (idx, node) in nodes.iter().enumerate() {
        let what = format!("node {idx} of {} shows {viewers} viewers of {page}", nodes.len());
        wait_until(&what, async || node.viewers(page).await == viewers).await;
    }
    start.elapsed()
}
