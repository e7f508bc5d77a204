//! HTTP/2 from clients (RFC 9113): one connection, whose streams each go the way of a request.
//!
//! Frames, HPACK and flow control are the `h2` crate's. A stream is a [`Client`] of its own, so that everything behind a
//! request's head is the same for all versions.

mod request;
mod stream;
mod watch;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::h2::server::{Builder, SendResponse};
use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::stream::Stream;
use self::watch::Watch;
use super::codec::link::{Client, Link, Stopped};
use super::connection::{Connection, Ending};
use crate::runtime::worker::Worker;

/// What a client that speaks HTTP/2 without having asked says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Streams open at once on a connection, as an Application Load Balancer allows.
const CONCURRENT_STREAMS: u32 = 128;
/// Bytes that a client may send ahead on a stream: what one stalled target costs.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes that a client may send ahead on all its streams.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait for the client, for each stream.
const SEND_BUFFER: usize = 128 * 1024;
/// Fields of a head, counted as RFC 9113 section 6.5.2 counts (H2).
const HEADER_LIST: u32 = 64 * 1024;
/// Streams that a client has reset before they were looked at. More end the connection: nothing else stops a client that
/// opens and resets streams as fast as it can write.
const PENDING_RESETS: usize = 20;
/// Streams that were reset for a client's errors.
const ERROR_RESETS: usize = 256;
/// Time for a client to answer a farewell, while nothing is open.
const FAREWELL: Duration = Duration::from_secs(5);
/// Requests on one connection; then it is told to go away (H3).
const REQUESTS: u32 = 10_000;

/// Whether the client speaks HTTP/2 from the start: what it has sent begins with the preface.
pub(super) async fn is_spoken<C: Client>(connection: &mut Connection<C>) -> bool {
    loop {
        let data = connection.client.buffer.data();
        let length = data.len().min(PREFACE.len());
        if data.get(..length) != PREFACE.get(..length) {
            return false;
        }
        if length == PREFACE.len() {
            return true;
        }
        connection.timer.arm(connection.slot.table().plan.header_timeout);
        // a preface that breaks off is for the parser of HTTP/1.1 to judge
        if let Err(Stopped::Ended | Stopped::Failed | Stopped::TimedOut) =
            connection.client.fill(&connection.worker.pool, &mut connection.timer).await
        {
            return false;
        }
    }
}

/// What the connection has to say.
#[expect(clippy::large_enum_variant, reason = "lives no longer than its match")]
enum Event {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    /// It is over, for one reason or another.
    Over(Ending),
    /// The client has broken the rules, and has been told so.
    Evict,
    /// It should end; the streams that are open may finish.
    Leave,
}

