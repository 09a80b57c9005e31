//! The socket on which a server listens: one that systemd holds, or a new one.

use std::{io, net::SocketAddr};

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

use crate::error::StartupError;

/// Connections that may wait in the operating system while we are busy. After a restart all clients come back at once.
const BACKLOG: u32 = 4096;

/// The socket that systemd holds for us, if it holds one.
///
/// # Errors
/// Fails if it holds several, or one that is not for TCP.
pub(crate) fn held() -> Result<Option<std::net::TcpListener>, StartupError> {
    let mut sockets = ListenFd::from_env();
    if sockets.len() > 1 {
        let problem = format!(
            "it holds {}, but this server uses only one; leave one ListenStream= in the socket unit. With an address such as \
             [::]:1999 it takes IPv6 and IPv4",
            sockets.len()
        );
        return Err(StartupError::SystemdSocket { problem });
    }
    let wrong = |reason: &str| {
        let remedy = "give the socket unit an address and a port, such as ListenStream=127.0.0.1:1999, and Accept=no";
        StartupError::SystemdSocket { problem: format!("{reason}; {remedy}") }
    };
    let held = sockets.take_tcp_listener(0).map_err(|error| wrong(&error.to_string()))?;
    if let Some(socket) = &held {
        socket.set_nonblocking(true).map_err(|error| wrong(&error.to_string()))?;
        if !SockRef::from(socket).is_listener().unwrap_or(true) {
            return Err(wrong("it does not listen"));
        }
    }
    Ok(held)
}

/// A new socket.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restarted server must not have to wait until the old one's connections have expired.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
