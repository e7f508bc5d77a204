//! A client connection: what lives longer than one request.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use headworks_message::{Framing, RequestView, Taken, Tier};
use headworks_model::load_balancer::DesyncMitigation;

use super::codec::link::{Client, Goodbye, Link, Stopped};
use crate::compile::plan::RulePlan;
use crate::guard::Admission;
use crate::listen::arrival::{Arrival, Known, canonical};
use crate::listen::slot::{ListenerSlot, ListenerTable};
use crate::observe::log_line::Context;
use crate::runtime::clock::ticks;
use crate::runtime::deadline::Timer;
use crate::runtime::pool::Scratch;
use crate::runtime::worker::Worker;
use crate::tls::session::Session;
use crate::upstream::announce;

/// What becomes of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It waits for the next request.
    KeepOpen,
    /// It is closed, the client's unread bytes let go of first.
    Close,
}

/// How the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// There is nothing to wait for: FIN.
    Plain,
    /// The client may still be sending: FIN, then its bytes are thrown away for a while, because a reset would take the
    /// answer with it (RFC 9112 section 9.6).
    Lingering,
    /// The answer was cut off: RST.
    Reset,
}

/// Bytes and time spent on a client that still sends while the connection is closed.
const LINGER_BYTES: u64 = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);
/// While draining, how long an idle connection may bring one more request before it is closed.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// A client connection.
pub(crate) struct Connection<C> {
    pub(crate) worker: Rc<Worker>,
    pub(crate) slot: Rc<ListenerSlot>,
    pub(crate) client: Link<C>,
    pub(crate) timer: Timer,
    pub(crate) peer: Rc<Peer>,
    pub(crate) ending: Ending,
    /// A stream of HTTP/2 is none of its own.
    _open: Option<Open>,
}

/// Who is connected: shared by a connection and its streams.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// What is known of the connection besides.
    pub(crate) known: Option<Box<Known>>,
    /// The address as X-Forwarded-For says it.
    pub(crate) forwarded: Box<str>,
    /// The address with its port, as logs say it.
    logged: Box<str>,
    /// What its TLS handshake agreed on, if it had one.
    pub(crate) session: Option<Box<Session>>,
    /// Distinguishes the connection in logs.
    id: u64,
    /// Tick after which the connection is not kept open any more (H1).
    pub(crate) expires: u32,
    /// That it was let in.
    pub(crate) admission: Admission,
}

impl Peer {
    /// Of a connection that begins now; `session` is what its TLS handshake agreed on, if it had one.
    pub(crate) fn new(
        arrival: Arrival,
        session: Option<Box<Session>>,
        slot: &ListenerSlot,
        worker: &Worker,
    ) -> Rc<Peer> {
        let plan = &slot.table().plan;
        let Arrival { peer: address, known, admission } = arrival;
        Rc::new(Peer {
            address,
            known,
            forwarded: forwarded_text(address, plan.xff_client_port),
            logged: address.to_string().into(),
            session,
            id: worker.random.next(),
            expires: worker.clock.tick().saturating_add(ticks(plan.client_keep_alive)),
            admission,
        })
    }
}

impl Peer {
    /// What a target is told of the client before its requests, if it is told (PROXY protocol).
    pub(crate) fn announcement(&self, slot: &ListenerSlot, announces: &announce::Announces) -> Option<Vec<u8>> {
        let Peer { address, known, session, .. } = self;
        let (local, records) = match known {
            Some(known) => (known.local, &*known.records),
            None => (canonical(slot.address), &[][..]),
        };
        let session = session.as_deref();
        let client = announce::Client { address: *address, local, session, server_name: None, records };
        announce::header(announces, Some(&client))
    }
}

/// Counts a connection as open while it lives, so that a worker that drains waits for it.
pub(crate) struct Open {
    slot: Rc<ListenerSlot>,
    worker: Rc<Worker>,
}

