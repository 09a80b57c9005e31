//! What a binary does around a server: listens, says where once it serves, and stops when the system asks.

use std::{
    env,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use clap::Args;
use listenfd::ListenFd;
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpSocket};

use crate::{
    Greeting, Server,
    config::{self, Command, Config, LogFormat, NoSettings},
    error::StartupError,
    health, log,
};

/// Handshakes the operating system may hold for us while we are busy: all clients come back at once after a restart.
const BACKLOG: u32 = 4096;

impl Server {
    /// The whole `main` of a program: all that the `connection-counter` binary does, with the parties of this server.
    ///
    /// Reads the settings from the command line and the environment (`--help` tells them), logs to standard error, and
    /// says there why it could not start. Prints the address it listens on once it serves. Serves until Ctrl-C, SIGTERM or
    /// SIGHUP; a second signal ends the program at once. Takes over a socket that systemd holds, and tells systemd when it
    /// serves and when it stops. With `health` as its argument it only asks a running server whether it is ready; with `check` it
    /// only says what the settings are.
    ///
    /// To do any of this in another way, or in a program that already runs tokio, use [`run`](Self::run).
    ///
    /// ```no_run
    /// use connection_counter_runtime::{Server, party::Party};
    ///
    /// #[derive(Default)]
    /// struct Chat;
    ///
    /// impl Party for Chat {}
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Server::builder().party::<Chat>("chat").main()
    /// }
    /// ```
    #[must_use]
    pub fn main(self) -> ExitCode {
        self.main_with(|_: NoSettings, server, _| Ok(server))
    }

    /// [`main`](Self::main) for a program with settings of its own: `S` is read from the same command line, and `set_up`
    /// gives them to the server. The doc comment of `S` is what `--help` says first.
    ///
    /// ```no_run
    /// use clap::Args;
    /// use connection_counter_runtime::{Config, Server, StartupError, party::Party};
    ///
    /// /// A place to chat.
    /// #[derive(Args, Clone)]
    /// struct Settings {
    ///     /// What the place is called.
    ///     #[arg(long, default_value = "the lounge")]
    ///     name: String,
    /// }
    ///
    /// impl Settings {
    ///     fn set_up(self, server: Server, _: &Config) -> Result<Server, StartupError> {
    ///         if self.name.is_empty() {
    ///             return Err(StartupError::Setting { setting: "name", problem: "give the place a name" });
    ///         }
    ///         Ok(server.with(self))
    ///     }
    /// }
    ///
    /// #[derive(Default)]
    /// struct Chat;
    ///
    /// impl Party for Chat {}
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Server::builder().party::<Chat>("chat").main_with(Settings::set_up)
    /// }
    /// ```
    #[must_use]
    pub fn main_with<S: Args>(self, set_up: impl FnOnce(S, Self, &Config) -> Result<Self, StartupError>) -> ExitCode {
        let program = program_name();
        let (mut config, own_settings, command) = config::from_args::<S>(&program, &self.names());
        if command == Command::Health {
            return health::ask(&program, config.listen);
        }
        self.complete(&mut config);
        if let Command::Check(settings) = command {
            let checked = log::filter(&config.log)
                .and_then(|_| config.validate())
                .and_then(|()| set_up(own_settings, self, &config));
            return match checked {
                Ok(server) => {
                    let users = server.greet(config.listen).users;
                    let told = format!(
                        "{settings}\nThese settings are sound. It would serve {users} on http://{}\n",
                        config.listen
                    );
                    // Whoever asked may not read all of it.
                    let _ = io::stdout().write_all(told.as_bytes());
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&program, &error),
            };
        }
        let served = log::start(&config)
            .and_then(|()| config.validate())
            .and_then(|()| set_up(own_settings, self, &config))
            .and_then(|server| Ok((server, tokio::runtime::Runtime::new().map_err(StartupError::Runtime)?)))
            .and_then(|(server, runtime)| {
                let served = runtime.block_on(serve(server, config));
                // Whatever still hangs, such as a read from a disk that does not answer, must not hold up the end.
                runtime.shutdown_background();
                served
            });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&program, &error),
        }
    }

    /// The command line that [`main_with`](Self::main_with) reads, for man pages and completions.
    ///
    /// ```
    /// use clap::Args;
    /// use connection_counter_runtime::Server;
    ///
    /// #[derive(Args)]
    /// struct Settings {
    ///     /// What the place is called.
    ///     #[arg(long)]
    ///     name: Option<String>,
    /// }
    ///
    /// let mut command = Server::builder().command::<Settings>("chat");
    /// assert!(command.render_usage().to_string().contains("chat [OPTIONS]"));
    /// ```
    #[must_use]
    pub fn command<S: Args>(&self, program: &str) -> clap::Command {
        config::command_of::<S>(program, &self.names())
    }
}

