//! HTTP/2 to targets: many exchanges over few connections, each exchange looking like a connection of HTTP/1.1.
//!
//! What is written to a [`Stream`] begins with the request's head as HTTP/1.1 text, and what is read from it begins with
//! the response's: which fields a message has is decided in one place for all versions.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use headworks_message::Framing;
use http::uri::Scheme;
use http::{HeaderMap, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Transport;
use super::target::is_of;
use crate::l7::codec::frames::{Incoming, Outgoing, closed, failed, unprocessed};
use crate::l7::codec::translate;
use crate::l7::connection::Peer;

/// Exchanges on one connection, when the target allows more: beyond it another connection shares the load, and one lost
/// connection takes fewer along.
const STREAMS: usize = 100;
/// Bytes that a target may send ahead on a stream, and on all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of a request that wait for the target, for each stream.
const SEND_BUFFER: usize = 128 * 1024;
/// Fields of a response head (H2).
const HEADER_LIST: u32 = 32 * 1024;

/// One worker's connections to a target that speaks HTTP/2.
#[derive(Default)]
pub(crate) struct Multiplexed {
    connections: RefCell<Vec<Shared>>,
    /// Held while a connection is made, so that many requests at once wait for one instead of making one each.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection and who uses it.
struct Shared {
    send: SendRequest<Bytes>,
    scheme: Scheme,
    state: Rc<State>,
    /// How targets were spoken to when it was opened.
    epoch: u64,
    /// Who it was announced for to the target: nobody else's requests may go over it.
    owner: Option<Weak<Peer>>,
}

/// What a wait for a stream brought.
pub(crate) enum Taken<'a> {
    Stream(Box<Stream>),
    Turn(Turn<'a>),
}

/// The turn to make a connection; others wait meanwhile.
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "held, not read")] tokio::sync::MutexGuard<'a, ()>);

#[derive(Default)]
struct State {
    streams: Cell<usize>,
    /// Moves whenever something is read from the target, on whichever stream.
    heard: Cell<u64>,
    /// Nothing new can be asked on it.
    closed: Cell<bool>,
    /// Sweeps that have found it without a stream.
    idle_sweeps: Cell<u32>,
}

impl Multiplexed {
    /// A stream on a connection of this epoch that was announced for `owner`, or without one for nobody; or the turn to make
    /// another.
    ///
    /// # Errors
    /// None; the type is that of the other steps towards a target.
    pub(crate) async fn take_or_wait(&self, epoch: u64, owner: Option<&Rc<Peer>>) -> io::Result<Taken<'_>> {
        if let Some(stream) = self.take(epoch, owner) {
            return Ok(Taken::Stream(Box::new(stream)));
        }
        let turn = self.connecting.lock().await;
        let stream = self.take(epoch, owner).map(Box::new);
        Ok(stream.map_or(Taken::Turn(Turn(turn)), Taken::Stream))
    }

    /// A stream on a connection that has just been opened, and that others share from here on.
    ///
    /// # Errors
    /// When the target does not speak HTTP/2.
    pub(crate) async fn begin(
        &self,
        transport: Transport,
        epoch: u64,
        owner: Option<&Rc<Peer>>,
        _turn: Turn<'_>,
    ) -> io::Result<Stream> {
        let scheme = transport.scheme();
        let state = Rc::new(State::default());
        let transport = Heard { transport, state: state.clone() };
        let (send, connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEADER_LIST)
            .handshake::<_, Bytes>(transport)
            .await
            .map_err(failed)?;
        let watched = state.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a target ended");
            }
            watched.closed.set(true);
        });
        let shared = Shared { send, scheme, state, epoch, owner: owner.map(Rc::downgrade) };
        let stream = shared.stream();
        self.connections.borrow_mut().push(shared);
        Ok(stream)
    }

    fn take(&self, epoch: u64, owner: Option<&Rc<Peer>>) -> Option<Stream> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|shared| !shared.state.closed.get() && shared.epoch == epoch);
        let has_room =
            |shared: &&Shared| shared.state.streams.get() < STREAMS.min(shared.send.current_max_send_streams().max(1));
        let mut fit = connections.iter().filter(|shared| is_of(shared.owner.as_ref(), owner));
        fit.find(has_room).map(Shared::stream)
    }

    /// Lets go of connections that have carried nothing in `kept` sweeps, or were announced for clients that are gone. Those
    /// that carry something end with it.
    pub(crate) fn sweep(&self, kept: u32) {
        self.connections.borrow_mut().retain(|shared| {
            let state = &shared.state;
            state.idle_sweeps.set(if state.streams.get() > 0 { 0 } else { state.idle_sweeps.get() + 1 });
            let is_owned = shared.owner.as_ref().is_none_or(|owner| owner.strong_count() > 0);
            is_owned && !state.closed.get() && state.idle_sweeps.get() <= kept
        });
    }

    /// No request will come any more.
    pub(crate) fn retire(&self) {
        self.connections.borrow_mut().clear();
    }
}

