//! A connection to a target: over TCP or a socket in the file system, as it is or with TLS on top.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::runtime::socket::Socket;

/// Where to connect to: an address that needs no more looking up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Ip(SocketAddr),
    Unix(PathBuf),
}

/// An open connection to a target.
pub(crate) enum Connection {
    Plain(Socket),
    /// In a box: the many that are plain need not be as large.
    Tls(Box<TlsStream<Socket>>),
}

/// Opens a connection. The caller bounds its time.
///
/// # Errors
/// Those of the socket.
pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<Socket> {
    match endpoint {
        Endpoint::Ip(address) => Socket::connect_tcp(*address).await,
        Endpoint::Unix(path) => Socket::connect_unix(path).await,
    }
}

impl Connection {
    /// Whether an idle connection still waits: the other side has neither spoken nor hung up. Costs no system call while
    /// the runtime knows the socket to be drained.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Connection::Plain(socket) => socket.is_quiet(),
            // records that carry nothing for us, such as tickets, are taken in; what is decrypted and was not asked for
            // would pass for the next answer
            Connection::Tls(stream) => {
                Pin::new(stream).poll_fill_buf(&mut Context::from_waker(Waker::noop())).is_pending()
            }
        }
    }
}

impl Drop for Connection {
    /// RFC 8446 section 6.1: the end is said, as far as the socket takes it at once.
    fn drop(&mut self) {
        if let Connection::Tls(stream) = self {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl AsyncRead for Connection {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(socket) => Pin::new(socket).poll_read(cx, into),
            Connection::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Connection {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Connection::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Connection::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
