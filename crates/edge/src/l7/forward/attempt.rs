//! One attempt: a connection to a target, the request on it, the response back.
//!
//! Both directions move in one task: whatever is ready is moved, and an answer may overtake the request's body.

mod reply;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use headworks_message::send::Reframe;
use headworks_message::{Framing, Parsed, response};
use headworks_model::target_group::HttpVersion;

use super::prepare::Prepared;
use super::retry;
use crate::error::{Kind, ProxyError};
use crate::l7::codec::flow::{Broken, Flow};
use crate::l7::codec::link::{Client, Link};
use crate::l7::connection::{After, Connection, Peer};
use crate::runtime::pool::Scratch;
use crate::runtime::socket::First;
use crate::upstream::connect::{Connection as TargetConnection, Transport, connect_socket, secure};
use crate::upstream::multiplex::Taken;
use crate::upstream::target::{InFlight, TargetLocal};

/// After the client has said its last, how long an answer may still take before the request counts as abandoned. A client
/// that only half-closes gets its answer; one that is gone does not keep a target busy.
const ABANDONED: Duration = Duration::from_secs(3);

/// The longest that a TLS handshake with a target may take (H1); less where an answer has less time than that.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Whether the connection to the target had carried a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Idle,
    New,
}

/// An attempt that brought no answer.
pub(super) struct Failed {
    pub(super) error: ProxyError,
    /// The target's place in the roster, when one was chosen.
    pub(super) target: Option<usize>,
    pub(super) connection: Which,
}

/// A connection to the chosen target, ready for the request.
pub(super) struct Attempt {
    place: usize,
    target: Rc<TargetLocal>,
    upstream: Link<TargetConnection>,
    /// How targets were spoken to when it was opened.
    epoch: u64,
    which: Which,
    /// Who it was announced for to the target, and who alone may use it then.
    owner: Option<Rc<Peer>>,
    _in_flight: InFlight,
}

/// What the wait for a response head brought.
enum Waited {
    Filled,
    Failed(Kind),
}

/// What has been seen of the client while its answer is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    Quiet,
    /// It has sent more: the next request.
    Spoke,
    /// It has said its last.
    HalfClosed,
}

impl Attempt {
    /// Chooses a target and connects to it.
    ///
    /// # Errors
    /// When there is none, or no connection can be made.
    pub(super) async fn begin<C: Client>(
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        tried: &[usize],
        scratch: &mut Scratch,
    ) -> Result<Attempt, Failed> {
        let settings = &prepared.plan.settings;
        let random = connection.worker.random.next();
        let chosen = prepared.group.choose(settings, prepared.wish, random, tried);
        let (place, target) = chosen.inspect_err(|kind| match kind {
            Kind::Overloaded => prepared.group.counters().overloaded.add(1),
            _ => prepared.group.counters().no_target.add(1),
        })?;
        if scratch.record.chosen.is_none() {
            connection.slot.counters().routed_requests.add(1);
            prepared.group.count_request(connection.worker.clock.now());
        } else {
            target.counters().retries.add(1);
        }
        scratch.record.chosen = Some(target.clone());
        target.counters().requests.add(1);
        let in_flight = InFlight::new(&target);
        let epoch = prepared.group.shared.epoch();
        let owner = settings.proxy_protocol.is_sent().then(|| connection.peer.clone());
        if let Some(idle) = target.take_idle(epoch, owner.as_ref()) {
            let (upstream, which) = (Link::new(idle), Which::Idle);
            return Ok(Attempt { place, target, upstream, epoch, which, owner, _in_flight: in_flight });
        }
        match Self::connect(connection, prepared, &target, epoch).await {
            Ok((stream, which, owner)) => {
                if which == Which::New {
                    target.counters().new_connections.add(1);
                }
                let upstream = Link::new(stream);
                Ok(Attempt { place, target, upstream, epoch, which, owner, _in_flight: in_flight })
            }
            Err(error) => {
                target.counters().connect_failures.add(1);
                if error.kind.is_targets() {
                    target.counters().outcome(false);
                }
                Err(Failed { error, target: Some(place), connection: Which::New })
            }
        }
    }

