//! A stream of HTTP/2 as a client.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use headworks_message::h2::Code;
use headworks_message::number::padded;
use headworks_message::{Parsed, hpack, response};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::Session;
use super::state::{Break, State};
use crate::l7::codec::frames::closed;
use crate::l7::codec::link::{Client, Goodbye};
use crate::l7::codec::translate;
use crate::l7::multiplexed::Answer;

/// One stream, whose request is being answered.
pub(super) struct Stream {
    session: Rc<Session>,
    pub(super) state: Rc<State>,
    answer: Answer,
    /// Bytes that a Content-Length still promises: the frame with the last of them ends the stream.
    promised: Option<u64>,
}

impl Stream {
    pub(super) fn new(session: Rc<Session>, state: Rc<State>) -> Stream {
        Stream { session, state, answer: Answer::Awaited, promised: None }
    }

    /// The answer has been given, or cannot be: the stream ends. `cut`: what was said of it is not to be taken for all.
    pub(super) fn conclude(&mut self, cut: bool) {
        let is_complete = self.answer == Answer::Complete;
        if std::mem::replace(&mut self.answer, Answer::Over) == Answer::Over {
            return;
        }
        let (session, state) = (&self.session, &self.state);
        if !state.is_broken() {
            session.futile_requests.earn(1);
            let is_ended = state.content.borrow().is_ended();
            match (is_complete, is_ended) {
                (true, true) => session.finished(state),
                // RFC 9113 section 8.1: the rest of the request is not wanted
                (true, false) if !cut => session.reset(state.id, Code::NoError),
                _ => session.reset(state.id, Code::InternalError),
            }
        }
        session.answered();
    }

    fn broken(&self, cx: &Context<'_>) -> io::Result<()> {
        match self.state.broken(cx) {
            None => Ok(()),
            Some(Break::Client) => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Break::Malformed) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.conclude(true);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.broken(cx)?;
        let read = self.state.content.borrow_mut().read(buf);
        let Some(length) = read else { return Poll::Pending };
        if length > 0 {
            // as much again may be sent: what was taken is on its way, and no more is asked for before it has gone
            self.session.release(length as u32);
            self.session.release_stream(&self.state);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.answer != Answer::Begun {
            return Poll::Ready(Err(closed()));
        }
        self.broken(cx)?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let room = ready!(self.session.poll_room(&self.state, cx));
        let piece = bytes.get(..room).unwrap_or(bytes);
        let ends = self.promised.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(piece.len() as u64);
            *left == 0
        });
        self.session.put_data(&self.state, piece, ends);
        if ends {
            self.answer = Answer::Complete;
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.broken(cx)?;
        self.session.poll_settled(&self.state, cx).map(Ok)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.finish(None))
    }
}

impl Client for Stream {
    const IS_STREAM: bool = true;
    /// Its last frame says it.
    const GOODBYE: Goodbye = Goodbye::Closing;

    /// A stream whose request has ended is no client that has gone: only a reset says that.
    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self.broken(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn reset_on_close(&mut self) {
        self.conclude(true);
    }

    fn taken(&self, _: u64) -> u64 {
        self.session.carried()
    }

    fn begin(&mut self, out: &mut Vec<u8>, bodiless: bool) -> io::Result<()> {
        if self.answer != Answer::Awaited || self.state.is_broken() {
            return Err(closed());
        }
        let mut translation = self.session.worker.pool.translation.borrow_mut();
        let head = &mut translation.0;
        let Ok(Parsed::Complete) = response::parse(out, head) else { return Err(io::ErrorKind::InvalidData.into()) };
        let status = translate::status_on_stream(head);
        let size = translate::section_size(head);
        self.session.put_headers(&self.state, bodiless, size, |block| {
            hpack::put(block, b":status", &padded::<3>(status.into()));
            translate::each_field(head, out, |name, value| hpack::put(block, name, value));
        })?;
        out.drain(..head.len);
        if status >= 200 {
            self.answer = if bodiless { Answer::Complete } else { Answer::Begun };
            self.promised = head.content_length.filter(|_| head.status >= 200);
        }
        Ok(())
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.state.content.borrow_mut().take_trailers()
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        if self.answer != Answer::Begun {
            return Ok(());
        }
        self.answer = Answer::Complete;
        match trailers {
            Some(trailers) => self.session.put_headers(&self.state, true, 0, |block| {
                trailers.iter().for_each(|(name, value)| hpack::put(block, name.as_str().as_bytes(), value.as_bytes()));
            }),
            None => {
                self.session.put_data(&self.state, &[], true);
                Ok(())
            }
        }
    }
}
