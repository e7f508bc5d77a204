//! A request that is sent to another target as well when it has no answer yet: the first answer is taken, the others are
//! called off, and nothing of it counts against those that were called off.
//!
//! Only requests without a body that change nothing come here; who may be asked, and how often, is as for retries.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use headworks_balance::Hedge;
use tokio::io::AsyncWrite;

use super::attempt::{Attempt, Failed, Watch, client_stays};
use super::connect::{Caller, Patience};
use super::course::Course;
use super::deadline::Deadlines;
use super::pending;
use super::prepare::Prepared;
use crate::error::Kind;
use crate::l7::codec::flow::Flow;
use crate::l7::codec::frames::is_unprocessed;
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::observe::record::{Outcome, Record};
use crate::runtime::deadline::Timer;
use crate::runtime::pool::Scratch;
use crate::upstream::group::Chosen;
use crate::upstream::target::TargetLocal;

/// One of those that are asked.
struct Racer<'r> {
    place: usize,
    target: Rc<TargetLocal>,
    /// It was asked because another had not answered.
    is_hedge: bool,
    began: Instant,
    asking: Pin<Box<dyn Future<Output = Result<Asked, Failed>> + 'r>>,
}

/// An attempt whose answer has begun.
struct Asked {
    attempt: Attempt,
    /// When the request had been sent.
    at: Instant,
}

/// What a wait for racers brought.
enum Event {
    /// It is time for another.
    Due,
    Answered(usize, Asked),
    Failed(usize, Failed),
    Stopped(Kind),
}

/// Asks a target, and others while there is no answer: the attempt whose answer has begun, the request being gone.
///
/// # Errors
/// When none of those who were asked answers.
pub(super) async fn race<C: Client>(
    hedge: Hedge,
    connection: &mut Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &mut Scratch,
) -> Result<Attempt, Failed> {
    let (worker, slot, peer) = (connection.worker.clone(), connection.slot.clone(), connection.peer.clone());
    let caller = Caller { worker: &worker, slot: &slot, peer: &peer };
    let first = pending::place(connection, prepared, course).await?;
    prepared.count_attempt(&first.target, caller, &scratch.record);
    let head = std::mem::take(&mut scratch.to_target);
    let deadlines = course.deadlines;
    let enter = |chosen: Chosen, is_hedge| Racer {
        place: chosen.place,
        target: chosen.target.clone(),
        is_hedge,
        began: Instant::now(),
        asking: Box::pin(ask(chosen, prepared, caller, deadlines, &head)),
    };
    let mut racers = vec![enter(first, false)];
    let mut beside = 0;
    let mut watch = Watch::Quiet;
    let event = loop {
        let due = hedge.wait(beside, prepared.group.shared.p95());
        match next(&mut racers, due, connection, &mut watch).await {
            Event::Due => match prepared.another(caller, course, &racers) {
                Some(chosen) => {
                    beside += 1;
                    scratch.record.hedges += 1;
                    racers.push(enter(chosen, true));
                }
                None => beside = hedge.attempts,
            },
            Event::Failed(place, failed) if racers.len() > 1 => {
                let racer = racers.swap_remove(place);
                course.tried.push(racer.place);
                racer.note(Outcome::of(failed.error.kind), course, &mut scratch.record);
            }
            event => break event,
        }
    };
    let result = match event {
        Event::Answered(place, asked) => {
            let winner = racers.swap_remove(place);
            racers.iter().for_each(|loser| loser.note(Outcome::Cancelled, course, &mut scratch.record));
            if winner.is_hedge {
                prepared.group.counters().hedges_won.add(1);
            }
            course.request = Flow::gone(head.len() as u64);
            course.began = Some(winner.began);
            scratch.record.chosen = Some(winner.target);
            scratch.record.sent = Some(asked.at);
            Ok(asked.attempt)
        }
        Event::Failed(_, failed) => {
            let is_sent = !failed.error.kind.is_of_connecting();
            if is_sent {
                course.request = Flow::gone(head.len() as u64);
            }
            Err(failed)
        }
        Event::Stopped(kind) => Err(Failed { target: racers.first().map(|racer| racer.place), ..Failed::from(kind) }),
        Event::Due => Err(Kind::TargetTimeout.into()),
    };
    if result.is_err()
        && let Some(last) = racers.first()
    {
        course.began = Some(last.began);
        scratch.record.chosen = Some(last.target.clone());
    }
    drop(racers);
    scratch.to_target = head;
    result
}

