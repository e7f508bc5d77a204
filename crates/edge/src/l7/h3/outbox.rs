//! What is on its way to the client on a stream: bytes that must go out whole, and before everything else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use headworks_message::h3::Code;
use quinn::SendStream;

use super::frames::number;

/// A stream that is written to.
pub(super) struct Outbox {
    pub(super) stream: SendStream,
    /// Frame heads, field sections; never content, so that it stays short.
    waiting: Vec<u8>,
    /// Of those, the bytes that have gone.
    gone: usize,
}

impl Outbox {
    pub(super) fn new(stream: SendStream) -> Outbox {
        Outbox { stream, waiting: Vec::new(), gone: 0 }
    }

    /// Puts bytes in line, and sends what can be sent.
    ///
    /// # Errors
    /// When the stream takes no more.
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.waiting);
        match self.poll_flush(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent,
            // whoever writes next, or ends the stream, waits for it
            Poll::Pending => Ok(()),
        }
    }

    /// Sends all that is in line.
    ///
    /// # Errors
    /// When the stream takes no more.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.waiting.get(self.gone..).filter(|rest| !rest.is_empty()) {
            self.gone += ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
        }
        self.waiting.clear();
        self.gone = 0;
        Poll::Ready(Ok(()))
    }

    /// Cuts the stream off.
    pub(super) fn reset(&mut self, code: Code) {
        let _ = self.stream.reset(number(code));
    }
}
