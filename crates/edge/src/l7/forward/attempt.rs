//! One attempt: a connection to a target, the request on it, the response back.
//!
//! Both directions move in one task: whatever is ready is moved, and an answer may overtake the request's body.

mod reply;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use headworks_balance::TargetKey;
use headworks_message::{Framing, Parsed, response};

use super::connect::{self, Caller, Patience, Way, Which};
use super::course::Course;
use super::pending;
use super::prepare::Prepared;
use super::retry;
use crate::error::{Kind, ProxyError};
use crate::l7::codec::flow::Broken;
use crate::l7::codec::frames::{is_of_exchange, is_unprocessed};
use crate::l7::codec::link::{Client, Link};
use crate::l7::codec::translate;
use crate::l7::connection::{After, Connection, Peer};
use crate::l7::watch::{Watch, client_stays};
use crate::runtime::pool::Scratch;
use crate::upstream::connect::Connection as TargetConnection;
use crate::upstream::group::Chosen;
use crate::upstream::target::{InFlight, TargetLocal};

/// Interim answers (1xx) that a target may say before its answer: each has the time of a head, and one that says no end of them
/// would hold its request for ever.
const INTERIM: usize = 100;

/// An attempt that brought no answer.
pub(super) struct Failed {
    pub(super) error: ProxyError,
    /// The target, when one was chosen.
    pub(super) target: Option<TargetKey>,
    /// Its connection had carried a request before, and ended before there was an answer, or took no more: that says nothing
    /// about the target.
    pub(super) is_stale: bool,
}

/// A connection to the chosen target, ready for the request.
pub(super) struct Attempt {
    pub(super) target: Rc<TargetLocal>,
    pub(super) upstream: Link<TargetConnection>,
    epoch: u64,
    pub(super) which: Which,
    /// The target has ended this exchange alone: its connection lives on.
    is_reset_alone: bool,
    owner: Option<Rc<Peer>>,
    _in_flight: InFlight,
}

/// What the wait for a response head brought.
enum Waited {
    Filled,
    Failed(Kind),
}

impl Attempt {
    /// Chooses a target and connects to it.
    ///
    /// # Errors
    /// When there is none, or no connection can be made.
    pub(super) async fn begin<C: Client>(
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        course: &mut Course,
        scratch: &mut Scratch,
    ) -> Result<Attempt, Failed> {
        let chosen = pending::place(connection, prepared, course).await?;
        course.begin_attempt(prepared.attempt_timeout);
        let Connection { worker, slot, peer, timer, .. } = connection;
        let caller = Caller { worker, slot, peer };
        prepared.count_attempt(&chosen.target, caller, &scratch.record);
        scratch.record.chosen = Some(chosen.target.clone());
        let patience = Patience { timer, deadlines: course.deadlines };
        Attempt::on(chosen, prepared, caller, patience, course.wanted()).await
    }

    /// Connects to this target.
    ///
    /// # Errors
    /// When no connection can be made.
    pub(super) async fn on(
        chosen: Chosen,
        prepared: &Prepared<'_>,
        caller: Caller<'_>,
        patience: Patience<'_>,
        wanted: Which,
    ) -> Result<Attempt, Failed> {
        let Chosen { target, permit, .. } = chosen;
        target.counters().requests.add(1);
        let in_flight = InFlight::new(&target, permit);
        match connect::to(&target, prepared.group, &prepared.plan.settings, caller, patience, wanted).await {
            Ok(way) => Ok(Attempt::over(way, target, in_flight)),
            Err(error) => {
                target.counters().connect_failures.add(1);
                if error.kind.is_targets() {
                    target.count_outcome(false);
                }
                Err(Failed { error, target: Some(target.shared.key), is_stale: false })
            }
        }
    }

    /// On a connection to this target that is idle, if there is one.
    ///
    /// # Errors
    /// The choice, when there is none.
    pub(super) fn on_idle(chosen: Chosen, prepared: &Prepared<'_>, peer: &Rc<Peer>) -> Result<Attempt, Chosen> {
        let settings = &prepared.plan.settings;
        let Some(way) = connect::idle(&chosen.target, prepared.group, settings, peer) else { return Err(chosen) };
        let Chosen { target, permit, .. } = chosen;
        target.counters().requests.add(1);
        let in_flight = InFlight::new(&target, permit);
        Ok(Attempt::over(way, target, in_flight))
    }

