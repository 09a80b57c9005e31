//! What a binary does around a server: listens, says where once it serves, and stops when the system asks.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env,
    ffi::OsString,
    io::{self, Write},
    mem,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use clap::Args;
use listenfd::ListenFd;
use serde_json::{Map, Value};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::oneshot,
};

use crate::{
    Greeting, Server,
    config::{self, Command, Config, LogFormat, NoSettings, Refused, Told},
    error::StartupError,
    health, log,
    reload::{self, Reread, Running},
    signals,
};

/// Handshakes the operating system may hold for us while we are busy: all clients come back at once after a restart.
const BACKLOG: u32 = 4096;

impl Server {
    /// The whole `main` of a program: all that the `connection-counter` binary does, with the parties of this server.
    ///
    /// Reads the settings from the command line and the environment (`--help` tells them), logs to standard error, and
    /// says there why it could not start. Prints the address it listens on once it serves. Serves until Ctrl-C, SIGTERM or
    /// SIGHUP; a second signal ends the program at once. With `--env-file`, SIGHUP has it read the settings again instead. Takes over a socket that systemd holds, and tells systemd when it
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
    /// When the settings are read again, `set_up` is called once more, with a server of no parties. The values and pages
    /// that it gives to that one take the place of the earlier ones, unless it fails.
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
    pub fn main_with<S: Args>(self, set_up: impl Fn(S, Self, &Config) -> Result<Self, StartupError>) -> ExitCode {
        let program = program_name();
        let (parties, quiet) = (self.names(), self.quiet_libraries());
        let mut told = match config::read::<S>(&program, &parties) {
            Ok(told) => told,
            Err(Refused::Said(error)) => error.exit(),
            Err(Refused::File(error)) => return failed(&program, &error),
        };
        let command = mem::replace(&mut told.command, Command::Serve);
        if command == Command::Health {
            return health::ask(&program, told.config.listen);
        }
        self.complete(&mut told.config);
        if let Command::Check(settings) = command {
            return check(&program, &settings, told, |own, config| set_up(own, self, config));
        }
        let (config, own, first) = (told.config, told.own, told.values);
        let served = log::start(&config, &quiet)
            .and_then(|log| config.validate().map(|()| log))
            .and_then(|log| Ok((log, set_up(own, self, &config)?)))
            .and_then(|ready| Ok((ready, tokio::runtime::Runtime::new().map_err(StartupError::Runtime)?)))
            .and_then(|((log, server), runtime)| {
                tell_unknown(&told.unknown);
                let read = |now: &Config| {
                    let told = config::read::<S>(&program, &parties).map_err(|refused| refused.to_string())?;
                    let config = reload::merged(now, told.config);
                    let checked = config.validate().and_then(|()| log::filter(&config.log, &quiet));
                    let checked = checked.and_then(|filter| Ok((filter, set_up(told.own, Self::builder(), &config)?)));
                    let (filter, server) = checked.map_err(|error| error.to_string())?;
                    log(filter);
                    Ok(Reread { config, server, values: told.values })
                };
                let served = runtime.block_on(serve(server, config, first, read));
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

/// Says which variables have no effect.
fn tell_unknown(names: &[String]) {
    for name in names {
        tracing::warn!("the variable {name} is no setting, so it has no effect; --help names all that are");
    }
}

/// The answer to `check`.
fn check<S>(
    program: &str,
    settings: &str,
    told: Told<S>,
    set_up: impl FnOnce(S, &Config) -> Result<Server, StartupError>,
) -> ExitCode {
    let config = told.config;
    let checked =
        log::filter(&config.log, &[]).and_then(|_| config.validate()).and_then(|()| set_up(told.own, &config));
    let server = match checked {
        Ok(server) => server,
        Err(error) => return failed(program, &error),
    };
    let unknown = told.unknown.iter().map(|name| format!("The variable {name} is no setting and has no effect.\n"));
    let (unknown, users) = (unknown.collect::<String>(), server.greet(config.listen).users);
    let listen = config.listen;
    let said = format!("{settings}\n{unknown}These settings are sound. It would serve {users} on http://{listen}\n");
    // Whoever asked may not read all of it.
    let _ = io::stdout().write_all(said.as_bytes());
    ExitCode::SUCCESS
}

async fn serve(
    server: Server,
    config: Config,
    values: BTreeMap<String, Vec<OsString>>,
    read: impl Fn(&Config) -> Result<Reread, String>,
) -> Result<(), StartupError> {
    let failed = |source| StartupError::Listen { address: config.listen, source };
    let listener = listen(config.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let file = config.env_file.clone();
    let stop = signals::stop(file.is_some()).map_err(failed)?;
    let hangups = signals::Hangups::new(file.is_some()).map_err(failed)?;
    let greeting = server.greet(address);
    let settings = config.clone();
    let (hand_over, handed_over) = oneshot::channel();
    let serves = move |connections, running: Running| {
        // Whoever started us may not read it.
        let _ = io::stdout().write_all(told(address, &greeting, settings.log_format).as_bytes());
        log_start(address, &greeting, &settings, connections);
        tell_systemd(SystemdState::Serving);
        // The other end is waited for below, for as long as the server runs.
        let _ = hand_over.send(running);
    };
    let reloads = async {
        match handed_over.await {
            Ok(running) => reload_for_ever(&running, hangups, values, read).await,
            // It never served.
            Err(_) => std::future::pending().await,
        }
    };
    let stop = async {
        tokio::select! {
            () = stop => {}
            never = reloads => match never {},
        }
        tell_systemd(SystemdState::Stopping);
    };
    server.run_and_tell(listener, config, stop, serves).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the settings again at each SIGHUP. What is wrong changes nothing.
async fn reload_for_ever(
    running: &Running,
    mut hangups: signals::Hangups,
    mut values: BTreeMap<String, Vec<OsString>>,
    read: impl Fn(&Config) -> Result<Reread, String>,
) -> Infallible {
    loop {
        hangups.next().await;
        let reread = match read(running.config.get()) {
            Ok(reread) => reread,
            Err(problem) => {
                tracing::error!("the settings stay as they are, for they cannot be read again: {problem}");
                continue;
            }
        };
        let lasting = reread.server.lasting_flags();
        running.take_over(reread.config, reread.server);
        let (taken_over, waiting) = reload::changed(&values, &reread.values, lasting);
        let flags = |names: &[&str]| names.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ");
        match taken_over.is_empty() {
            true => tracing::info!("the settings were read again; nothing changes"),
            false => tracing::info!("the settings were read again; these have changed: {}", flags(&taken_over)),
        }
        if !waiting.is_empty() {
            tracing::warn!("these settings change with a restart only: {}", flags(&waiting));
        }
        values = reread.values;
    }
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
