//! A stream of HTTP/3 as a client.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use headworks_message::h3::{self, Code};
use headworks_message::number::padded;
use headworks_message::{Parsed, qpack, response};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Shared;
use super::frames::Fault;
use super::outbox::Outbox;
use super::request::Incoming;
use crate::l7::codec::frames::closed;
use crate::l7::codec::link::{Client, Goodbye};
use crate::l7::codec::translate;
use crate::l7::multiplexed::Answer;

/// One stream.
pub(super) struct Stream {
    shared: Rc<Shared>,
    pub(super) request: Incoming,
    answer: Outbox,
    stage: Answer,
    /// Bytes that the current DATA frame still promises.
    promised: usize,
    /// Resolves when the client does not want the answer any more; made when somebody waits for that.
    stopped: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// The client has broken off what it began.
    given_up: bool,
}

impl Stream {
    pub(super) fn new(shared: Rc<Shared>, request: Incoming, answer: quinn::SendStream) -> Stream {
        let answer = Outbox::new(answer);
        Stream { shared, request, answer, stage: Answer::Awaited, promised: 0, stopped: None, given_up: false }
    }

    /// Waits until what there is of an answer is on its way, and wants no more of the client.
    pub(super) fn poll_conclude(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let flushed = ready!(self.answer.poll_flush(cx));
        if flushed.is_ok() && self.stage == Answer::Complete {
            self.end();
        }
        // a stream that is let go of ends, as if what there is of an answer were all of it
        self.cut_off();
        self.request.stop(Code::NoError);
        Poll::Ready(())
    }

    /// Resolves when the client has received all of the answer, or wants no more of it.
    pub(super) fn arrived(&self) -> impl Future<Output = ()> + use<> {
        let stopped = self.answer.stream.stopped();
        async { drop(stopped.await) }
    }

    /// Whether the client has broken off what it began.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Gives the stream up in mid-answer.
    pub(super) fn cut_off(&mut self) {
        if self.stage != Answer::Over {
            self.give_up(Code::InternalError);
        }
    }

    /// Answers a request that is none.
    pub(super) fn refuse(&mut self, fault: Fault) {
        drop(self.broken(fault));
    }

    fn give_up(&mut self, code: Code) {
        self.stage = Answer::Over;
        self.answer.reset(code);
        self.request.stop(code);
    }

    fn end(&mut self) {
        self.stage = Answer::Over;
        // fails only where the client has given it up
        let _ = self.answer.stream.finish();
    }

    /// What a fault of the request means for whoever reads it. The code is said here, where it is known.
    fn broken(&mut self, fault: Fault) -> io::Error {
        self.given_up = true;
        match fault {
            Fault::Stream(code) => {
                self.give_up(code);
                io::ErrorKind::InvalidData.into()
            }
            Fault::Connection(code) => {
                self.shared.evict(code);
                io::ErrorKind::ConnectionAborted.into()
            }
            Fault::Gone => {
                // RFC 9114 section 4.1: what was not asked to its end is not answered
                self.give_up(Code::RequestIncomplete);
                io::ErrorKind::ConnectionReset.into()
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(self.request.poll_read(cx, buf));
        Poll::Ready(read.map_err(|fault| self.broken(fault)))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.stage != Answer::Begun {
            return Poll::Ready(Err(closed()));
        }
        if self.promised == 0 && !bytes.is_empty() {
            self.promised = bytes.len();
            self.answer.put(|out| h3::put_data_head(out, bytes.len()))?;
        }
        ready!(self.answer.poll_flush(cx))?;
        let piece = bytes.get(..self.promised).unwrap_or(bytes);
        let sent = ready!(Pin::new(&mut self.answer.stream).poll_write(cx, piece))?;
        self.promised -= sent;
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.answer.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish(None)?;
        self.answer.poll_flush(cx)
    }
}

impl Client for Stream {
    const IS_STREAM: bool = true;
    /// Its end says it.
    const GOODBYE: Goodbye = Goodbye::Closing;

    /// A stream whose request has ended is no client that has gone: only one that does not want the answer is.
    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.given_up {
            let mut stopped = match self.stopped.take() {
                Some(stopped) => stopped,
                None => Box::pin(self.arrived()),
            };
            if stopped.as_mut().poll(cx).is_pending() {
                self.stopped = Some(stopped);
                return Poll::Pending;
            }
            self.given_up = true;
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn reset_on_close(&mut self) {
        self.cut_off();
    }

    fn taken(&self, _: u64) -> u64 {
        self.shared.quic.stats().udp_tx.bytes
    }

    fn begin(&mut self, out: &mut Vec<u8>, bodiless: bool) -> io::Result<()> {
        if self.stage != Answer::Awaited {
            return Err(closed());
        }
        let mut translation = self.shared.worker.pool.translation.borrow_mut();
        let (head, section) = &mut *translation;
        let Ok(Parsed::Complete) = response::parse(out, head) else { return Err(io::ErrorKind::InvalidData.into()) };
        let status = translate::status_on_stream(head);
        // RFC 9114 section 4.2.2: what is too long for the client is not sent
        if translate::section_size(head) as u64 > self.shared.section_limit.get() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        section.clear();
        qpack::begin(section);
        qpack::put(section, b":status", &padded::<3>(status.into()));
        translate::each_field(head, out, |name, value| qpack::put(section, name, value));
        out.drain(..head.len);
        self.answer.put(|out| h3::put_headers(out, section))?;
        if status >= 200 {
            self.stage = if bodiless { Answer::Complete } else { Answer::Begun };
        }
        Ok(())
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.request.take_trailers()
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        if self.stage != Answer::Begun {
            return Ok(());
        }
        if let Some(trailers) = trailers {
            let mut section = Vec::new();
            qpack::begin(&mut section);
            trailers
                .iter()
                .for_each(|(name, value)| qpack::put(&mut section, name.as_str().as_bytes(), value.as_bytes()));
            self.answer.put(|out| h3::put_headers(out, &section))?;
        }
        self.stage = Answer::Complete;
        Ok(())
    }
}
