//! A copy of a request for another group: sent by a task of its own, and never waited for: of a request without a body beside it, of
//! another when that is through. What cannot be sent right away is dropped and counted; what is answered is thrown away.

mod other_version;

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use headworks_message::{Body, Parsed, ResponseHead, response};
use tokio::io::AsyncWrite;

use super::connect::{self, Caller, Patience, Way, Which};
use super::course::Course;
use super::deadline::{Deadline, Deadlines};
use super::prepare::Prepared;
use crate::error::Kind;
use crate::l7::codec::link::{Client, Link};
use crate::l7::connection::{Connection, Peer};
use crate::listen::slot::{ListenerSlot, ListenerTable, Tables};
use crate::runtime::deadline::Timer;
use crate::runtime::pool::Scratch;
use crate::runtime::worker::Worker;
use crate::upstream::group::{Chosen, Wish};
use crate::upstream::target::InFlight;

/// Copies under way from one worker to one group, and bytes of them.
const UNDER_WAY: u32 = 128;
const BYTES: usize = 16 * 1024 * 1024;
/// The longest that a copy takes, or what its group gives an answer if that is less.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read to keep the connection.
const READ: usize = 1024 * 1024;

/// A copy on its way.
struct Copy {
    worker: Rc<Worker>,
    slot: Rc<ListenerSlot>,
    peer: Rc<Peer>,
    tables: Rc<Tables>,
    group: usize,
    bytes: Vec<u8>,
    hash: u64,
    is_head_request: bool,
}

/// Sends a copy of the request, if there is to be one and all of the request is there. Until [`Course::mirrored`], it may be tried
/// again when there is more of it.
pub(super) fn send<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &Scratch,
) {
    let Some(mirror) = prepared.mirror.filter(|_| !course.mirrored) else { return };
    let Some((plan, group)) = table.tables.group(mirror.group) else { return };
    let is_small = course.request.taken == 0 || scratch.to_target.len() <= mirror.buffer;
    if !is_small || !course.request.stands_whole() {
        return;
    }
    course.mirrored = true;
    let version = plan.settings.version;
    let bytes = if version == prepared.plan.settings.version {
        Cow::Borrowed(scratch.to_target.as_slice())
    } else {
        match other_version::reword(&scratch.to_target, version) {
            Some(reworded) => reworded,
            None => return,
        }
    };
    if !group.begin_copy(bytes.len(), UNDER_WAY, BYTES) {
        group.counters().mirror_dropped.add(1);
        return;
    }
    let copy = Copy {
        worker: connection.worker.clone(),
        slot: connection.slot.clone(),
        peer: connection.peer.clone(),
        tables: table.tables.clone(),
        group: mirror.group,
        bytes: bytes.into_owned(),
        hash: prepared.wish.hash,
        is_head_request: scratch.record.is_head_request,
    };
    tokio::task::spawn_local(copy.run());
}

impl Copy {
    async fn run(self) {
        let Some((_, group)) = self.tables.group(self.group) else { return };
        let group = group.clone();
        group.count_request(self.worker.clock.now());
        group.counters().mirrored.add(1);
        if self.exchange().await.is_err() {
            group.counters().mirror_failed.add(1);
        }
        group.end_copy(self.bytes.len());
    }

    /// Sends it, and lets go of the answer.
    async fn exchange(&self) -> Result<(), Kind> {
        let (plan, group) = self.tables.group(self.group).ok_or(Kind::NoTarget)?;
        let settings = &plan.settings;
        let wish = Wish { hash: self.hash, ..Wish::default() };
        let chosen = group.choose(settings, wish, self.worker.random.next(), &[])?;
        let Chosen { target, permit, .. } = chosen;
        target.counters().requests.add(1);
        let _in_flight = InFlight::new(&target, permit);
        let at = Instant::now() + PATIENCE.min(settings.response_timeout);
        let deadlines = Deadlines::of(Some(Deadline { at, passed: Kind::TargetTimeout }));
        let mut timer = Timer::new(&self.worker);
        let caller = Caller { worker: &self.worker, slot: &self.slot, peer: &self.peer };
        let patience = Patience { timer: &mut timer, deadlines };
        let way =
            connect::to(&target, group, settings, caller, patience, Which::Idle).await.map_err(|error| error.kind);
        let answered = match way {
            Ok(way) => self.ask(way, &mut timer, deadlines, &target.counters().latency).await,
            Err(kind) => Err(kind),
        };
        target.count_outcome(answered.as_ref().is_ok_and(|(status, _)| *status < 500));
        let (status, kept) = answered?;
        target.counters().statuses.add(status);
        if let Some(Way { stream, epoch, owner, .. }) = kept {
            target.give_idle(stream, epoch, self.worker.clock.tick(), owner.as_ref());
        }
        Ok(())
    }