    fn over(way: Way, target: Rc<TargetLocal>, in_flight: InFlight) -> Attempt {
        let Way { stream, which, epoch, owner } = way;
        let upstream = Link::new(stream);
        Attempt { target, upstream, epoch, which, is_reset_alone: false, owner, _in_flight: in_flight }
    }

    /// Sends the request, and the response back.
    ///
    /// # Errors
    /// When there was no response, or it broke off; `scratch.record.status` tells whether the client has seen its head.
    pub(super) async fn run<C: Client>(
        mut self,
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        course: &mut Course,
        scratch: &mut Scratch,
    ) -> Result<After, Failed> {
        let result = self.exchange(connection, prepared, course, scratch).await;
        self.upstream.buffer.release(&connection.worker.pool);
        match result {
            Ok((after, reuse)) => {
                if reuse {
                    let now = connection.worker.clock.tick();
                    self.target.give_idle(self.upstream.stream, self.epoch, now, self.owner.as_ref());
                }
                Ok(after)
            }
            Err(kind) => Err(self.failed(kind)),
        }
    }

    /// What comes of an attempt without an answer: it may count against its target.
    pub(super) fn failed(&self, kind: Kind) -> Failed {
        let has_ended = matches!(kind, Kind::ResetBeforeResponse | Kind::Unprocessed) && !self.is_reset_alone;
        let is_stale = self.which == Which::Idle && has_ended;
        if kind.is_targets() && !is_stale {
            self.target.count_outcome(false);
        }
        if kind.is_late() {
            self.upstream.stream.give_up();
        }
        Failed { error: kind.into(), target: Some(self.target.shared.key), is_stale }
    }

    /// What it is that the target's side has ended, by the error or the end that was read, before there was an answer.
    pub(super) fn ended(&mut self, error: Option<&io::Error>) -> Kind {
        self.is_reset_alone |= error.is_some_and(is_of_exchange);
        if error.is_some_and(is_unprocessed) { Kind::Unprocessed } else { Kind::ResetBeforeResponse }
    }

