//! The real program, in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
};

use super::{Client, DEADLINE, wait_until};

/// A process that is killed when it is dropped.
pub struct Binary {
    client: Client,
    pub child: Child,
}

impl Deref for Binary {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Binary {
    /// Starts the program, and waits until it says where it listens.
    pub fn start(data: &Path, args: &[&str]) -> Self {
        Self::spawn(Self::command(data, args).stderr(Stdio::null()))
    }

    /// Starts a command that the caller has put together, and waits in the same way.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        // This thread ends with the process. Until then it keeps the pipe open and empty.
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let line = told.recv_timeout(DEADLINE).expect("the program did not say where it listens");
        // With `--log-format=json`, the address is a value in the one line.
        let listening = line.split_once("\"listening on\":\"http://").map(|(_, rest)| rest);
        let address = match listening {
            Some(rest) => rest.split('"').next(),
            None => line.strip_prefix("listening on http://"),
        };
        let address = address.unwrap_or_else(|| panic!("it said {line:?}"));
        Self { client: Client { address: address.parse().unwrap() }, child }
    }

    /// A server with its own folder for data and log, and the log.
    pub fn with_log(args: &[&str]) -> (Self, Log) {
        let log = Log(tempfile::tempdir().unwrap());
        let program = &mut Self::command(&log.0.path().join("data"), args);
        (Self::spawn(program.stderr(fs::File::create(log.path()).unwrap())), log)
    }

    /// A server that logs to a file in this folder, and its address for the operator.
    pub async fn with_admin(folder: &Path, args: &[&str]) -> (Self, Client) {
        let log = folder.join("log");
        let args = [&["--admin=127.0.0.1:0"], args].concat();
        let program = &mut Self::command(&folder.join("data"), &args);
        let server = Self::spawn(program.stderr(fs::File::create(&log).unwrap()));
        (server, Client { address: operators_address(&log).await })
    }

    /// Sets the address at which to reach a server that listens on all addresses.
    pub fn at(&mut self, address: SocketAddr) {
        self.client.address = address;
    }

    /// The program on a free port, not started yet.
    pub fn command(data: &Path, args: &[&str]) -> Command {
        let mut command = Self::bare_command(data);
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        command
    }

    /// The program, not started yet, and not told where to listen.
    pub fn bare_command(data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connection-counter"));
        command.arg("--data").arg(data).stdin(Stdio::null());
        command
    }

    /// Sends a signal by its name, such as `TERM`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        // Every shell has `kill`. Not every machine has it as a program.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process is gone.
    pub async fn exit(&mut self) -> ExitStatus {
        wait_until("the process ends", async || self.child.try_wait().unwrap().is_some()).await;
        self.child.wait().unwrap()
    }

    /// Kills the process as `kill -9` does, so it cannot write anything more.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The log of a server. Its folder is removed when this is dropped.
pub struct Log(tempfile::TempDir);

impl Log {
    fn path(&self) -> PathBuf {
        self.0.path().join("log")
    }

    /// Everything that was logged so far.
    pub fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }
}

/// The address for the operator, as this log names it.
pub async fn operators_address(log: &Path) -> SocketAddr {
    let named = || {
        let log = fs::read_to_string(log).unwrap();
        let (_, rest) = log.split_once("metrics are at http://")?;
        rest.split_once("/metrics")?.0.parse().ok()
    };
    wait_until("the log names the operator's address", async || named().is_some()).await;
    named().unwrap()
}

impl Drop for Binary {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