/// Serves a client that speaks HTTP/2, until it is gone.
pub(crate) async fn serve<C: Client>(connection: &mut Connection<C>) {
    let (worker, slot, peer) = (connection.worker.clone(), connection.slot.clone(), connection.peer.clone());
    let plan = slot.table().plan.clone();
    let timer = &mut connection.timer;
    let (verdict, sent) = (Cell::new(None), Cell::new(0));
    // shared by the streams that are being answered
    let alive = Rc::new(());
    let watch = Watch::new(PREFACE.len(), worker.clock.tick());
    let io = Early { link: &mut connection.client, worker: &worker, watch, verdict: &verdict, sent: &sent };
    let mut handshake = std::pin::pin!(
        Builder::new()
            .max_concurrent_streams(CONCURRENT_STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(Some(ERROR_RESETS))
            .enable_connect_protocol()
            .handshake::<_, Bytes>(io)
    );
    timer.arm(plan.header_timeout);
    let shaken = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(shaken) => Poll::Ready(shaken.ok()),
        Poll::Pending if timer.poll_expired(cx) || worker.is_stopping() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let Some(mut h2) = shaken.await else { return };
    let (mut requests, mut leaving, mut ending) = (0, false, Ending::Plain);
    let (mut evicted, patience) = (false, plan.idle_timeout.min(FAREWELL));
    timer.arm(plan.idle_timeout);
    loop {
        let event = poll_fn(|cx| {
            let accepted = h2.poll_accept(cx);
            match accepted {
                Poll::Ready(Some(Ok((request, respond)))) => return Poll::Ready(Event::Request(request, respond)),
                // what the client still sends must not turn the farewell into a reset
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Event::Over(Ending::Lingering)),
                Poll::Pending => {}
            }
            if let Some(reason) = verdict.get().filter(|_| !evicted) {
                evicted = true;
                h2.abrupt_shutdown(reason);
                return Poll::Ready(Event::Evict);
            }
            if worker.is_stopping() {
                h2.abrupt_shutdown(Reason::NO_ERROR);
                return Poll::Ready(Event::Leave);
            }
            let goes = worker.is_draining() || slot.is_closing() || worker.clock.tick() >= peer.expires;
            if goes && !leaving {
                return Poll::Ready(Event::Leave);
            }
            while timer.poll_expired(cx) {
                // a stream has deadlines of its own; when it is over, its last bytes may still be on their way
                let moved = sent.replace(0) > 0;
                if Rc::strong_count(&alive) == 1 && !(moved && h2.has_streams()) {
                    // nothing open for the whole time, or a farewell that was not answered: the end
                    return Poll::Ready(if leaving { Event::Over(Ending::Plain) } else { Event::Leave });
                }
                timer.arm(if leaving { patience } else { plan.idle_timeout });
            }
            Poll::Pending
        })
        .await;
        match event {
            Event::Request(request, respond) => {
                timer.arm(plan.idle_timeout);
                requests += 1;
                let (head, body) = request.into_parts();
                let client = Stream::new(body, respond);
                let stream = Connection::for_stream(client, peer.clone(), slot.clone(), worker.clone());
                tokio::task::spawn_local(exchange(stream, head, alive.clone()));
                if requests == REQUESTS {
                    leaving = true;
                    h2.graceful_shutdown();
                }
            }
            Event::Leave if leaving => break,
            Event::Leave => {
                leaving = true;
                timer.arm(patience);
                h2.graceful_shutdown();
            }
            Event::Evict => {
                leaving = true;
                timer.arm(patience);
            }
            Event::Over(how) => {
                ending = how;
                break;
            }
        }
    }
    drop(h2);
    connection.ending = ending;
}

/// One request on a stream of its own.
async fn exchange(mut connection: Box<Connection<Stream>>, head: http::request::Parts, _alive: Rc<()>) {
    let mut scratch = connection.worker.pool.scratch();
    let laid_out = request::lay_out(&mut connection, &head, &mut scratch);
    drop(head);
    super::handle(&mut connection, scratch, laid_out).await;
    if connection.ending == Ending::Reset {
        connection.client.stream.reset_on_close();
    }
}

/// A connection whose first bytes have been read already, and whose frames are watched.
struct Early<'a, C> {
    link: &'a mut Link<C>,
    worker: &'a Rc<Worker>,
    watch: Watch,
    /// Why the connection must end, if it must: nothing is read any more then.
    verdict: &'a Cell<Option<Reason>>,
    /// Bytes that went out since somebody looked.
    sent: &'a Cell<usize>,
}

impl<C> Early<'_, C> {
    fn note(&mut self, sent: usize) {
        self.watch.sent(sent);
        self.sent.set(self.sent.get().saturating_add(sent));
    }
}

impl<C: Client> AsyncRead for Early<'_, C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Early { link, worker, watch, verdict, .. } = &mut *self;
        if verdict.get().is_some() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if link.buffer.is_empty() {
            ready!(Pin::new(&mut link.stream).poll_read(cx, buf))?;
        } else {
            link.buffer.drain(buf.remaining(), &worker.pool, |bytes| buf.put_slice(bytes));
        }
        let read = buf.filled().get(before..).unwrap_or(&[]);
        if let Err((fine, reason)) = watch.received(read, worker.clock.tick()) {
            verdict.set(Some(reason));
            buf.set_filled(before + fine);
            if fine == 0 {
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: Client> AsyncWrite for Early<'_, C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.link.stream).poll_write(cx, bytes))?;
        self.note(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.link.stream).poll_write_vectored(cx, slices))?;
        self.note(sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.link.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link.stream).poll_shutdown(cx)
    }
}
