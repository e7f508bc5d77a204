//! What follows a failed attempt, and when: how it ended and how the request stands is told to
//! [`headworks_balance::Attempts::follow`], which decides; the request is then made ready to be sent again.

use std::time::Instant;

use headworks_balance::{AttemptEnd, Backoff, RetryReason, RetryRules, Standing, TargetKey};
use headworks_model::target_group::RetryWhen;

use super::attempt::Failed;
use super::course::Course;
use super::deadline;
use super::prepare::Prepared;
use crate::error::Kind;
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::l7::watch::pause;
use crate::observe::record::Outcome;
use crate::runtime::pool::Scratch;
use crate::runtime::worker::Worker;

/// Whether another attempt follows the failed one. When it does, the request is ready to be sent from its beginning, and any
/// wait is over.
pub(super) async fn follows<C: Client>(
    connection: &mut Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &mut Scratch,
    failed: &Failed,
) -> bool {
    let kind = failed.error.kind;
    let Some(reason) = reason(connection, prepared, course, scratch, failed) else { return false };
    prepared.group.counters().retried(reason);
    scratch.record.retries += 1;
    course.note(Outcome::of(kind), &mut scratch.record);
    let is_stale = reason == RetryReason::Stale;
    // a connection that has had its time says nothing about its target: that one may be asked again, on a new one
    let is_innocent = failed.is_stale && matches!(reason, RetryReason::Stale | RetryReason::Unprocessed);
    if let Some(target) = failed.target
        && !is_innocent
    {
        course.count_failed(target, kind);
    }
    course.request.rewind();
    if let Some(left) = course.deadlines.left() {
        deadline::renew(&mut scratch.to_target, &prepared.plan.settings, left);
    }
    let backoff = prepared.plan.settings.retry.as_ref().and_then(|retry| retry.backoff).filter(|_| !is_stale);
    match backoff {
        None => true,
        Some(backoff) => {
            let backoff = Backoff { base: backoff.base, maximum: backoff.maximum };
            Box::pin(wait(connection, backoff, course, scratch.record.retries - 1)).await
        }
    }
}

/// Whether the response that is parsed in `scratch` is let go of, and the request tried on another target.
pub(super) fn of_status<C: Client>(
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &Scratch,
) -> bool {
    let Some(retry) = &prepared.plan.settings.retry else { return false };
    let status = scratch.response.status;
    let is_asked = retry.when.iter().any(|when| match when {
        RetryWhen::Status(asked) => *asked == status,
        RetryWhen::ServerError => (500..=599).contains(&status),
        _ => false,
    });
    let asked = scratch.record.chosen.as_ref().map(|target| target.shared.key);
    let is_other = |key: TargetKey| !course.tried.has_failed(key) && asked != Some(key);
    // an answer is let go of only for what another attempt can bring
    let has_room = is_asked && prepared.group.has_room(&prepared.plan.settings, is_other);
    has_room && decide(AttemptEnd::Status, true, connection, prepared, course).is_some()
}

/// Why a failed attempt is followed by another; nothing when it is not.
fn reason<C: Client>(
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &Scratch,
    failed: &Failed,
) -> Option<RetryReason> {
    if let Kind::RetriedStatus(_) = failed.error.kind {
        return Some(RetryReason::Status);
    }
    if scratch.record.status != 0 {
        return None;
    }
    let has_others = prepared.has_others(&course.tried, failed.target.as_slice());
    decide(end_of(failed), has_others, connection, prepared, course)
}

/// How an attempt without an answer ended.
fn end_of(failed: &Failed) -> AttemptEnd {
    match failed.error.kind {
        kind if kind.is_of_connecting() => AttemptEnd::NotConnected,
        Kind::Unprocessed => AttemptEnd::TurnedAway,
        Kind::ResetBeforeResponse => AttemptEnd::Reset { is_stale: failed.is_stale },
        Kind::ResetInHead | Kind::BadResponse | Kind::UnaskedUpgrade => AttemptEnd::NoAnswer,
        Kind::TargetTimeout | Kind::AttemptTimeout => AttemptEnd::Late,
        _ => AttemptEnd::Final,
    }
}

/// Whether another attempt follows one that ended like this; one that is to be paid for is paid for then.
fn decide<C: Client>(
    end: AttemptEnd,
    has_others: bool,
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
) -> Option<RetryReason> {
    let Course { request, deadlines, attempts, .. } = course;
    let retry = prepared.plan.settings.retry.as_ref();
    let standing = Standing {
        is_idempotent: prepared.idempotent,
        is_untouched: request.is_untouched(),
        is_kept: request.is_kept(),
        // what is kept for a mirror only is not meant to be sent again
        is_kept_for_retries: request.taken == 0 || retry.is_some_and(|retry| retry.buffer > 0),
        has_others,
        has_time: deadlines.left().is_none_or(|left| !left.is_zero()),
    };
    let rules = retry.map(|retry| RetryRules {
        attempts: retry.attempts,
        reset: retry.when.contains(&RetryWhen::ResetBeforeResponse),
        timeout: retry.when.contains(&RetryWhen::Timeout),
        non_idempotent: retry.non_idempotent,
    });
    attempts.follow(end, standing, rules.as_ref(), || prepared.spend(&connection.worker))
}

impl Prepared<'_> {
    /// Spends a retry, or a hedge: they may be at most the budget's share of live requests, so that they never become a storm.
    pub(super) fn spend(&self, worker: &Worker) -> bool {
        let within = self.group.spend_retry(worker.clock.now());
        if !within {
            self.group.counters().retries_over_budget.add(1);
        }
        within
    }
}

/// Waits before a further attempt. False when there will be none: the client is gone, or its time is over.
async fn wait<C: Client>(connection: &mut Connection<C>, backoff: Backoff, course: &mut Course, number: u8) -> bool {
    let worker = connection.worker.clone();
    let wait = backoff.wait(u32::from(number), worker.random.next());
    if wait.is_zero() {
        return true;
    }
    if course.deadlines.left().is_some_and(|left| left <= wait) {
        return false;
    }
    let waited = pause(connection, 0, wait).await.is_ok();
    course.began = Some(Instant::now());
    waited
}
