//! What a binary does around a server: it listens, prints the address, and stops when the system asks for it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    convert::Infallible,
    env,
    ffi::OsString,
    io::{self, Write},
    mem,
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use serde_json::{Map, Value};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    Greeting, Server,
    command_line::{self, Command, Invocation, NoSettings, ReadError},
    config::{Config, LogFormat},
    error::StartupError,
    health, listener, log,
    reload::{self, Reread, Running},
    signals,
};

/// How much longer than its limits say a stop may take.
const STOP_MARGIN: Duration = Duration::from_secs(2);

impl Server {
    /// The whole `main` of a program. It does all that the `connection-counter` binary does, with the parties of this server:
    ///
    /// - It reads the settings from the command line, the environment and the file of `--env-file`. `--help` lists them.
    /// - It logs to standard error, also the reason if it cannot start.
    /// - It prints its address when it serves.
    /// - It serves until Ctrl-C, SIGTERM or SIGHUP. A second signal ends the program at once. With `--env-file`, SIGHUP makes it read
    ///   the settings again instead.
    /// - It takes over a socket that systemd holds, and tells systemd when it serves and when it stops.
    /// - With the argument `health` it only asks a running server whether it is ready.
    /// - With the argument `check` it only prints the settings.
    ///
    /// If you want something else, or your program already runs tokio, use [`run`](Self::run).
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

    /// Like [`main`](Self::main), for a program with its own settings. `S` is read from the same command line, and `set_up`
    /// gives the settings to the server. `--help` begins with the doc comment of `S`.
    ///
    /// When the settings are read again, `set_up` runs again, with a server without parties. If it succeeds, the values and pages
    /// that it gives to that server replace the earlier ones.
    ///
    /// ```no_run
    /// use clap::Args;
    /// use connection_counter_runtime::{Config, Server, StartupError, party::Party};
    ///
    /// /// A chat server.
    /// #[derive(Args, Clone)]
    /// struct Settings {
    ///     /// Name of the chat.
    ///     #[arg(long, default_value = "the lounge")]
    ///     name: String,
    /// }
    ///
    /// impl Settings {
    ///     fn set_up(self, server: Server, _: &Config) -> Result<Server, StartupError> {
    ///         if self.name.is_empty() {
    ///             return Err(StartupError::Setting { setting: "name", problem: "give the chat a name" });
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
        let mut invocation = match command_line::read::<S>(&program, &self.names()) {
            Ok(invocation) => invocation,
            Err(ReadError::Arguments(error)) => error.exit(),
            Err(ReadError::File(error)) => return failed(&program, &error),
        };
        let command = mem::replace(&mut invocation.command, Command::Serve);
        if command == Command::Health {
            return health::ask(&program, invocation.config.listen);
        }
        self.complete(&mut invocation.config);
        if let Command::Check(settings) = command {
            return check(&program, &settings, invocation, |own, config| set_up(own, self, config));
        }
        let in_json = invocation.config.log_format == LogFormat::Json;
        match self.launch(&program, invocation, set_up) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if in_json => {
                tracing::error!("the server cannot start: {error}");
                ExitCode::FAILURE
            }
            Err(error) => failed(&program, &error),
        }
    }

    /// Serves with these settings, until the system asks to stop.
    fn launch<S: Args>(
        self,
        program: &str,
        invocation: Invocation<S>,
        set_up: impl Fn(S, Self, &Config) -> Result<Self, StartupError>,
    ) -> Result<(), StartupError> {
        let (parties, quiet) = (self.names(), self.quiet_libraries());
        let (mut config, first) = (invocation.config, invocation.values);
        let log = log::start(&config, &quiet)?;
        let held = listener::held()?;
        if let Some(address) = held.as_ref().and_then(|socket| socket.local_addr().ok()) {
            config.listen = address;
        }
        config.validate()?;
        let server = set_up(invocation.own, self, &config)?;
        tell(&invocation.notes);
        let told = RefCell::new(invocation.notes);
        let read = |now: &Config| {
            let invocation = command_line::read::<S>(program, &parties).map_err(|error| error.to_string())?;
            // Settings that wait for a restart must not stop that.
            let checked = invocation.config.validate();
            let config = reload::merged(now, invocation.config);
            let checked = checked.and_then(|()| config.validate()).and_then(|()| log::filter(&config.log, &quiet));
            let checked = checked.and_then(|filter| Ok((filter, set_up(invocation.own, Self::builder(), &config)?)));
            let (filter, server) = checked.map_err(|error| error.to_string())?;
            log(filter);
            let before = told.replace(invocation.notes);
            tell(told.borrow().iter().filter(|note| !before.contains(note)));
            Ok(Reread { config, server, values: invocation.values })
        };
        let runtime = tokio::runtime::Runtime::new().map_err(StartupError::Runtime)?;
        let served = runtime.block_on(serve(server, config, held, first, read));
        // A task that hangs, such as a read from a disk that does not answer, must not delay the end.
        runtime.shutdown_background();
        served
    }

    /// The command line that [`main_with`](Self::main_with) reads, for man pages and completions.
    ///
    /// ```
    /// use clap::Args;
    /// use connection_counter_runtime::Server;
    ///
    /// #[derive(Args)]
    /// struct Settings {
    ///     /// Name of the chat.
    ///     #[arg(long)]
    ///     name: Option<String>,
    /// }
    ///
    /// let mut command = Server::builder().command::<Settings>("chat");
    /// assert!(command.render_usage().to_string().contains("chat [OPTIONS]"));
    /// ```
    #[must_use]
    pub fn command<S: Args>(&self, program: &str) -> clap::Command {
        command_line::command_of::<S>(program, &self.names())
    }
}