impl Open {
    pub(crate) fn new(slot: &Rc<ListenerSlot>, worker: &Rc<Worker>) -> Open {
        worker.connections.set(worker.connections.get() + 1);
        slot.counters().new_connections.add(1);
        slot.counters().active_connections.add(1);
        Open { slot: slot.clone(), worker: worker.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.slot.counters().active_connections.sub(1);
        self.worker.connections.set(self.worker.connections.get().saturating_sub(1));
    }
}

impl<C: Client> Connection<C> {
    /// Takes a connection in; `session` is what its TLS handshake agreed on, if it had one. In a box: a task's arguments
    /// would be kept twice.
    pub(crate) fn open(
        stream: C,
        arrival: Arrival,
        slot: Rc<ListenerSlot>,
        worker: Rc<Worker>,
        session: Option<Box<Session>>,
    ) -> Box<Connection<C>> {
        let peer = Peer::new(arrival, session, &slot, &worker);
        let open = Some(Open::new(&slot, &worker));
        Connection::assemble(stream, peer, slot, worker, open)
    }

    /// A request's way on a connection that carries many at once: whatever is told of a connection, told of one stream.
    pub(crate) fn for_stream(client: C, peer: Rc<Peer>, slot: Rc<ListenerSlot>, worker: Rc<Worker>) -> Box<Self> {
        Connection::assemble(client, peer, slot, worker, None)
    }

    fn assemble(
        client: C,
        peer: Rc<Peer>,
        slot: Rc<ListenerSlot>,
        worker: Rc<Worker>,
        open: Option<Open>,
    ) -> Box<Connection<C>> {
        let timer = Timer::new(&worker);
        Box::new(Connection {
            client: Link::new(client),
            timer,
            peer,
            ending: Ending::Plain,
            slot,
            worker,
            _open: open,
        })
    }

    /// Waits, without holding a buffer, for the first byte of a request. False when the connection is over.
    pub(crate) async fn request_begins(&mut self) -> bool {
        if !self.client.buffer.is_empty() {
            return true;
        }
        let idle_timeout = self.slot.table().plan.idle_timeout;
        self.timer.arm(idle_timeout);
        let mut grace = false;
        poll_fn(|cx| match self.client.poll_fill(&self.worker.pool, cx) {
            Poll::Ready(Ok(n)) => Poll::Ready(n > 0),
            Poll::Ready(Err(_)) => Poll::Ready(false),
            Poll::Pending => {
                if self.is_hurried() && !grace {
                    // one more request may be on its way; it is answered with `Connection: close`
                    grace = true;
                    self.timer.arm(DRAIN_GRACE);
                }
                if self.timer.poll_expired(cx) || self.worker.is_stopping() {
                    return Poll::Ready(false);
                }
                Poll::Pending
            }
        })
        .await
    }

    /// The program stops, or the listener is no longer declared.
    pub(crate) fn is_leaving(&self) -> bool {
        self.worker.is_draining() || self.slot.is_closing()
    }

    /// An idle connection is not waited for as long as ever. Where another process has taken over, it is: whoever closes a
    /// connection that a client is about to use fails the request, and nothing is in the way of its last answer.
    fn is_hurried(&self) -> bool {
        self.worker.is_hurried() || (self.slot.is_closing() && !self.worker.is_draining())
    }

    /// Whether another request may follow the one in `scratch`, as far as the connection has a say.
    pub(crate) fn may_stay_open(&self, scratch: &Scratch) -> bool {
        scratch.request.connection.keep_alive
            && scratch.request.tier != Tier::Severe
            && !self.closes_target_after(scratch)
            && !scratch.request.connection.close
            && !self.is_leaving()
            && self.worker.clock.tick() < self.peer.expires
    }

    /// Both connections are closed behind an ambiguous request, unless the mode only watches (H8).
    pub(crate) fn closes_target_after(&self, scratch: &Scratch) -> bool {
        scratch.request.tier >= Tier::Ambiguous && self.slot.table().plan.desync != DesyncMitigation::Monitor
    }