fn failed(program: &str, error: &StartupError) -> ExitCode {
    eprintln!("{program}: {error}");
    ExitCode::FAILURE
}

/// What the user called, without its folder.
fn program_name() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy();
    if name.is_empty() { "server".to_owned() } else { name.into_owned() }
}

async fn serve(server: Server, config: Config) -> Result<(), StartupError> {
    let failed = |source| StartupError::Listen { address: config.listen, source };
    let listener = listen(config.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stop = stop_signal().map_err(failed)?;
    let greeting = server.greet(address);
    let settings = config.clone();
    let serves = move |connections| {
        // Whoever started us may not read it.
        let _ = io::stdout().write_all(told(address, &greeting, settings.log_format).as_bytes());
        log_start(address, &greeting, &settings, connections);
        tell_systemd(SystemdState::Serving);
    };
    let stop = async {
        stop.await;
        tell_systemd(SystemdState::Stopping);
    };
    server.run_and_tell(listener, config, stop, serves).await
}

/// The socket that systemd holds for us, or one of our own.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if let Some(listener) = ListenFd::from_env().take_tcp_listener(0)? {
        listener.set_nonblocking(true)?;
        return TcpListener::from_std(listener);
    }
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted server must not wait for the old one's last packets.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What goes to standard output, for people and for scripts that gave port 0. Everything else goes to the log.
fn told(address: SocketAddr, greeting: &Greeting, format: LogFormat) -> String {
    let listening = format!("http://{address}");
    match format {
        LogFormat::Human => {
            let lines = greeting.lines.iter().map(|(name, text)| format!("{name}: {text}\n"));
            format!("listening on {listening}\n{}", lines.collect::<String>())
        }
        LogFormat::Json => {
            let lines = greeting.lines.iter().map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())));
            let all: Map<_, _> =
                [("listening on".to_owned(), Value::from(listening))].into_iter().chain(lines).collect();
            format!("{}\n", Value::from(all))
        }
    }
}

/// The one line from which an operator sees what runs.
fn log_start(address: SocketAddr, greeting: &Greeting, config: &Config, connections: usize) {
    let version = env!("CARGO_PKG_VERSION");
    let data = config.data.display();
    tracing::info!(
        "version {version} serves on http://{address} {}; data is in {data}; at most {connections} connections",
        greeting.users
    );
    if connections < config.limits.connections {
        tracing::warn!(
            "this machine allows {connections} connections, not the {} of --max-connections: each takes an open file. Raise \
             the limit of open files (`ulimit -n`, or LimitNOFILE= of systemd)",
            config.limits.connections
        );
    }
}

/// Ready at the first Ctrl-C, SIGTERM or SIGHUP. The second ends the program, whatever it is doing.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new()?;
    let (stop, stopping) = tokio::sync::oneshot::channel();
    // Ends with the program.
    tokio::spawn(async move {
        signals.next().await;
        // The server may have ended for another reason.
        let _ = stop.send(());
        signals.next().await;
        tracing::warn!("ended at once by a second signal; what was not written yet is lost");
        std::process::exit(1);
    });
    Ok(async move {
        // The task above never drops its end before it has sent.
        let _ = stopping.await;
    })
}

/// The signals that end a program.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind as Kind, signal};
        Ok(Self([signal(Kind::terminate())?, signal(Kind::interrupt())?, signal(Kind::hangup())?]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

enum SystemdState {
    Serving,
    Stopping,
}

/// Tells systemd, where it has started us and wants to know (`Type=notify`).
#[cfg(unix)]
fn tell_systemd(state: SystemdState) {
    let state = match state {
        SystemdState::Serving => sd_notify::NotifyState::Ready,
        SystemdState::Stopping => sd_notify::NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd could not be told; check NOTIFY_SOCKET");
    }
}

#[cfg(not(unix))]
fn tell_systemd(_: SystemdState) {}
