//! A stream with what was read ahead of it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer::Buffer;
use crate::runtime::deadline::Timer;
use crate::runtime::pool::Pool;
use crate::runtime::socket::Socket;

/// A client's connection: TCP, or whatever is terminated on top of it.
pub(crate) trait Client: AsyncRead + AsyncWrite + Unpin {
    /// Whether an orderly end has to be said.
    const GOODBYE: Goodbye;

    /// Looks at what can be read without taking it: 0 when the client has said its last.
    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Makes the coming close a reset, so that the client cannot take a cut-off answer for a whole one.
    fn reset_on_close(&mut self);

    /// Bytes that were written and that the client has not acknowledged; 0 where that cannot be told.
    fn unacknowledged(&self) -> usize {
        0
    }

    /// How many bytes its client has taken by now, when `sent` bytes of an answer were written. A stream says it of its whole
    /// connection: whose turn it is among streams is not the client's doing.
    fn taken(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.unacknowledged() as u64)
    }

    /// Whether it carries one exchange only: it is a stream among others on a connection.
    const IS_STREAM: bool = false;

    /// The head of an answer stands at the start of `out`, as HTTP/1.1 text, perhaps with the first bytes of its body. Those
    /// who speak otherwise send it their way and take it out. `bodiless`: nothing follows the head.
    ///
    /// # Errors
    /// When it cannot be sent.
    fn begin(&mut self, _out: &mut Vec<u8>, _bodiless: bool) -> io::Result<()> {
        Ok(())
    }

    /// What followed the request's body and may be sent on, once.
    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    /// The answer has been given whole. `trailers` follow it where there is a way to say them.
    ///
    /// # Errors
    /// When its end cannot be sent.
    fn finish(&mut self, _trailers: Option<HeaderMap>) -> io::Result<()> {
        Ok(())
    }
}

/// How a connection that is over ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// Closing it says it.
    Closing,
    /// By words of its own, before it is closed.
    Said,
}

impl Client for Socket {
    const GOODBYE: Goodbye = Goodbye::Closing;

    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Socket::poll_peek(self, cx)
    }

    fn reset_on_close(&mut self) {
        Socket::reset_on_close(self);
    }

    fn unacknowledged(&self) -> usize {
        Socket::unacknowledged(self)
    }
}

/// A stream and its read buffer.
pub(crate) struct Link<S> {
    pub(crate) stream: S,
    pub(crate) buffer: Buffer,
}

/// How a wait ended that did not bring bytes.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The stream's end.
    Ended,
    /// The deadline.
    TimedOut,
    /// The socket.
    Failed,
}

impl<S> Link<S> {
    pub(crate) fn new(stream: S) -> Link<S> {
        Link { stream, buffer: Buffer::default() }
    }
}

impl<S: AsyncRead + Unpin> Link<S> {
    #[inline]
    pub(crate) fn poll_fill(&mut self, pool: &Pool, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.poll_fill(&mut self.stream, pool, cx)
    }

    /// Reads more bytes, as long as the timer allows. Whoever sends slowly holds no more memory than that meanwhile.
    ///
    /// # Errors
    /// When none come.
    pub(crate) async fn fill(&mut self, pool: &Pool, timer: &mut Timer) -> Result<(), Stopped> {
        poll_fn(|cx| match self.poll_fill(pool, cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(Stopped::Ended)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Stopped::Failed)),
            Poll::Pending if timer.poll_expired(cx) => Poll::Ready(Err(Stopped::TimedOut)),
            Poll::Pending => {
                self.buffer.settle(pool);
                Poll::Pending
            }
        })
        .await
    }
}

impl<S: AsyncWrite + Unpin> Link<S> {
    /// Sends all of `bytes`; the timer starts anew with each piece that goes out.
    ///
    /// # Errors
    /// When they cannot be sent.
    pub(crate) async fn send(&mut self, bytes: &[u8], timer: &mut Timer, patience: Duration) -> Result<(), Stopped> {
        let mut at = 0;
        timer.arm(patience);
        poll_fn(|cx| {
            while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
                match Pin::new(&mut self.stream).poll_write(cx, rest) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Stopped::Failed)),
                    Poll::Ready(Ok(n)) => {
                        at += n;
                        timer.arm(patience);
                    }
                    Poll::Pending if timer.poll_expired(cx) => return Poll::Ready(Err(Stopped::TimedOut)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
            Poll::Ready(flushed.map_err(|_| Stopped::Failed))
        })
        .await
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn shutdown(&mut self, timer: &mut Timer, patience: Duration) {
        timer.arm(patience);
        poll_fn(|cx| match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending if !timer.poll_expired(cx) => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }
}
