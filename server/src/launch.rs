//! What a binary does around a server: starts the log, listens, says where, and stops when the system asks.

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
};

use tokio::net::{TcpListener, TcpSocket};
use tracing_subscriber::EnvFilter;

use crate::{
    Server,
    config::{Config, LogFormat},
    error::StartupError,
};

/// Handshakes the operating system may hold for us while we are busy: all clients come back at once after a restart.
const BACKLOG: u32 = 4096;

/// The whole `main` of a server with parties of your own.
///
/// Logs to standard error, prints the address it listens on, serves until Ctrl-C or SIGTERM, and says on standard error
/// why it could not start.
///
/// ```no_run
/// use connection_counter::{Config, Counter, Page, Server};
///
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     let server = Server::builder().party::<Page>("page").party::<Counter>("counter");
///     connection_counter::main(server, Config::from_args()).await
/// }
/// ```
pub async fn main(server: Server, config: Config) -> ExitCode {
    let served = match start_log(&config) {
        Ok(()) => serve(server, config).await,
        Err(error) => Err(error),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("connection-counter: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(server: Server, config: Config) -> Result<(), StartupError> {
    config.validate()?;
    let failed = |source| StartupError::Listen { address: config.listen, source };
    let listener = listen(config.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let stop = stop_signal().map_err(failed)?;
    // For people and for scripts that gave port 0; everything else goes to the log.
    let mut told = format!("listening on http://{address}\n");
    if server.serves_widget() {
        told += &format!("embed with <script async src=\"http://{address}/live.js\"></script>\n");
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
