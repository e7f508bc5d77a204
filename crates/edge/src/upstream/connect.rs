//! A connection to a target: TCP, a socket in the file system, or a stream among others.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::multiplex::Stream;
use crate::runtime::socket::Socket;

/// Where to connect to: an address that needs no more looking up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Ip(SocketAddr),
    Unix(PathBuf),
}

/// An open connection to a target: HTTP/1.1 is spoken on it, whatever is beneath.
pub(crate) enum Connection {
    Direct(Socket),
    /// One exchange on a connection of HTTP/2.
    Stream(Box<Stream>),
}

/// Opens a socket. The caller bounds its time.
///
/// # Errors
/// Those of the socket.
pub(crate) async fn connect_socket(endpoint: &Endpoint) -> io::Result<Socket> {
    match endpoint {
        Endpoint::Ip(address) => Socket::connect_tcp(*address).await,
        Endpoint::Unix(path) => Socket::connect_unix(path).await,
    }
}

/// Opens a connection. The caller bounds its time.
///
/// # Errors
/// Those of the socket.
pub(crate) async fn connect(endpoint: &Endpoint) -> io::Result<Connection> {
    connect_socket(endpoint).await.map(Connection::Direct)
}

impl Connection {
    /// Whether it carries one exchange only.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Connection::Stream(_))
    }

    /// Whether an idle connection still waits for a request.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Connection::Direct(socket) => socket.is_quiet(),
            Connection::Stream(_) => false,
        }
    }

    /// The request has been given whole.
    ///
    /// # Errors
    /// When its end cannot be said.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self {
            Connection::Direct(_) => Ok(()),
            Connection::Stream(stream) => stream.finish(),
        }
    }

    /// What followed the response's body.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Connection::Direct(_) => None,
            Connection::Stream(stream) => stream.take_trailers(),
        }
    }
}

impl AsyncRead for Connection {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Direct(socket) => Pin::new(socket).poll_read(cx, buf),
            Connection::Stream(stream) => stream.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Direct(socket) => Pin::new(socket).poll_write(cx, bytes),
            Connection::Stream(stream) => stream.poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Direct(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Connection::Stream(stream) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                stream.poll_write(cx, first.map_or(&[], |slice| slice))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        !self.is_stream()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Direct(socket) => Pin::new(socket).poll_shutdown(cx),
            Connection::Stream(stream) => Poll::Ready(stream.finish()),
        }
    }
}
