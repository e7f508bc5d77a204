//! A connection to a target: TCP or a socket in the file system, with TLS on top, or a stream among others.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::HeaderMap;
use http::uri::Scheme;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::multiplex::Stream;
use super::sockets::Counted;
use crate::runtime::socket::{First, Socket};
use crate::tls::dial::ClientSide;

/// Where to connect to: an address that needs no more looking up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Ip(SocketAddr),
    Unix(PathBuf),
}

/// What bytes go over.
pub(crate) enum Transport {
    Plain(Socket),
    /// In a box: the many that are plain need not be as large.
    Tls(Box<TlsStream<Socket>>),
}

/// An open connection to a target: HTTP/1.1 is spoken on it, whatever is beneath.
pub(crate) enum Connection {
    /// And its share of what the target may have of them.
    Direct(Transport, Option<Counted>),
    /// One exchange on a connection of HTTP/2.
    Stream(Box<Stream>),
}

/// Opens a socket, and says `header` on it first, if there is one. `first`: who speaks behind that. The caller bounds its time.
///
/// # Errors
/// Those of the socket.
pub(crate) async fn connect_socket(endpoint: &Endpoint, header: Option<Vec<u8>>, first: First) -> io::Result<Socket> {
    let first = if header.is_some() { First::Here } else { first };
    let mut socket = match endpoint {
        Endpoint::Ip(address) => Socket::connect_tcp(*address, first).await,
        Endpoint::Unix(path) => Socket::connect_unix(path).await,
    }?;
    if let Some(header) = header {
        socket.write_all(&header).await?;
    }
    Ok(socket)
}

/// Whether all ports are taken: to a target of TCP, of UDP, or at a client's own address.
pub(crate) fn no_port_left(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, WouldBlock};
    matches!(error.kind(), AddrInUse | AddrNotAvailable | WouldBlock)
}

/// Opens a connection, says `header` on it first, and shakes hands when there is a `client` for it; `host` is the name that the target is declared
/// by. The caller bounds its time.
///
/// # Errors
/// Those of the socket, and of the handshake.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    host: Option<&str>,
    client: Option<&ClientSide>,
    header: Option<Vec<u8>>,
) -> io::Result<Transport> {
    let socket = connect_socket(endpoint, header, if client.is_some() { First::Here } else { First::There }).await?;
    match client {
        None => Ok(Transport::Plain(socket)),
        Some(client) => secure(socket, endpoint, host, client).await,
    }
}

/// Shakes hands over a socket. The caller bounds its time.
///
/// # Errors
/// When there is no agreement.
pub(crate) async fn secure(
    socket: Socket,
    endpoint: &Endpoint,
    host: Option<&str>,
    client: &ClientSide,
) -> io::Result<Transport> {
    // in a box: most connections have no handshake, and it is large
    let shaken = Box::pin(client.secure(socket, endpoint, host)).await?;
    Ok(Transport::Tls(Box::new(shaken)))
}

impl Connection {
    /// Whether it is one of so many that there may be.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Connection::Direct(_, Some(_)))
    }

    /// Whether it carries one exchange only.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Connection::Stream(_))
    }

    /// Whether an idle connection still waits for a request: the other side has neither spoken nor hung up. Costs no
    /// system call while the runtime knows the socket to be drained.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Connection::Direct(transport, _) => transport.is_quiet(),
            Connection::Stream(_) => false,
        }
    }

    /// The request has been given whole. `trailers` follow it on a stream; without one there is no way to say them.
    ///
    /// # Errors
    /// When its end cannot be said.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        match self {
            Connection::Direct(..) => Ok(()),
            Connection::Stream(stream) => stream.finish(trailers),
        }
    }

    /// The answer is too late: others are not to wait for one on a connection that is dead.
    pub(crate) fn give_up(&self) {
        if let Connection::Stream(stream) = self {
            stream.give_up();
        }
    }

    /// What followed the response's body.
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Connection::Direct(..) => None,
            Connection::Stream(stream) => stream.take_trailers(),
        }
    }
}

impl Transport {
    /// What requests on it say in `:scheme` (RFC 9113 section 8.3.1).
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Transport::Plain(_) => Scheme::HTTP,
            Transport::Tls(_) => Scheme::HTTPS,
        }
    }

    fn is_quiet(&mut self) -> bool {
        match self {
            Transport::Plain(socket) => socket.is_quiet(),
            // records that carry nothing for us, such as tickets, are taken in; what is decrypted and was not asked for
            // would pass for the next answer
            Transport::Tls(stream) => {
                Pin::new(stream).poll_fill_buf(&mut Context::from_waker(Waker::noop())).is_pending()
            }
        }
    }
}

impl Drop for Transport {
    /// RFC 8446 section 6.1: the end is said, as far as the socket takes it at once.
    fn drop(&mut self) {
        if let Transport::Tls(stream) = self {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl AsyncRead for Transport {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(_) => Poll::Ready(Ok(())),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Connection {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Direct(transport, _) => Pin::new(transport).poll_read(cx, buf),
            Connection::Stream(stream) => stream.poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Direct(transport, _) => Pin::new(transport).poll_write(cx, bytes),
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
            Connection::Direct(transport, _) => Pin::new(transport).poll_write_vectored(cx, slices),
            Connection::Stream(stream) => {
                let first = slices.iter().find(|slice| !slice.is_empty());
                stream.poll_write(cx, first.map_or(&[], |slice| slice))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        !self.is_stream()
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Direct(transport, _) => Pin::new(transport).poll_flush(cx),
            Connection::Stream(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Direct(transport, _) => Pin::new(transport).poll_shutdown(cx),
            Connection::Stream(stream) => Poll::Ready(stream.finish(None)),
        }
    }
}
