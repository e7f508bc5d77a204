//! The two directions of a stream of HTTP/2 to a target as bytes: its DATA frames are what is read and written.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use headworks_message::trailers::{Fate, fate};
use http::HeaderMap;
use tokio::io::ReadBuf;

/// What comes in on a stream.
pub(crate) struct Incoming {
    body: RecvStream,
    /// Of the last DATA frame, what has not been read.
    unread: Bytes,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl Incoming {
    pub(crate) fn new(body: RecvStream) -> Incoming {
        Incoming { body, unread: Bytes::new(), trailers: None, ended: false }
    }

    /// Whether nothing is to come, not even trailers.
    pub(crate) fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    /// Reads content; nothing at the end of the stream, whose trailers have come by then.
    ///
    /// # Errors
    /// When the stream was reset, or its connection is gone.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.body.poll_data(cx)) {
                Some(frame) => self.unread = frame.map_err(failed)?,
                None => {
                    self.trailers = ready!(self.body.poll_trailers(cx)).map_err(failed)?;
                    self.ended = true;
                }
            }
        }
        let taken = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..taken).unwrap_or(&[]));
        self.unread.advance(taken);
        // as much again may be sent: what was taken is on its way, and no more is asked for before it has gone
        self.body.flow_control().release_capacity(taken).map_err(failed)?;
        Poll::Ready(Ok(()))
    }

    /// What followed the body and may be sent on, once. What means something in a head only is left out, as it is of chunked
    /// bodies (RFC 9110 section 6.5.1).
    pub(crate) fn take_trailers(&mut self) -> Option<HeaderMap> {
        let mut trailers = self.trailers.take()?;
        let barred: Vec<_> =
            trailers.keys().filter(|name| fate(name.as_str().as_bytes()) != Fate::Pass).cloned().collect();
        barred.iter().for_each(|name| drop(trailers.remove(name)));
        Some(trailers).filter(|trailers| !trailers.is_empty())
    }
}

/// What goes out on a stream, behind its head.
pub(crate) struct Outgoing {
    /// None when the stream has been ended from here.
    send: Option<SendStream<Bytes>>,
    /// Bytes that a Content-Length still promises: the frame with the last of them ends the stream.
    promised: Option<u64>,
}

impl Outgoing {
    /// The head is out; with it the stream has ended, unless there is something to follow.
    pub(crate) fn new(send: SendStream<Bytes>, promised: Option<u64>, ended: bool) -> Outgoing {
        Outgoing { send: if ended { None } else { Some(send) }, promised }
    }

    /// Sends as much of `bytes` as flow control lets through.
    ///
    /// # Errors
    /// When the stream takes no more.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(send) = &mut self.send else { return Poll::Ready(Err(closed())) };
        send.reserve_capacity(bytes.len());
        while send.capacity() == 0 && !bytes.is_empty() {
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => return Poll::Ready(Err(closed())),
            }
        }
        let piece = bytes.get(..send.capacity()).unwrap_or(bytes);
        let ends = self.promised.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(piece.len() as u64);
            *left == 0
        });
        send.send_data(Bytes::copy_from_slice(piece), ends).map_err(failed)?;
        if ends {
            self.send = None;
        }
        Poll::Ready(Ok(piece.len()))
    }

    /// Ends the stream, if it has not ended yet.
    ///
    /// # Errors
    /// When it is gone already.
    pub(crate) fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        match (self.send.take(), trailers) {
            (Some(mut send), Some(trailers)) => send.send_trailers(trailers).map_err(failed),
            (Some(mut send), None) => send.send_data(Bytes::new(), true).map_err(failed),
            (None, _) => Ok(()),
        }
    }
}

pub(crate) fn failed(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(closed);
    }
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    // a stream fails of a GOAWAY only when it is behind the last one that the GOAWAY counts as seen
    if error.is_remote() && (is_refused || error.is_go_away()) {
        return io::Error::other(Unprocessed { alone: is_refused });
    }
    io::Error::other(error)
}

/// What was asked has not been looked at: it may be asked again, whatever it is (RFC 9113 section 8.7).
#[derive(Debug)]
struct Unprocessed {
    /// The connection goes on without it.
    alone: bool,
}

impl fmt::Display for Unprocessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not processed")
    }
}

impl std::error::Error for Unprocessed {}

/// Nothing more can be asked on the connection.
pub(crate) fn unprocessed() -> io::Error {
    io::Error::other(Unprocessed { alone: false })
}

/// Whether an error says that what was asked has not been looked at.
pub(crate) fn is_unprocessed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Unprocessed>())
}

/// Whether an exchange failed of what the target said, not of the end of the connection beneath.
pub(crate) fn is_of_exchange(error: &io::Error) -> bool {
    let is_alone = |inner: &Unprocessed| inner.alone;
    error.get_ref().is_some_and(|inner| inner.is::<h2::Error>() || inner.downcast_ref().is_some_and(is_alone))
}

pub(crate) fn closed() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