fn failed(program: &str, error: &StartupError) -> ExitCode {
    eprintln!("{program}: {error}");
    ExitCode::FAILURE
}

/// The name under which the user started the program, without its folder.
fn program_name() -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_stem().unwrap_or_default().to_string_lossy();
    if name.is_empty() { "server".to_owned() } else { name.into_owned() }
}

fn tell<'a>(notes: impl IntoIterator<Item = &'a String>) {
    for note in notes {
        tracing::warn!("{note}");
    }
}

/// The answer to `check`.
fn check<S>(
    program: &str,
    settings: &str,
    invocation: Invocation<S>,
    set_up: impl FnOnce(S, &Config) -> Result<Server, StartupError>,
) -> ExitCode {
    let config = invocation.config;
    let checked =
        log::filter(&config.log, &[]).and_then(|_| config.validate()).and_then(|()| set_up(invocation.own, &config));
    let server = match checked {
        Ok(server) => server,
        Err(error) => return failed(program, &error),
    };
    let notes = invocation.notes.iter().map(|note| format!("Note: {note}\n"));
    let (notes, users) = (notes.collect::<String>(), server.greet(config.listen).users);
    let listen = config.listen;
    let said =
        format!("{settings}\n{notes}These settings are valid. The server would serve {users} on http://{listen}\n");
    // The reader of our output may have closed it.
    let _ = io::stdout().write_all(said.as_bytes());
    ExitCode::SUCCESS
}

