//! A request that waits for a place, behind those that came before it: for so long, and no longer. One that has been tried
//! already came before all that have not, and is particular: it lets those behind it have what it cannot use.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use headworks_balance::Tried;
use headworks_balance::queue::Line;

use super::course::Course;
use super::prepare::Prepared;
use crate::error::Kind;
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::l7::watch::{Watch, client_stays};
use crate::upstream::gate::Turn;
use crate::upstream::group::Chosen;

/// Who may looks so often by itself: a place may have come about that nobody left, with a target or a limit that is new.
const LOOK: Duration = Duration::from_millis(100);

/// A target with a place for the request: at once, or as soon as it is the request's turn.
///
/// # Errors
/// When there is none, no more may wait, or the wait was in vain.
pub(super) async fn place<C: Client>(
    connection: &mut Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
) -> Result<Chosen, Kind> {
    let worker = connection.worker.clone();
    let limits = &prepared.plan.settings.limits;
    let line = if course.tried.is_empty() { Line::First } else { Line::Again };
    match prepared.choose(&worker, &course.tried, line == Line::Again) {
        Err(Kind::Overloaded) if limits.max_pending > 0 => {}
        chosen => return chosen.inspect_err(|kind| prepared.count_refusal(*kind)),
    }
    let eligible = prepared.group.published().roster.eligible().max(1);
    let bound = eligible.saturating_mul(limits.max_pending as usize);
    let patience = course.deadlines.left().map_or(limits.pending_timeout, |left| left.min(limits.pending_timeout));
    let waited = Box::pin(wait(connection, prepared, &course.tried, line, patience, bound)).await;
    if line == Line::Again {
        // the next attempt begins now, for the log
        course.began = Some(Instant::now());
    }
    waited.inspect_err(|kind| prepared.count_refusal(*kind))
}

async fn wait<C: Client>(
    connection: &mut Connection<C>,
    prepared: &Prepared<'_>,
    tried: &Tried,
    line: Line,
    patience: Duration,
    bound: usize,
) -> Result<Chosen, Kind> {
    let worker = connection.worker.clone();
    let waiting = prepared.group.shared.gate.join(line, patience, bound).map_err(|_| Kind::Overloaded)?;
    prepared.group.counters().queued.add(1);
    let mut watch = Watch::Quiet;
    // before it stood in the queue, nobody would have called it
    let mut turn = waiting.may_look().then_some(Turn::Own);
    loop {
        if let Some(this) = &turn {
            match prepared.choose(&worker, tried, true) {
                Ok(chosen) => {
                    waiting.served(*this);
                    return Ok(chosen);
                }
                Err(Kind::Overloaded) => {
                    if let Some(again) = waiting.stay(*this) {
                        turn = Some(again);
                        continue;
                    }
                }
                Err(kind) => return Err(kind),
            }
        }
        connection.timer.arm(waiting.left().min(LOOK));
        turn = poll_fn(|cx| {
            if waiting.poll_called(cx).is_ready() {
                return Poll::Ready(Ok(Some(Turn::Called)));
            }
            if watch == Watch::Quiet && !client_stays(connection, &mut watch, cx) {
                return Poll::Ready(Err(Kind::ClientClosed));
            }
            if worker.is_stopping() {
                return Poll::Ready(Err(Kind::Stopping));
            }
            if !connection.timer.poll_expired(cx) {
                return Poll::Pending;
            }
            let own = || waiting.may_look().then_some(Turn::Own);
            Poll::Ready(if waiting.is_over() { Err(Kind::PendingTimeout) } else { Ok(own()) })
        })
        .await?;
    }
}
