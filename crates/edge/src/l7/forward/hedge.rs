//! A request that is sent to another target as well when it has no answer yet: the first answer is taken, the others are
//! called off, and nothing of it counts against those that were called off.
//!
//! Only requests without a body that change nothing come here; who may be asked, and how often, is as for retries.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use headworks_balance::{Hedge, TargetKey};
use tokio::io::AsyncWrite;

use super::attempt::{Attempt, Failed};
use super::connect::{Caller, Patience, Which};
use super::course::Course;
use super::deadline::Deadlines;
use super::pending;
use super::prepare::Prepared;
use crate::error::Kind;
use crate::l7::codec::flow::Flow;
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::l7::watch::{Watch, client_stays};
use crate::observe::record::{Outcome, Record};
use crate::runtime::deadline::Timer;
use crate::runtime::pool::Scratch;
use crate::runtime::worker::Worker;
use crate::upstream::group::Chosen;
use crate::upstream::target::TargetLocal;

/// One of those that are asked.
struct Racer<'r> {
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
    deadlines: Deadlines,
}

/// What a wait for racers brought.
enum Event {
    /// It is time for another.
    Due,
    Answered(usize, Asked),
    Failed(usize, Failed),
    Stopped(Kind),
}

/// What a race begins with.
enum Start {
    /// A target that has not been asked yet.
    Chosen(Chosen),
    /// One that has been, with so many bytes of the head, and has not answered in time.
    Asked(Attempt, usize),
}

/// Asks a target, and others while there is no answer: the attempt whose answer has begun, the request being gone.
///
/// Most answers are in time. On an idle connection, they are waited for as any answer is; only when one is late, or there is
/// no such connection, a race is made of it.
///
/// # Errors
/// When none of those who were asked answers.
pub(super) async fn begin<C: Client>(
    hedge: Hedge,
    connection: &mut Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &mut Scratch,
) -> Result<Attempt, Failed> {
    let chosen = pending::place(connection, prepared, course).await?;
    course.begin_attempt(prepared.attempt_timeout);
    let Connection { worker, slot, peer, .. } = &*connection;
    prepared.count_attempt(&chosen.target, Caller { worker, slot, peer }, &scratch.record);
    scratch.record.chosen = Some(chosen.target.clone());
    let idle = match course.wanted() {
        Which::Idle => Attempt::on_idle(chosen, prepared, peer),
        Which::New => Err(chosen),
    };
    let mut attempt = match idle {
        Ok(attempt) => attempt,
        Err(chosen) => {
            return Box::pin(race(hedge, Start::Chosen(chosen), connection, prepared, course, scratch)).await;
        }
    };
    let due = hedge.wait(0, prepared.group.shared.p95());
    course.deadlines.arm(&mut connection.timer, due.unwrap_or(prepared.response_timeout));
    let mut watch = Watch::Quiet;
    let mut gone = 0;
    let answered = poll_fn(|cx| {
        match attempt.poll_answer(&scratch.to_target, &mut gone, &connection.worker, cx) {
            Poll::Ready(answered) => return Poll::Ready(answered.map(|()| true)),
            Poll::Pending => {}
        }
        if watch == Watch::Quiet && !client_stays(connection, &mut watch, cx) {
            return Poll::Ready(Err(Kind::ClientClosed));
        }
        match connection.timer.poll_expired(cx) {
            false => Poll::Pending,
            true if watch == Watch::HalfClosed => Poll::Ready(Err(Kind::ClientClosed)),
            true => match course.deadlines.passed(prepared.late) {
                late if late == prepared.late && due.is_some() => Poll::Ready(Ok(false)),
                late => Poll::Ready(Err(late)),
            },
        }
    })
    .await;
    match answered {
        Ok(false) => Box::pin(race(hedge, Start::Asked(attempt, gone), connection, prepared, course, scratch)).await,
        answered => {
            course.request = Flow::gone(gone as u64);
            scratch.record.sent = scratch.record.started.filter(|_| scratch.record.retries == 0);
            answered.map(|_| ()).map_err(|kind| attempt.failed(kind))?;
            Ok(attempt)
        }
    }
}

