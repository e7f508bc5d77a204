//! One end of a flow: a socket, or TLS on top of one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{client, server};

use crate::runtime::socket::Socket;

/// One end of a flow.
pub(super) trait End: AsyncRead + AsyncWrite + Unpin {
    /// Whether bytes go over it as they are, so that the kernel may move them by itself.
    const IS_PLAIN: bool;

    /// The socket beneath.
    fn socket(&self) -> &Socket;
}

/// A target's end.
pub(super) enum Target {
    Plain(Socket),
    /// In a box: the many that are plain need not be as large.
    Tls(Box<client::TlsStream<Socket>>),
}

impl End for Socket {
    const IS_PLAIN: bool = true;

    fn socket(&self) -> &Socket {
        self
    }
}

impl End for server::TlsStream<Socket> {
    const IS_PLAIN: bool = false;

    fn socket(&self) -> &Socket {
        self.get_ref().0
    }
}

impl End for Box<client::TlsStream<Socket>> {
    const IS_PLAIN: bool = false;

    fn socket(&self) -> &Socket {
        self.get_ref().0
    }
}

/// Reads from an end. Over TLS, FIN without a word before it is an end too: what is said on top of it has an end of its
/// own, if it needs one.
pub(super) struct Taking<'a, E>(pub(super) &'a mut E);

impl<E: End> AsyncRead for Taking<'_, E> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut *self.get_mut().0).poll_read(cx, into) {
            Poll::Ready(Err(error)) if !E::IS_PLAIN && error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            read => read,
        }
    }
}