    /// Finds the rule for the request (stage 6), and counts it.
    pub(crate) fn route<'t>(&self, table: &'t ListenerTable, scratch: &mut Scratch) -> &'t RulePlan {
        let view = RequestView { bytes: self.client.buffer.data(), head: &scratch.request };
        let index = table.plan.table.find(view, self.peer.address.ip());
        scratch.record.rule = index;
        scratch.record.routed = true;
        table.hit(self.worker.index, index);
        table.plan.rule(index)
    }

    /// Throws away the rest of a request's body that is not forwarded, if it is small. False when the connection must
    /// be closed instead.
    pub(crate) async fn discard_body(&mut self, scratch: &Scratch) -> bool {
        const SMALL: u64 = 64 * 1024;
        let framing = scratch.request.framing;
        if framing == Framing::None {
            return true;
        }
        if scratch.request.expects_continue || matches!(framing, Framing::Length(n) if n > SMALL) {
            return false;
        }
        let mut body = headworks_message::Body::new(framing);
        let mut seen = 0;
        let patience = self.slot.table().plan.idle_timeout.min(LINGER);
        self.timer.arm(patience);
        loop {
            let Ok(taken) = body.take(self.client.buffer.data()).map(Taken::total) else { return false };
            self.client.buffer.consume(taken, &self.worker.pool);
            seen += taken as u64;
            if body.is_done() {
                return true;
            }
            if taken > 0 && !self.client.buffer.is_empty() {
                continue;
            }
            if seen > SMALL || self.client.fill(&self.worker.pool, &mut self.timer).await.is_err() {
                return false;
            }
        }
    }

    /// Writes the access log's line and adds to the counters: the request's one event.
    pub(crate) fn finish_record(&mut self, scratch: &mut Scratch) {
        let table = self.slot.table();
        let record = &mut scratch.record;
        if record.status == 0 && record.error.is_none() {
            return;
        }
        // an answer that went out as soon as it was there ended then: one look at the clock less
        let ended = if record.sent_at_once { record.answered.unwrap_or_else(Instant::now) } else { Instant::now() };
        let counters = self.slot.counters();
        counters.requests.add(1);
        counters.received_bytes.add(record.received_bytes);
        counters.sent_bytes.add(record.sent_bytes);
        match record.target_status {
            Some(status) => counters.target_statuses.add(status),
            None => counters.own_statuses.add(record.status),
        }
        if let Some(started) = record.started {
            counters.latency.record(ended.saturating_duration_since(started).as_micros() as u64);
        }
        if let Some(tier) = counters.tiers.get(record.tier as usize) {
            tier.add(1);
        }
        if record.upgraded {
            counters.upgrades.add(1);
        }
        if let Some(compressed) = record.compressed
            && let Some(of_coding) = counters.compressed.get(compressed.coding as usize)
        {
            of_coding.responses.add(1);
            of_coding.content.add(compressed.content);
            of_coding.encoded.add(compressed.encoded);
        }
        let Some(log) = &table.plan.log else { return };
        if log.sample.is_some_and(|below| self.worker.random.next() >= below) {
            return;
        }
        let context = Context {
            load_balancer: &table.plan.label,
            json_names: &table.plan.json_names,
            client: &self.peer.logged,
            scheme: table.plan.scheme_text(),
            session: self.peer.session.as_deref(),
            port: table.plan.port,
            rule: if record.routed { &table.plan.rule(record.rule).label } else { "-" },
            ended,
            connection: self.peer.id,
        };
        let dropped = self.worker.log.borrow_mut().add(log, record, &context);
        counters.access_log_dropped.add(dropped);
    }

    /// Ends the connection as [`Connection::ending`] says.
    pub(crate) async fn close(mut self: Box<Self>) {
        match self.ending {
            Ending::Plain if C::GOODBYE == Goodbye::Said => self.client.shutdown(&mut self.timer, LINGER).await,
            Ending::Plain => {}
            Ending::Reset => self.client.stream.reset_on_close(),
            Ending::Lingering => {
                self.client.shutdown(&mut self.timer, LINGER).await;
                self.timer.arm(LINGER);
                let mut left = LINGER_BYTES;
                while left > 0 {
                    let held = self.client.buffer.data().len();
                    self.client.buffer.consume(held, &self.worker.pool);
                    left = left.saturating_sub(held as u64);
                    if let Err(Stopped::Ended | Stopped::Failed | Stopped::TimedOut) =
                        self.client.fill(&self.worker.pool, &mut self.timer).await
                    {
                        break;
                    }
                }
            }
        }
    }
}

impl<C> Drop for Connection<C> {
    fn drop(&mut self) {
        self.client.buffer.release(&self.worker.pool);
    }
}

/// X-Forwarded-For's way to write an address: brackets around IPv6 only when a port follows (H4).
fn forwarded_text(peer: SocketAddr, with_port: bool) -> Box<str> {
    if with_port { peer.to_string().into() } else { peer.ip().to_string().into() }
}