    /// Connects, says who the connection is for if the group is told, and shakes hands if it speaks TLS.
    async fn connect<C: Client>(
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        target: &TargetLocal,
        epoch: u64,
    ) -> Result<(TargetConnection, Which, Option<Rc<Peer>>), ProxyError> {
        let settings = &prepared.plan.settings;
        let shared = &target.shared;
        let dial = prepared.group.shared.dial();
        let client = dial.client().filter(|_| dial.is_secured);
        // as it is dialled now, which another thread may have changed since the plan was made
        let owner = dial.announces.is_sent().then(|| connection.peer.clone());
        let turn = match settings.version {
            HttpVersion::Http1 => None,
            HttpVersion::Http2 => {
                connection.timer.arm(settings.connect_timeout);
                let waiting = std::pin::pin!(target.multiplexed.take_or_wait(epoch, owner.as_ref()));
                match in_time(waiting, connection, Kind::ConnectFailed, Kind::ConnectTimeout).await? {
                    Taken::Stream(stream) => return Ok((TargetConnection::Stream(stream), Which::Idle, owner.clone())),
                    Taken::Turn(turn) => Some(turn),
                }
            }
        };
        connection.timer.arm(settings.connect_timeout);
        let connecting =
            std::pin::pin!(connect_socket(&shared.endpoint, connection.announcement(dial.announces), First::Here));
        let socket = in_time(connecting, connection, Kind::ConnectFailed, Kind::ConnectTimeout).await?;
        let transport = match client {
            None => Transport::Plain(socket),
            Some(client) => {
                connection.timer.arm(HANDSHAKE.min(settings.response_timeout));
                let shaking = std::pin::pin!(secure(socket, &shared.endpoint, shared.host.as_deref(), client));
                in_time(shaking, connection, Kind::HandshakeFailed, Kind::HandshakeTimeout).await?
            }
        };
        let Some(turn) = turn else { return Ok((TargetConnection::Direct(transport), Which::New, owner)) };
        let beginning = std::pin::pin!(target.multiplexed.begin(transport, epoch, owner.as_ref(), turn));
        let stream = in_time(beginning, connection, Kind::ConnectFailed, Kind::ConnectTimeout).await?;
        Ok((TargetConnection::Stream(Box::new(stream)), Which::New, owner.clone()))
    }

    /// Sends the request, and the response back.
    ///
    /// # Errors
    /// When there was no response, or it broke off; `scratch.record.status` tells whether the client has seen its head.
    pub(super) async fn run<C: Client>(
        mut self,
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        tried: usize,
        scratch: &mut Scratch,
    ) -> Result<After, Failed> {
        let result = self.exchange(connection, prepared, tried, scratch).await;
        self.upstream.buffer.release(&connection.worker.pool);
        match result {
            Ok((after, reuse)) => {
                if reuse {
                    let now = connection.worker.clock.tick();
                    self.target.give_idle(self.upstream.stream, self.epoch, now, self.owner.as_ref());
                }
                Ok(after)
            }
            Err(kind) => {
                if kind.is_targets() && !(self.which == Which::Idle && kind == Kind::ResetBeforeResponse) {
                    self.target.counters().outcome(false);
                }
                Err(Failed { error: kind.into(), target: Some(self.place), connection: self.which })
            }
        }
    }

    async fn exchange<C: Client>(
        &mut self,
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        tried: usize,
        scratch: &mut Scratch,
    ) -> Result<(After, bool), Kind> {
        let framing = scratch.request.framing;
        scratch.record.body_begun |= framing != Framing::None;
        let head_length = scratch.to_target.len();
        let reframe = match (framing, self.upstream.stream.is_stream()) {
            (Framing::UntilClose, false) => Reframe::Chunk,
            (Framing::Chunked, true) => Reframe::Unchunk,
            _ => Reframe::Keep,
        };
        let mut request = Flow::new(framing, reframe);
        let mut watch = Watch::Quiet;
        // one deadline for the whole head: one that drips in is no answer
        connection.timer.arm(prepared.response_timeout);
        loop {
            match self.await_bytes(connection, prepared, &mut request, &mut watch, scratch).await {
                Waited::Filled => {}
                Waited::Failed(kind) => {
                    scratch.record.received_bytes += request.taken;
                    scratch.to_target.truncate(head_length);
                    return Err(kind);
                }
            }
            loop {
                match response::parse(self.upstream.buffer.data(), &mut scratch.response) {
                    Ok(Parsed::Incomplete) => break,
                    Ok(Parsed::Complete) if scratch.response.is_interim() => {
                        self.pass_interim(connection, scratch).await?;
                        connection.timer.arm(prepared.response_timeout);
                        if self.upstream.buffer.is_empty() {
                            break;
                        }
                    }
                    Ok(Parsed::Complete) if retry::of_status(connection, prepared, scratch, tried) => {
                        return Err(Kind::RetriedStatus(scratch.response.status));
                    }
                    Ok(Parsed::Complete) => {
                        let answered = self.answer(connection, prepared, request, watch, scratch).await;
                        return answered.inspect(|_| {
                            let success = scratch.response.status < 500;
                            self.target.counters().outcome(success);
                        });
                    }
                    Err(_) => return Err(Kind::BadResponse),
                }
            }
        }
    }