    /// The status of the answer, and the connection if it can be used again.
    async fn ask(
        &self,
        way: Way,
        timer: &mut Timer,
        deadlines: Deadlines,
        latency: &crate::observe::histogram::Histogram,
    ) -> Result<(u16, Option<Way>), Kind> {
        let Way { stream, which, epoch, owner } = way;
        let pool = &self.worker.pool;
        let mut upstream = Link::new(stream);
        let mut head = ResponseHead::default();
        let (mut gone, mut read) = (0, 0);
        let mut body: Option<Body> = None;
        let asked = Instant::now();
        deadlines.arm(timer, PATIENCE);
        let ended = poll_fn(|cx| {
            while let Some(rest) = self.bytes.get(gone..).filter(|rest| !rest.is_empty()) {
                match Pin::new(&mut upstream.stream).poll_write(cx, rest) {
                    Poll::Ready(Ok(n @ 1..)) => gone += n,
                    Poll::Ready(_) => return Poll::Ready(Err(Kind::ResetBeforeResponse)),
                    Poll::Pending => break,
                }
                if gone == self.bytes.len() {
                    let _ = Pin::new(&mut upstream.stream).poll_flush(cx);
                    upstream.stream.finish(None).map_err(|_| Kind::ResetBeforeResponse)?;
                }
            }
            loop {
                while body.is_none() && !upstream.buffer.is_empty() {
                    match response::parse(upstream.buffer.data(), &mut head) {
                        Ok(Parsed::Incomplete) => break,
                        Ok(Parsed::Complete) => {
                            upstream.buffer.consume(head.len, pool);
                            if !head.is_interim() {
                                latency.record(asked.elapsed().as_micros() as u64);
                                body = Some(Body::new(head.framing(self.is_head_request)));
                            }
                        }
                        Err(_) => return Poll::Ready(Err(Kind::BadResponse)),
                    }
                }
                if let Some(body) = &mut body {
                    while !body.is_done() && !upstream.buffer.is_empty() {
                        let taken = body.take(upstream.buffer.data()).map_err(|_| Kind::BadResponse)?.total();
                        if taken == 0 {
                            break;
                        }
                        read += taken;
                        upstream.buffer.consume(taken, pool);
                    }
                    if body.is_done() || read > READ {
                        return Poll::Ready(Ok(body.is_done()));
                    }
                }
                match upstream.poll_fill(pool, cx) {
                    Poll::Ready(Ok(1..)) => {}
                    // a body until the end of its connection, or one that breaks off: its head has been had
                    Poll::Ready(_) if body.is_some() => return Poll::Ready(Ok(false)),
                    Poll::Ready(_) => return Poll::Ready(Err(Kind::ResetBeforeResponse)),
                    Poll::Pending => break,
                }
            }
            if self.worker.is_draining() || timer.poll_expired(cx) {
                return Poll::Ready(Err(Kind::TargetTimeout));
            }
            Poll::Pending
        })
        .await;
        let is_reusable = gone == self.bytes.len() && head.connection.keep_alive && upstream.buffer.is_empty();
        upstream.buffer.release(pool);
        let is_whole = ended?;
        let stream = upstream.stream;
        let keeps = is_whole && is_reusable && !stream.is_stream();
        Ok((head.status, keeps.then_some(Way { stream, which, epoch, owner })))
    }
}
