//! A socket that is read in small pieces, so that a client that sends much at once fills no large buffer.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
};

/// Bytes of one read. hyper begins with a buffer of 8 KB and doubles it when a read fills it. A read of this size never
/// fills it, but is enough for the headers of nearly all requests.
const BYTES: u64 = 4 * 1024;

/// A socket of which at most [`BYTES`] are read at a time.
pub(crate) struct SmallReads(Take<TcpStream>);

impl SmallReads {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(stream.take(BYTES))
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.0.into_inner()
    }
}

impl AsyncRead for SmallReads {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // The limit is for each read, so it is set again.
        self.0.set_limit(BYTES);
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for SmallReads {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_shutdown(cx)
    }
}