async fn race<C: Client>(
    hedge: Hedge,
    start: Start,
    connection: &mut Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &mut Scratch,
) -> Result<Attempt, Failed> {
    let (worker, slot, peer) = (connection.worker.clone(), connection.slot.clone(), connection.peer.clone());
    let caller = Caller { worker: &worker, slot: &slot, peer: &peer };
    let head = std::mem::take(&mut scratch.to_target);
    let deadlines = course.deadlines;
    let wanted = course.wanted();
    let enter = |chosen: Chosen, is_hedge| {
        let mut deadlines = deadlines;
        // each has its own time
        if is_hedge {
            deadlines.begin_attempt(prepared.attempt_timeout);
        }
        Racer {
            target: chosen.target.clone(),
            is_hedge,
            began: Instant::now(),
            asking: Box::pin(ask(chosen, prepared, caller, deadlines, wanted, &head)),
        }
    };
    let mut is_due = matches!(start, Start::Asked(..));
    let mut racers = vec![match start {
        Start::Chosen(chosen) => enter(chosen, false),
        Start::Asked(attempt, gone) => {
            let began = course.began.or(scratch.record.started).unwrap_or_else(Instant::now);
            Racer {
                target: attempt.target.clone(),
                is_hedge: false,
                began,
                asking: Box::pin(answer(attempt, prepared, caller, deadlines, (&head, gone), began)),
            }
        }
    }];
    let mut beside = 0;
    let mut watch = Watch::Quiet;
    let event = loop {
        let due = hedge.wait(beside, prepared.group.shared.p95());
        let event = match std::mem::take(&mut is_due) {
            true => Event::Due,
            false => next(&mut racers, due, connection, &mut watch).await,
        };
        match event {
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
                course.count_failed(racer.target.shared.key, failed.error.kind);
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
            course.deadlines = asked.deadlines;
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
        Event::Stopped(kind) => {
            Err(Failed { target: racers.first().map(|racer| racer.target.shared.key), ..Failed::from(kind) })
        }
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
        let now: Vec<TargetKey> = racers.iter().map(|racer| racer.target.shared.key).collect();
        if !self.has_others(&course.tried, &now) || !self.spend(caller.worker) {
            return None;
        }
        let chosen = self.choose_beside(caller.worker, &course.tried, &now).ok()?;
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
    wanted: Which,
    head: &[u8],
) -> Result<Asked, Failed> {
    let mut timer = Timer::new(caller.worker);
    let patience = Patience { timer: &mut timer, deadlines };
    let attempt = Attempt::on(chosen, prepared, caller, patience, wanted).await?;
    answer(attempt, prepared, caller, deadlines, (head, 0), Instant::now()).await
}

/// Sends what is not gone yet of the request, and waits until an answer begins.
async fn answer(
    mut attempt: Attempt,
    prepared: &Prepared<'_>,
    caller: Caller<'_>,
    deadlines: Deadlines,
    (head, mut gone): (&[u8], usize),
    at: Instant,
) -> Result<Asked, Failed> {
    let mut timer = Timer::new(caller.worker);
    deadlines.arm(&mut timer, prepared.response_timeout);
    let begun = poll_fn(|cx| match attempt.poll_answer(head, &mut gone, caller.worker, cx) {
        Poll::Pending if timer.poll_expired(cx) => Poll::Ready(Err(deadlines.passed(prepared.late))),
        polled => polled,
    })
    .await;
    match begun {
        Ok(()) => Ok(Asked { attempt, at, deadlines }),
        Err(kind) => Err(attempt.failed(kind)),
    }
}

impl Attempt {
    /// Sends what is not gone yet of the request, and waits for the first bytes of an answer.
    fn poll_answer(
        &mut self,
        head: &[u8],
        gone: &mut usize,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Kind>> {
        while let Some(rest) = head.get(*gone..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.upstream.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(n @ 1..)) => *gone += n,
                // it may have answered before it hung up
                Poll::Ready(_) => *gone = head.len(),
                Poll::Pending => break,
            }
            if *gone == head.len() {
                let _ = Pin::new(&mut self.upstream.stream).poll_flush(cx);
                // where that fails, what is read below tells why
                let _ = self.upstream.stream.finish(None);
            }
        }
        match self.upstream.poll_fill(&worker.pool, cx) {
            Poll::Ready(Ok(1..)) => return Poll::Ready(Ok(())),
            Poll::Ready(ended) => return Poll::Ready(Err(self.ended(ended.as_ref().err()))),
            Poll::Pending => {}
        }
        if self.target.is_cut() {
            return Poll::Ready(Err(Kind::Deregistered));
        }
        if worker.is_stopping() {
            return Poll::Ready(Err(Kind::Stopping));
        }
        Poll::Pending
    }
}
