//! The step between accept and everything else where a proxy stands before a listener: its header, which says who the client
//! is (PROXY protocol).
//!
//! Whoever may send one must, and nobody else is served: a listener that took both could be told anything by anyone. Bounded
//! in time; until the proxy has spoken, nothing is allocated for it but its task.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use headworks_message::proxy_protocol::{LIMIT, Malformed, Read, read};
use tokio::io::{AsyncRead, ReadBuf};

use super::accept;
use super::arrival::Arrival;
use super::slot::ListenerSlot;
use crate::guard::Admission;
use crate::guard::reason::Reason;
use crate::runtime::deadline::Timer;
use crate::runtime::socket::Socket;
use crate::runtime::worker::Worker;

/// The longest that a header may take; less where a request's head may take less.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection was closed before anything of it was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its peer is none of the proxies.
    Stranger,
    /// It does not begin with a header.
    Missing,
    /// Its header is malformed.
    Malformed,
    /// Its header is longer than any that is read.
    TooLong,
    /// Its header's checksum is wrong.
    Checksum,
    /// Its header did not come in time.
    Timeout,
    /// It ended before its header did.
    Closed,
    /// The program stops.
    Stopping,
}

impl Refusal {
    /// All of them, in the order of the counters.
    pub(crate) const ALL: [Refusal; 8] = [
        Refusal::Stranger,
        Refusal::Missing,
        Refusal::Malformed,
        Refusal::TooLong,
        Refusal::Checksum,
        Refusal::Timeout,
        Refusal::Closed,
        Refusal::Stopping,
    ];

    /// What metrics call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Refusal::Stranger => "stranger",
            Refusal::Missing => "missing",
            Refusal::Malformed => "malformed",
            Refusal::TooLong => "too_long",
            Refusal::Checksum => "checksum",
            Refusal::Timeout => "timeout",
            Refusal::Closed => "closed",
            Refusal::Stopping => "stopping",
        }
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Refusal {
        match malformed {
            Malformed::Missing => Refusal::Missing,
            Malformed::Syntax => Refusal::Malformed,
            Malformed::TooLong => Refusal::TooLong,
            Malformed::Checksum => Refusal::Checksum,
        }
    }
}

/// Counts as a connection of the worker, so that a worker that drains waits for it.
struct Place(Rc<Worker>);

impl Place {
    fn take(worker: &Rc<Worker>) -> Place {
        worker.connections.set(worker.connections.get() + 1);
        Place(worker.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get().saturating_sub(1));
    }
}

/// Reads the header, then has the connection served as that of the client it tells of.
pub(crate) async fn serve(mut socket: Socket, admission: Admission, slot: Rc<ListenerSlot>, worker: Rc<Worker>) {
    let peer = admission.peer;
    let place = Place::take(&worker);
    match arrival(&mut socket, admission, &slot, &worker).await {
        Ok(mut arrival) => match belong(&mut arrival, &slot) {
            Ok(()) => accept::begin(socket, arrival, &slot, &worker),
            Err(reason) => {
                slot.refuse(arrival.peer, reason);
                socket.reset_on_close();
            }
        },
        Err(refusal) => {
            tracing::debug!(%peer, reason = refusal.as_str(), "connection without a PROXY header refused");
            slot.counters().proxy_refusals.add(refusal);
        }
    }
    drop(place);
}

/// Counts the connection as that of the client whom the proxy speaks for, if it does.
fn belong(arrival: &mut Arrival, slot: &ListenerSlot) -> Result<(), Reason> {
    let client = arrival.peer;
    if client == arrival.admission.peer {
        return Ok(());
    }
    slot.table().plan.guard.belong(&mut arrival.admission, client.ip())
}

async fn arrival(
    socket: &mut Socket,
    admission: Admission,
    slot: &ListenerSlot,
    worker: &Rc<Worker>,
) -> Result<Arrival, Refusal> {
    let plan = slot.table().plan.clone();
    let is_proxy = plan.proxied_from.iter().flatten().any(|network| network.contains(&admission.peer.ip()));
    if !is_proxy {
        return Err(Refusal::Stranger);
    }
    let mut timer = Timer::new(worker);
    timer.arm(PATIENCE.min(plan.header_timeout));
    let mut header = Header::default();
    poll_fn(|cx| match header.poll(socket, cx) {
        Poll::Pending if worker.is_stopping() => Poll::Ready(Err(Refusal::Stopping)),
        Poll::Pending if timer.poll_expired(cx) => Poll::Ready(Err(Refusal::Timeout)),
        polled => polled,
    })
    .await?;
    match read(&header.bytes) {
        Ok(Read::Complete(header)) => Ok(match header.ends {
            Some(ends) => Arrival::proxied(admission, ends, header.tlvs),
            // the proxy speaks for itself
            None => Arrival::direct(admission, slot, || socket.local_address()),
        }),
        Ok(Read::Incomplete) => Err(Refusal::Closed),
        Err(malformed) => Err(malformed.into()),
    }
}

/// A header as it arrives.
#[derive(Default)]
struct Header {
    bytes: Vec<u8>,
}

impl Header {
    /// Takes all of the header from the socket, and nothing of what follows it.
    fn poll(&mut self, socket: &mut Socket, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        loop {
            if self.bytes.is_empty() {
                ready!(socket.poll_peek(cx)).map_err(|_| Refusal::Closed)?;
            }
            let held = self.bytes.len();
            self.bytes.resize(LIMIT, 0);
            let seen = socket.poll_peek_into(self.bytes.get_mut(held..).unwrap_or(&mut []), cx);
            let seen = match seen {
                Poll::Ready(Ok(seen)) if seen > 0 => seen,
                Poll::Ready(_) => return Poll::Ready(Err(Refusal::Closed)),
                Poll::Pending => {
                    self.bytes.truncate(held);
                    return Poll::Pending;
                }
            };
            let (wanted, is_whole) = match read(self.bytes.get(..held + seen).unwrap_or(&[])) {
                // all that is there belongs to it
                Ok(Read::Incomplete) => (held + seen, false),
                Ok(Read::Complete(header)) => (header.len, true),
                Err(malformed) => return Poll::Ready(Err(malformed.into())),
            };
            let mut into = ReadBuf::new(self.bytes.get_mut(held..wanted).unwrap_or(&mut []));
            let taken = Pin::new(&mut *socket).poll_read(cx, &mut into);
            let filled = held + into.filled().len();
            self.bytes.truncate(filled);
            ready!(taken).map_err(|_| Refusal::Closed)?;
            if is_whole && filled == wanted {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
