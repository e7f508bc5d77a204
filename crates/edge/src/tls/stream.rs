//! A client's connection over TLS, as the rest of the data plane sees it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncBufRead;
use tokio_rustls::server::TlsStream;

use crate::l7::codec::link::{Client, Goodbye};
use crate::runtime::socket::Socket;

impl Client for TlsStream<Socket> {
    /// RFC 8446 section 6.1: the end is said, so that it cannot be forged.
    const GOODBYE: Goodbye = Goodbye::Said;

    /// What is seen this way has been decrypted and waits in the session's own buffer, which is bounded.
    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(self).poll_fill_buf(cx)) {
            Ok(seen) => Poll::Ready(Ok(seen.len())),
            // FIN without a word before it
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn reset_on_close(&mut self) {
        self.get_ref().0.reset_on_close();
    }

    fn unacknowledged(&self) -> usize {
        self.get_ref().0.unacknowledged()
    }
}
