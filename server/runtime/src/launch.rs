//! What a binary does around a server: starts the log, listens, says where, and stops when the system asks.

use std::{
    env,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use tokio::net::{TcpListener, TcpSocket};
use tracing_subscriber::EnvFilter;

use crate::{
    Server,
    config::{Config, LogFormat, serves_widget},
    error::StartupError,
    files,
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
    /// use connection_counter::{Counter, Page, Server};
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Server::builder().party::<Page>("page").party::<Counter>("counter").main()
    /// }
    /// ```
    #[must_use]
    pub fn main(self) -> ExitCode {
        let program = program_name();
        let mut config = Config::from_args(&program, &self.names());
        self.complete(&mut config);
        let runtime = start_log(&config).and_then(|()| tokio::runtime::Runtime::new().map_err(StartupError::Runtime));
        match runtime.and_then(|runtime| runtime.block_on(serve(self, config))) {
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
    if name.is_empty() { env!("CARGO_PKG_NAME").to_owned() } else { name.into_owned() }
}

async fn serve(server: Server, config: Config) -> Result<(), StartupError> {
    config.validate()?;
    let failed = |source| StartupError::Listen { address: config.listen, source };
    let listener = listen(config.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stop = stop_signal().map_err(failed)?;
    // For people and for scripts that gave port 0; everything else goes to the log.
    let mut told = format!("listening on http://{address}\n");
    if serves_widget(&server.names()) {
        told += &format!("embed with <script async src=\"http://{address}/live.js\"></script>\n");
        if let Some((file, integrity)) = files::pinned() {
            told += &format!(
                "or pinned: <script type=\"module\" async crossorigin src=\"http://{address}/{file}\" \
                 integrity=\"{integrity}\"></script>\n"
            );
        }
    }
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