impl Shared {
    fn stream(&self) -> Stream {
        self.state.streams.set(self.state.streams.get() + 1);
        self.state.idle_sweeps.set(0);
        let phase = Phase::Asking(self.send.clone(), self.scheme.clone());
        let heard = self.state.heard.get();
        Stream { phase, head: Vec::new(), read: 0, heard, lease: Lease(self.state.clone()) }
    }
}

/// A transport of which it is known whether the other side still says anything.
struct Heard {
    transport: Transport,
    state: Rc<State>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.transport).poll_read(cx, buf);
        if read.is_ready() {
            self.state.heard.set(self.state.heard.get().wrapping_add(1));
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }
}

/// Counts a stream as open while it lives.
struct Lease(Rc<State>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
    }
}

/// One exchange.
pub(crate) struct Stream {
    phase: Phase,
    /// The response's head as HTTP/1.1 text, and how much of it has been read.
    head: Vec<u8>,
    read: usize,
    /// What [`State::heard`] was when it began.
    heard: u64,
    lease: Lease,
}

/// Where an exchange stands.
enum Phase {
    /// Nothing has been sent.
    Asking(SendRequest<Bytes>, Scheme),
    /// The request's head is out.
    Asked(ResponseFuture, Outgoing),
    /// The response's head has come.
    Answered(Incoming, Outgoing),
    Failed,
    /// Nothing could be asked on the connection.
    Refused,
}

impl Stream {
    /// Its answer is too late. A target that has said nothing at all meanwhile, on any stream, may be gone without a word,
    /// which the kernel takes a quarter of an hour to find out: nothing new is asked on that connection.
    pub(super) fn give_up(&self) {
        if self.lease.0.heard.get() == self.heard {
            self.lease.0.closed.set(true);
        }
    }

    /// The first write is the request's head, whole.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.phase {
            Phase::Asking(send, _) => {
                let ready = ready!(send.poll_ready(cx));
                Poll::Ready(ready.map_err(failed).and_then(|()| self.ask(bytes)).inspect_err(|error| self.fail(error)))
            }
            Phase::Asked(_, request) | Phase::Answered(_, request) => request.poll_write(cx, bytes),
            Phase::Failed => Poll::Ready(Err(closed())),
            Phase::Refused => Poll::Ready(Err(unprocessed())),
        }
    }

    fn ask(&mut self, text: &[u8]) -> io::Result<usize> {
        let Phase::Asking(send, scheme) = &mut self.phase else { return Err(closed()) };
        let (head, length, framing) =
            translate::request(text, scheme.clone()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let bodiless = matches!(framing, Framing::None | Framing::Length(0));
        let promised = if let Framing::Length(n) = framing { Some(n) } else { None };
        let (response, stream) = send.send_request(head, bodiless).map_err(failed)?;
        self.phase = Phase::Asked(response, Outgoing::new(stream, promised, bodiless));
        Ok(length)
    }

    /// Nothing new is asked on a connection that has refused something; the streams on it go on.
    fn fail(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidInput {
            self.phase = Phase::Failed;
            return;
        }
        self.lease.0.closed.set(true);
        self.phase = Phase::Refused;
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(rest) = self.head.get(self.read..).filter(|rest| !rest.is_empty()) {
                let taken = rest.len().min(buf.remaining());
                buf.put_slice(rest.get(..taken).unwrap_or(&[]));
                self.read += taken;
                return Poll::Ready(Ok(()));
            }
            match &mut self.phase {
                Phase::Asking(..) => return Poll::Pending,
                Phase::Asked(response, _) => {
                    let lease = &self.lease;
                    let lost = |error: h2::Error| {
                        // it may still carry others to their end
                        lease.0.closed.set(lease.0.closed.get() || error.is_go_away());
                        failed(error)
                    };
                    if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
                        let interim = interim.map_err(lost)?;
                        self.say(interim, false);
                        continue;
                    }
                    let (head, body) = ready!(Pin::new(response).poll(cx)).map_err(lost)?.into_parts();
                    let body = Incoming::new(body);
                    self.say(Response::from_parts(head, ()), body.is_over());
                    self.phase = match std::mem::replace(&mut self.phase, Phase::Failed) {
                        Phase::Asked(_, request) => Phase::Answered(body, request),
                        other => other,
                    };
                }
                Phase::Answered(body, _) => return body.poll_read(cx, buf),
                Phase::Failed => return Poll::Ready(Err(closed())),
                Phase::Refused => return Poll::Ready(Err(unprocessed())),
            }
        }
    }

    /// Makes the head's text the next thing that is read.
    fn say(&mut self, head: Response<()>, over: bool) {
        self.head.clear();
        self.read = 0;
        translate::put_response(&head.into_parts().0, over, &mut self.head);
    }

    /// The request has been given whole, but for `trailers`.
    ///
    /// # Errors
    /// When its end cannot be said.
    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) -> io::Result<()> {
        match &mut self.phase {
            Phase::Asked(_, request) | Phase::Answered(_, request) => request.finish(trailers),
            Phase::Asking(..) | Phase::Failed | Phase::Refused => Ok(()),
        }
    }

    /// What followed the response's body.
    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match &mut self.phase {
            Phase::Answered(body, _) => body.take_trailers(),
            _ => None,
        }
    }
}