    /// Moves the request along until the target has said something.
    async fn await_bytes<C: Client>(
        &mut self,
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        request: &mut Flow,
        watch: &mut Watch,
        scratch: &mut Scratch,
    ) -> Waited {
        let worker = connection.worker.clone();
        let pool = &worker.pool;
        let (idle_timeout, minimum_rate) = {
            let plan = &connection.slot.table().plan;
            (plan.idle_timeout, plan.minimum_rate)
        };
        let mut in_head = !self.upstream.buffer.is_empty();
        poll_fn(|cx| {
            if !request.is_done() {
                match request.poll(&mut scratch.to_target, &mut connection.client, &mut self.upstream.stream, pool, cx)
                {
                    Poll::Ready(Ok(())) => {
                        let trailers = connection.client.stream.take_trailers();
                        if self.upstream.stream.finish(trailers).is_err() {
                            return Poll::Ready(Waited::Failed(Kind::ResetBeforeResponse));
                        }
                        // without a body or a new connection, no time has passed that is worth a look at the clock
                        scratch.record.sent = match scratch.record.started {
                            Some(started) if self.which == Which::Idle && request.taken == 0 => Some(started),
                            _ => Some(Instant::now()),
                        };
                        connection.timer.arm(prepared.response_timeout);
                    }
                    Poll::Ready(Err(Broken::Ended | Broken::Source)) => {
                        return Poll::Ready(Waited::Failed(Kind::BodyTruncated));
                    }
                    Poll::Ready(Err(Broken::Malformed)) => return Poll::Ready(Waited::Failed(Kind::BodyMalformed)),
                    // the target may have answered before it hung up: its answer is still worth reading
                    Poll::Ready(Err(Broken::Destination)) => request.abandon(),
                    Poll::Pending if request.moved => {
                        let taken = request.taken;
                        match (request.waits_for_source, minimum_rate) {
                            (true, 0) => connection.timer.arm(idle_timeout),
                            (true, rate) => {
                                if !request.await_client(&mut connection.timer, idle_timeout, rate, taken) {
                                    return Poll::Ready(Waited::Failed(Kind::ClientTimeout));
                                }
                            }
                            (false, _) => {
                                let now = worker.clock.tick();
                                request.await_other(&mut connection.timer, prepared.response_timeout, now, taken);
                            }
                        }
                    }
                    Poll::Pending => {}
                }
            }
            match self.upstream.poll_fill(pool, cx) {
                Poll::Ready(Ok(0) | Err(_)) => {
                    let kind = if in_head { Kind::ResetInHead } else { Kind::ResetBeforeResponse };
                    return Poll::Ready(Waited::Failed(kind));
                }
                Poll::Ready(Ok(_)) => {
                    in_head = true;
                    return Poll::Ready(Waited::Filled);
                }
                Poll::Pending => {}
            }
            if self.target.is_cut() {
                return Poll::Ready(Waited::Failed(Kind::Deregistered));
            }
            if worker.is_stopping() {
                return Poll::Ready(Waited::Failed(Kind::Stopping));
            }
            if request.is_done() && *watch == Watch::Quiet && !client_stays(connection, watch, cx) {
                return Poll::Ready(Waited::Failed(Kind::ClientClosed));
            }
            if connection.timer.poll_expired(cx) {
                let kind = match (*watch, request.waits_for_source && !request.is_done()) {
                    (Watch::HalfClosed, _) => Kind::ClientClosed,
                    (_, true) => Kind::ClientTimeout,
                    _ => prepared.late,
                };
                return Poll::Ready(Waited::Failed(kind));
            }
            Poll::Pending
        })
        .await
    }
}

/// Waits for a step towards a target, as long as the timer allows.
async fn in_time<C: Client, T>(
    mut step: impl Future<Output = io::Result<T>> + Unpin,
    connection: &mut Connection<C>,
    failed: Kind,
    late: Kind,
) -> Result<T, ProxyError> {
    poll_fn(|cx| match Pin::new(&mut step).poll(cx) {
        Poll::Ready(result) => Poll::Ready(result.map_err(|error| ProxyError::new(failed, error))),
        Poll::Pending if connection.worker.is_stopping() => Poll::Ready(Err(Kind::Stopping.into())),
        Poll::Pending if connection.timer.poll_expired(cx) => Poll::Ready(Err(late.into())),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Whether the client is still there. Costs a system call only when it has sent something, or hung up.
fn client_stays<C: Client>(connection: &mut Connection<C>, watch: &mut Watch, cx: &mut Context<'_>) -> bool {
    if !connection.client.buffer.is_empty() {
        *watch = Watch::Spoke;
        return true;
    }
    match connection.client.stream.poll_peek(cx) {
        Poll::Pending => true,
        Poll::Ready(Ok(0)) => {
            *watch = Watch::HalfClosed;
            connection.timer.arm(ABANDONED);
            true
        }
        Poll::Ready(Ok(_)) => {
            *watch = Watch::Spoke;
            true
        }
        Poll::Ready(Err(_)) => false,
    }
}