    async fn exchange<C: Client>(
        &mut self,
        connection: &mut Connection<C>,
        prepared: &Prepared<'_>,
        course: &mut Course,
        scratch: &mut Scratch,
    ) -> Result<(After, bool), Kind> {
        scratch.record.body_begun |= scratch.request.framing != Framing::None;
        let mut watch = Watch::Quiet;
        // one deadline for the whole head: one that drips in is no answer
        course.deadlines.arm(&mut connection.timer, prepared.response_timeout);
        // one that was sent to several targets at once comes with the first bytes of its answer
        let mut has_begun = !self.upstream.buffer.is_empty();
        let mut interim = 0;
        loop {
            if !std::mem::take(&mut has_begun) {
                match self.await_bytes(connection, prepared, course, &mut watch, scratch).await {
                    Waited::Filled => {}
                    Waited::Failed(kind) => return Err(kind),
                }
            }
            loop {
                match response::parse(self.upstream.buffer.data(), &mut scratch.response) {
                    Ok(Parsed::Incomplete) => break,
                    Ok(Parsed::Complete) if scratch.response.is_interim() => {
                        interim += 1;
                        if interim > INTERIM {
                            return Err(Kind::BadResponse);
                        }
                        self.pass_interim(connection, scratch).await?;
                        let request = &course.request;
                        if scratch.response.status == 100 && request.waits_for_source && !request.is_done() {
                            course.deadlines.rest();
                        }
                        course.deadlines.arm(&mut connection.timer, prepared.response_timeout);
                        if self.upstream.buffer.is_empty() {
                            break;
                        }
                    }
                    Ok(Parsed::Complete) if retry::of_status(connection, prepared, course, scratch) => {
                        self.target.counters().statuses.add(scratch.response.status);
                        return Err(Kind::RetriedStatus(scratch.response.status));
                    }
                    Ok(Parsed::Complete) => {
                        course.deadlines.end_attempt();
                        let answered = self.answer(connection, prepared, course, watch, scratch).await;
                        return answered.inspect(|_| {
                            let is_fault = scratch.record.grpc_status.is_some_and(translate::is_servers_fault);
                            self.target.count_outcome(scratch.response.status < 500 && !is_fault);
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
        course: &mut Course,
        watch: &mut Watch,
        scratch: &mut Scratch,
    ) -> Waited {
        let worker = connection.worker.clone();
        let pool = &worker.pool;
        let (idle_timeout, demand) = {
            let plan = &connection.slot.table().plan;
            (plan.idle_timeout, plan.demand)
        };
        let mut in_head = !self.upstream.buffer.is_empty();
        let is_first = scratch.record.retries == 0;
        let Course { request, trailers, deadlines, .. } = course;
        poll_fn(|cx| {
            if !request.is_done() {
                match request.poll(&mut scratch.to_target, &mut connection.client, &mut self.upstream.stream, pool, cx)
                {
                    Poll::Ready(Ok(())) => {
                        if let Some(read) = connection.client.stream.take_trailers() {
                            *trailers = Some(read);
                        }
                        // where that fails, what is read below tells why, or is an answer that came before
                        let _ = self.upstream.stream.finish(trailers.clone());
                        // without a body or a new connection, no time has passed that is worth a look at the clock
                        scratch.record.sent = match scratch.record.started {
                            Some(started) if self.which == Which::Idle && request.taken == 0 && is_first => {
                                Some(started)
                            }
                            _ => Some(Instant::now()),
                        };
                        deadlines.go_on();
                        deadlines.arm(&mut connection.timer, prepared.response_timeout);
                    }
                    Poll::Ready(Err(Broken::Ended | Broken::Source)) => {
                        return Poll::Ready(Waited::Failed(Kind::BodyTruncated));
                    }
                    Poll::Ready(Err(Broken::Malformed)) => return Poll::Ready(Waited::Failed(Kind::BodyMalformed)),
                    // the target may have answered before it hung up: its answer is still worth reading
                    Poll::Ready(Err(Broken::Destination)) => {
                        request.abandon();
                        deadlines.go_on();
                    }
                    Poll::Pending if request.moved => {
                        let taken = request.taken;
                        // who waits to be told to go on waits for the target
                        let waits_for_leave = scratch.request.expects_continue && taken == 0;
                        if request.waits_for_source && !waits_for_leave {
                            deadlines.rest();
                        } else {
                            deadlines.go_on();
                        }
                        let is_paced =
                            demand.rate > 0 && !waits_for_leave && (!demand.is_usual || request.has_length());
                        match (request.waits_for_source, is_paced) {
                            (true, false) => deadlines.arm(&mut connection.timer, idle_timeout),
                            (true, true) => {
                                let now = worker.clock.tick();
                                match request.patience(idle_timeout, demand, taken, now) {
                                    Some(wait) => deadlines.arm(&mut connection.timer, wait),
                                    None => return Poll::Ready(Waited::Failed(Kind::ClientTimeout)),
                                }
                            }
                            (false, _) => {
                                request.rest(taken, worker.clock.tick());
                                deadlines.arm(&mut connection.timer, prepared.response_timeout);
                            }
                        }
                    }
                    Poll::Pending => {}
                }
            }
            match self.upstream.poll_fill(pool, cx) {
                Poll::Ready(ended @ (Ok(0) | Err(_))) => {
                    let kind = match self.ended(ended.as_ref().err()) {
                        Kind::ResetBeforeResponse if in_head => Kind::ResetInHead,
                        kind => kind,
                    };
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
                let late = match (*watch, request.waits_for_source && !request.is_done()) {
                    (Watch::HalfClosed, _) => Kind::ClientClosed,
                    (_, true) => Kind::ClientTimeout,
                    _ => prepared.late,
                };
                return Poll::Ready(Waited::Failed(deadlines.passed(late)));
            }
            Poll::Pending
        })
        .await
    }
}
