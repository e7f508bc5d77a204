//! A stream of HTTP/2 as a client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::h2::server::SendResponse;
use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::header::SEC_WEBSOCKET_ACCEPT;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::l7::codec::frames::{Incoming, Outgoing, closed, failed, reset};
use crate::l7::codec::link::{Client, Goodbye};
use crate::l7::codec::translate;

/// One stream.
pub(super) struct Stream {
    request: Incoming,
    answer: Answer,
}

/// Where the answer stands.
enum Answer {
    Awaited(SendResponse<Bytes>),
    Begun(Outgoing),
}

impl Stream {
    pub(super) fn new(body: RecvStream, respond: SendResponse<Bytes>) -> Stream {
        Stream { request: Incoming::new(body), answer: Answer::Awaited(respond) }
    }

    /// Whether the request has no body.
    pub(super) fn is_bodiless(&self) -> bool {
        self.request.is_over()
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.request.poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.answer {
            Answer::Begun(answer) => answer.poll_write(cx, bytes),
            Answer::Awaited(_) => Poll::Ready(Err(closed())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
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
        let error = match &mut self.answer {
            Answer::Awaited(respond) => reset(ready!(respond.poll_reset(cx))),
            Answer::Begun(answer) => ready!(answer.poll_reset(cx)),
        };
        Poll::Ready(Err(error))
    }

    fn reset_on_close(&mut self) {
        match &mut self.answer {
            Answer::Awaited(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Begun(answer) => answer.reset(Reason::INTERNAL_ERROR),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>, bodiless: bool) -> io::Result<()> {
        let Answer::Awaited(respond) = &mut self.answer else { return Err(closed()) };
        let (mut head, length) = translate::response(out).map_err(|_| io::ErrorKind::InvalidData)?;
        out.drain(..length);
        if head.status() == StatusCode::SWITCHING_PROTOCOLS {
            // RFC 8441 section 5: the stream carries the other protocol from here on
            *head.status_mut() = StatusCode::OK;
            head.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        }
        if head.status().is_informational() {
            return respond.send_informational(head).map_err(failed);
        }
        let promised = translate::content_length(head.headers());
        let send = respond.send_response(head, bodiless).map_err(failed)?;
        self.answer = Answer::Begun(Outgoing::new(send, promised, bodiless));
        Ok(())
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.request.take_trailers()
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        match &mut self.answer {
            Answer::Begun(answer) => answer.finish(trailers),
            Answer::Awaited(_) => Ok(()),
        }
    }
}
