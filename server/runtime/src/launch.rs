//! What a binary does around a server: starts the log, listens, says where, and stops when the system asks.

use std::{
    env,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use clap::Args;
use tokio::net::{TcpListener, TcpSocket};
use tracing_subscriber::EnvFilter;

use crate::{
    Server,
    config::{self, Config, LogFormat, NoSettings},
    error::StartupError,
};

/// Handshakes the operating system may hold for us while we are busy: all clients come back at once after a restart.
const BACKLOG: u32 = 4096;

impl Server {
    /// The whole `main` of a program: all that the `connection-counter` binary does, with the parties of this server.
    ///
    /// Reads the settings from the command line and the environment (`--help` tells them), logs to standard error, prints
    /// the address it listens on, serves until Ctrl-C or SIGTERM, and says on standard error why it could not start. To
    /// do any of this in another way, or in a program that already runs tokio, use [`run`](Self::run).
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
        let (mut config, settings) = config::from_args::<S>(&program, &self.names());
        self.complete(&mut config);
        let served = start_log(&config)
            .and_then(|()| config.validate())
            .and_then(|()| set_up(settings, self, &config))
            .and_then(|server| Ok((server, tokio::runtime::Runtime::new().map_err(StartupError::Runtime)?)))
            .and_then(|(server, runtime)| runtime.block_on(serve(server, config)));
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{program}: {error}");
                ExitCode::FAILURE
            }
        }
    }
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
    // For people and for scripts that gave port 0; everything else goes to the log.
    let told = format!("listening on http://{address}\n{}", server.greet(address));
    // Whoever started us may not read it.
    let _ = io::stdout().write_all(told.as_bytes());
    server.run(listener, config, stop).await
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted server must not wait for the old one's last packets.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Ready at Ctrl-C, or when the system stops the service.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let terminated = {
        let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        async move { signal.recv().await.unwrap_or(()) }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending();
    Ok(async move {
        tokio::select! {
            () = terminated => {}
            Ok(()) = tokio::signal::ctrl_c() => {}
        }
    })
}

fn start_log(config: &Config) -> Result<(), StartupError> {
    let problem =
        "this is no filter; give error, warn, info, debug, trace, or a list such as info,connection_counter=debug";
    let filter = EnvFilter::try_new(&config.log).map_err(|_| StartupError::Setting { setting: "log", problem })?;
    // Colours are for terminals, not for files and log collectors.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let log = log.with_ansi(io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Human => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
