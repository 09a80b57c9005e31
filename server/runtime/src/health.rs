//! The command `health`, which asks a running server whether it is ready. Container images need no other program for this.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

/// How long the server may take to answer. It never takes so long, and callers usually wait longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of the answer that are read. An answer is a line or two.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;

/// Asks the server at this address and prints its answer. Succeeds if the server is ready.
pub(crate) fn ask(program: &str, listens_on: SocketAddr) -> ExitCode {
    let address = reachable(listens_on);
    match answer(address) {
        Ok((is_ready, body)) => {
            // The reader of our output may have closed it.
            let _ = writeln!(io::stdout(), "{}", body.trim_end());
            if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    eprintln!("{program}: the server on {address} did not answer within {PATIENCE:?}. Look at its log");
                }
                _ => eprintln!("{program}: no server answers on {address}: {error}. Name its address with --listen"),
            }
            ExitCode::FAILURE
        }
    }
}

/// An address at which the server can be reached. A server that listens on all addresses also listens on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether the server is ready, and the body of its answer.
fn answer(address: SocketAddr) -> io::Result<(bool, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((head.split(' ').nth(1) == Some("200"), body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_asked_on_loopback() {
        let asked = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:1999"), "127.0.0.1:1999");
        assert_eq!(asked("[::]:1999"), "[::1]:1999");
        assert_eq!(asked("192.0.2.1:80"), "192.0.2.1:80");
    }
}
