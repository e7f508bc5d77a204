//! A stream of HTTP/2 as a client: its DATA frames are what is read and written.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream, SendStream};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::l7::codec::link::Client;
use crate::l7::codec::translate;

/// One stream.
pub(super) struct Stream {
    body: RecvStream,
    /// Of the last DATA frame, what has not been read.
    unread: Bytes,
    answer: Answer,
}

/// Where the answer stands.
enum Answer {
    Awaited(SendResponse<Bytes>),
    /// Its head is out. With the bytes that its Content-Length still promises, if it has one: the frame with the last of
    /// them ends the stream.
    Begun(SendStream<Bytes>, Option<u64>),
    Ended,
}

impl Stream {
    pub(super) fn new(body: RecvStream, respond: SendResponse<Bytes>) -> Stream {
        Stream { body, unread: Bytes::new(), answer: Answer::Awaited(respond) }
    }

    /// Whether the request has no body.
    pub(super) fn is_bodiless(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.body.poll_data(cx)) {
                Some(frame) => self.unread = frame.map_err(failed)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let taken = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..taken).unwrap_or(&[]));
        self.unread.advance(taken);
        // the client may send as much again: what was taken is on its way to the target, or will be asked for no more
        self.body.flow_control().release_capacity(taken).map_err(failed)?;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Answer::Begun(send, promised) = &mut self.answer else { return Poll::Ready(Err(closed())) };
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        send.reserve_capacity(bytes.len());
        if send.capacity() == 0 {
            // for as long as it grows from 0 to 0, nothing has changed
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => return Poll::Ready(Err(closed())),
            }
        }
        let length = send.capacity().min(bytes.len());
        if length == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let ends = promised.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(length as u64);
            *left == 0
        });
        let frame = Bytes::copy_from_slice(bytes.get(..length).unwrap_or(bytes));
        send.send_data(frame, ends).map_err(failed)?;
        if ends {
            self.answer = Answer::Ended;
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish())
    }
}

impl Client for Stream {
    const IS_STREAM: bool = true;

    /// A stream whose request has ended is no client that has gone: only a reset says that.
    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let reset = match &mut self.answer {
            Answer::Awaited(respond) => ready!(respond.poll_reset(cx)),
            Answer::Begun(send, _) => ready!(send.poll_reset(cx)),
            Answer::Ended => return Poll::Pending,
        };
        Poll::Ready(Err(reset.map_or_else(failed, |_| closed())))
    }

    fn reset_on_close(&mut self) {
        match &mut self.answer {
            Answer::Awaited(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Begun(send, _) => send.send_reset(Reason::INTERNAL_ERROR),
            Answer::Ended => {}
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>, bodiless: bool) -> io::Result<()> {
        let Answer::Awaited(respond) = &mut self.answer else { return Err(closed()) };
        if out.is_empty() {
            return Ok(());
        }
        let (head, length) = translate::response(out).map_err(|_| io::ErrorKind::InvalidData)?;
        out.drain(..length);
        if head.status().is_informational() {
            return respond.send_informational(head).map_err(failed);
        }
        let promised = head.headers().get(http::header::CONTENT_LENGTH);
        let promised = promised.and_then(|value| value.to_str().ok()?.parse().ok());
        let send = respond.send_response(head, bodiless).map_err(failed)?;
        self.answer = if bodiless { Answer::Ended } else { Answer::Begun(send, promised) };
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.answer, Answer::Ended) {
            Answer::Begun(mut send, _) => send.send_data(Bytes::new(), true).map_err(failed),
            Answer::Awaited(_) | Answer::Ended => Ok(()),
        }
    }
}

fn failed(error: ::h2::Error) -> io::Error {
    match error.is_io() {
        true => error.into_io().unwrap_or_else(closed),
        false => io::Error::other(error),
    }
}

fn closed() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