async fn serve(
    server: Server,
    config: Config,
    held: Option<std::net::TcpListener>,
    values: BTreeMap<String, Vec<OsString>>,
    read: impl Fn(&Config) -> Result<Reread, String>,
) -> Result<(), StartupError> {
    let failed = |source| StartupError::Listen { address: config.listen, source };
    let listener = held.map_or_else(|| listener::bind(config.listen), TcpListener::from_std).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let file = config.env_file.clone();
    let stop = signals::stop(file.is_some()).map_err(failed)?;
    let hangups = signals::Hangups::new(file.is_some()).map_err(failed)?;
    let greeting = server.greet(address);
    let lasting = server.lasting_flags();
    let settings = config.clone();
    let stop_time = |config: &Config| config.drain + config.limits.shutdown_timeout + STOP_MARGIN;
    let stop_time_at_first = stop_time(&config);
    let (hand_over, handed_over) = oneshot::channel();
    let serves = move |connections, running: Running| {
        // The reader of our output may have closed it.
        let _ = io::stdout().write_all(announcement(address, &greeting, settings.log_format).as_bytes());
        log_start(address, &greeting, &settings, connections);
        tell_systemd(SystemdState::Serving);
        // The receiver below waits for as long as the server runs.
        let _ = hand_over.send(running);
    };
    let stop = async {
        let mut running = None;
        let reloads = async {
            match handed_over.await {
                Ok(handed) => reload_for_ever(running.insert(handed), hangups, values, &lasting, read).await,
                // The server never served.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop => {}
            never = reloads => match never {},
        }
        let time = running.map_or(stop_time_at_first, |running: Running| stop_time(running.config.get()));
        tell_systemd(SystemdState::Stopping(time));
    };
    server.run_and_tell(listener, config, stop, serves).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Reads the settings again at each SIGHUP. If one is wrong, nothing changes.
async fn reload_for_ever(
    running: &Running,
    mut hangups: signals::Hangups,
    mut values: BTreeMap<String, Vec<OsString>>,
    started_with: &[&str],
    read: impl Fn(&Config) -> Result<Reread, String>,
) -> Infallible {
    loop {
        hangups.next().await;
        let reread = match read(running.config.get()) {
            Ok(reread) => reread,
            Err(problem) => {
                tracing::error!("the settings stay as they are, because they cannot be read again: {problem}");
                continue;
            }
        };
        let lasting = [started_with, &reread.server.lasting_flags()].concat();
        let users = reread.server.greet(reread.config.listen).users;
        running.take_over(reread.config, reread.server);
        let (taken_over, waiting) = reload::changed(&values, &reread.values, &lasting);
        let flags = |names: &[&str]| names.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", ");
        match taken_over.is_empty() {
            true => tracing::info!("the settings were read again; none has changed"),
            false => {
                let changed = flags(&taken_over);
                tracing::info!("the settings were read again; these have changed: {changed}. The server is {users}");
            }
        }
        if !waiting.is_empty() {
            tracing::warn!("these settings change only with a restart: {}", flags(&waiting));
        }
        let taken_over = taken_over.into_iter().map(str::to_owned).collect::<Vec<_>>();
        values.extend(reread.values.into_iter().filter(|(flag, _)| taken_over.contains(flag)));
    }
}

/// The text for standard output, for people and for scripts that chose port 0. Everything else goes to the log.
fn announcement(address: SocketAddr, greeting: &Greeting, format: LogFormat) -> String {
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

/// Writes the first line of the log, which says what runs and where.
fn log_start(address: SocketAddr, greeting: &Greeting, config: &Config, connections: usize) {
    let version = env!("CARGO_PKG_VERSION");
    let data = config.data.display();
    tracing::info!(
        "version {version} serves on http://{address} {}; data is in {data}; at most {connections} connections",
        greeting.users
    );
    if config.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        tracing::warn!("--trusted-proxy names all addresses, so any reader can pretend to have another address");
    }
    if connections < config.limits.connections {
        tracing::warn!(
            "this machine allows {connections} connections, not the {} of --max-connections, because each needs an open file. \
             Raise the limit of open files (`ulimit -n`, or LimitNOFILE= of systemd)",
            config.limits.connections
        );
    }
}

enum SystemdState {
    Serving,
    /// The server has ended after this time.
    Stopping(Duration),
}

/// Tells systemd the state, if systemd has started us with `Type=notify`.
#[cfg(unix)]
fn tell_systemd(state: SystemdState) {
    use sd_notify::NotifyState::{ExtendTimeoutUsec, Ready, Stopping};
    let told = match state {
        SystemdState::Serving => sd_notify::notify(&[Ready]),
        // Otherwise a long --drain-ms would end with SIGKILL after TimeoutStopSec=.
        SystemdState::Stopping(time) => {
            let time_us = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
            sd_notify::notify(&[Stopping, ExtendTimeoutUsec(time_us)])
        }
    };
    if let Err(error) = told {
        tracing::warn!(%error, "the state could not be sent to systemd; check NOTIFY_SOCKET");
    }
}

#[cfg(not(unix))]
fn tell_systemd(_: SystemdState) {}
