//! Waits for the first request of a connection while its bytes are still in the operating system's buffer. So a client that sends
//! nothing, or a part of its headers, costs the server no buffers: hyper takes 16 KB and more for each connection that it reads.

use std::{io, mem::MaybeUninit, time::Duration};

use httparse::{EMPTY_HEADER, Request, Status};
use rustix::net::{RecvFlags, recv};
use tokio::{io::Interest, net::TcpStream, time::timeout};

/// Bytes that are waited for. Longer headers are read while they arrive.
const MAX_BYTES: usize = 4 * 1024;
/// Headers of a request: as many as hyper reads.
const MAX_HEADERS: usize = 100;

/// Returns when the headers of a request have arrived, or something that needs no more waiting: an end, an error, no HTTP. Before
/// that, tokio may take the socket to be empty although it is not, so nobody else should read from it.
pub(crate) async fn of_headers(stream: &TcpStream) {
    loop {
        // Whoever reads from the socket finds the error again.
        let Ok(ready) = stream.ready(Interest::READABLE).await else { return };
        if ready.is_read_closed() {
            return;
        }
        let arrived = stream.try_io(Interest::READABLE, || {
            let mut buffer = [MaybeUninit::uninit(); MAX_BYTES];
            let ((bytes, _), _) = recv(stream, &mut buffer[..], RecvFlags::PEEK)?;
            // With this error, tokio waits for the next bytes.
            if may_go_on(bytes) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        if !arrived.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            return;
        }
    }
}

/// Whether a request has begun to arrive, and the rest of its headers follows within this time.
pub(crate) async fn goes_on(stream: &TcpStream, patience: Duration) -> bool {
    let has_begun = recv(stream, &mut [0; 1], RecvFlags::PEEK).is_ok_and(|(_, bytes)| bytes > 0);
    has_begun && timeout(patience, of_headers(stream)).await.is_ok()
}

/// Whether the headers of a request may go on after these bytes.
fn may_go_on(bytes: &[u8]) -> bool {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    // hyper answers what cannot be parsed.
    bytes.len() < MAX_BYTES && matches!(Request::new(&mut headers).parse(bytes), Ok(Status::Partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_with_an_empty_line() {
        let long = format!("GET /{} HTTP/1.1", "x".repeat(MAX_BYTES));
        for (bytes, goes_on) in [
            ("", true),
            ("GET / HTTP/1.1\r\nhost: x\r\n", true),
            ("GET / HTTP/1.1\r\nhost: x\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nhost: x\r\nContent-Length: 3\r\n\r\nab", false),
            ("\x16\x03\x01 not HTTP", false),
            (&long[..MAX_BYTES - 1], true),
            (&long[..MAX_BYTES], false),
        ] {
            assert_eq!(may_go_on(bytes.as_bytes()), goes_on, "{bytes:?}");
        }
    }
}