impl Racer<'_> {
    /// What the log will say of one that did not win.
    fn note(&self, outcome: Outcome, course: &mut Course, record: &mut Record) {
        record.chosen = Some(self.target.clone());
        course.began = Some(self.began);
        course.note(outcome, record);
    }
}

impl Prepared<'_> {
    /// One more target to ask beside these, if there is one and the budget pays for it.
    fn another(&self, caller: Caller<'_>, course: &Course, racers: &[Racer<'_>]) -> Option<Chosen> {
        let asked: Vec<usize> = course.tried.iter().copied().chain(racers.iter().map(|racer| racer.place)).collect();
        let has_more = self.group.published().roster.eligible() > asked.len();
        if !has_more || !self.spend(caller.worker) {
            return None;
        }
        let chosen = self.choose(caller.worker, &asked).ok()?;
        self.group.counters().hedges.add(1);
        Some(chosen)
    }
}

/// Waits until a racer is through, another is due, or nobody waits for any of them.
async fn next<C: Client>(
    racers: &mut [Racer<'_>],
    due: Option<Duration>,
    connection: &mut Connection<C>,
    watch: &mut Watch,
) -> Event {
    let mut due = due.map(|due| Box::pin(tokio::time::sleep(due)));
    poll_fn(|cx| {
        for (place, racer) in racers.iter_mut().enumerate() {
            match racer.asking.as_mut().poll(cx) {
                Poll::Ready(Ok(asked)) => return Poll::Ready(Event::Answered(place, asked)),
                Poll::Ready(Err(failed)) => return Poll::Ready(Event::Failed(place, failed)),
                Poll::Pending => {}
            }
        }
        if *watch == Watch::Quiet && !client_stays(connection, watch, cx) {
            return Poll::Ready(Event::Stopped(Kind::ClientClosed));
        }
        if *watch == Watch::HalfClosed && connection.timer.poll_expired(cx) {
            return Poll::Ready(Event::Stopped(Kind::ClientClosed));
        }
        if due.as_mut().is_some_and(|due| due.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Event::Due);
        }
        Poll::Pending
    })
    .await
}

/// Sends the request to this target, and waits until an answer begins.
async fn ask(
    chosen: Chosen,
    prepared: &Prepared<'_>,
    caller: Caller<'_>,
    deadlines: Deadlines,
    head: &[u8],
) -> Result<Asked, Failed> {
    let mut timer = Timer::new(caller.worker);
    let patience = Patience { timer: &mut timer, deadlines };
    let mut attempt = Attempt::on(chosen, prepared, caller, patience).await?;
    deadlines.arm(&mut timer, prepared.response_timeout);
    let (mut gone, mut at) = (0, Instant::now());
    let begun = poll_fn(|cx| {
        while let Some(rest) = head.get(gone..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut attempt.upstream.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(n @ 1..)) => gone += n,
                // it may have answered before it hung up
                Poll::Ready(_) => gone = head.len(),
                Poll::Pending => break,
            }
            if gone == head.len() {
                at = Instant::now();
                let _ = Pin::new(&mut attempt.upstream.stream).poll_flush(cx);
                if attempt.upstream.stream.finish(None).is_err() {
                    return Poll::Ready(Err(Kind::ResetBeforeResponse));
                }
            }
        }
        match attempt.upstream.poll_fill(&caller.worker.pool, cx) {
            Poll::Ready(Ok(1..)) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) if is_unprocessed(&error) => return Poll::Ready(Err(Kind::Unprocessed)),
            Poll::Ready(_) => return Poll::Ready(Err(Kind::ResetBeforeResponse)),
            Poll::Pending => {}
        }
        if attempt.target.is_cut() {
            return Poll::Ready(Err(Kind::Deregistered));
        }
        if caller.worker.is_stopping() {
            return Poll::Ready(Err(Kind::Stopping));
        }
        if timer.poll_expired(cx) {
            return Poll::Ready(Err(deadlines.passed(prepared.late)));
        }
        Poll::Pending
    })
    .await;
    match begun {
        Ok(()) => Ok(Asked { attempt, at }),
        Err(kind) => Err(attempt.failed(kind)),
    }
}
