//! Whether a failed attempt is followed by another, and when.
//!
//! What a target cannot have acted on is repeated whatever it is, and costs nothing of the budget: no byte of it has left, or the
//! target itself says that it has not looked at it. So is what may be repeated by its method (RFC 9110 section 9.2.2) and was
//! sent on an idle connection that the target had closed meanwhile. Everything else is for `retry` to allow.

use std::time::Instant;

use headworks_balance::{Backoff, TargetKey};
use headworks_model::target_group::{Retry, RetryWhen};

use super::attempt::Failed;
use super::course::Course;
use super::deadline;
use super::prepare::Prepared;
use crate::error::Kind;
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::l7::watch::pause;
use crate::observe::counters::RetryReason;
use crate::observe::record::Outcome;
use crate::runtime::pool::Scratch;
use crate::runtime::worker::Worker;

/// Attempts that follow from connections that were not made; each excludes a target, so this only bounds what is unbounded in
/// theory.
const ATTEMPTS: u8 = 16;
/// How often a request is sent again because its connection was stale: after the first time it gets a new one, or a stream of
/// one of HTTP/2 that is known to be open.
const STALE: u8 = 2;
/// How often a request that targets turn away unseen is brought again.
const TURNED_AWAY: u8 = 3;

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
    match failed.target {
        // a stale connection says nothing about its target: that one may be asked again, on a new connection
        Some(_) if is_stale => {}
        Some(target) if reason == RetryReason::Unprocessed && !prepared.has_others(&course.tried, &[target]) => {}
        Some(target) => course.tried.push(target),
        None => {}
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
    let is_other = |key: TargetKey| !course.tried.contains(&key) && asked != Some(key);
    // an answer is let go of only for what another attempt can bring
    is_asked
        && prepared.group.has_room(&prepared.plan.settings, is_other)
        && may_follow(retry, connection, prepared, course)
}

/// Why a failed attempt is followed by another; nothing when it is not.
fn reason<C: Client>(
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &Scratch,
    failed: &Failed,
) -> Option<RetryReason> {
    let kind = failed.error.kind;
    if let Kind::RetriedStatus(_) = kind {
        return Some(RetryReason::Status);
    }
    if scratch.record.status != 0 || scratch.record.retries >= ATTEMPTS {
        return None;
    }
    let has_others = prepared.has_others(&course.tried, failed.target.as_slice());
    let request = &course.request;
    let could_go = request.is_untouched() || request.is_kept();
    match kind {
        kind if kind.is_of_connecting() && has_others => return Some(RetryReason::Connect),
        Kind::Unprocessed if could_go && course.turned_away < TURNED_AWAY => {
            course.turned_away += 1;
            return Some(RetryReason::Unprocessed);
        }
        Kind::ResetBeforeResponse if failed.is_stale && course.stale < STALE => {
            let is_repeatable = request.is_untouched() || prepared.idempotent && request.is_kept();
            if is_repeatable {
                course.stale += 1;
                return Some(RetryReason::Stale);
            }
        }
        Kind::ResetBeforeResponse if request.is_untouched() && has_others => {
            return Some(RetryReason::Connect);
        }
        _ => {}
    }
    let retry = prepared.plan.settings.retry.as_ref()?;
    let reason = retry.when.iter().find_map(|when| applies(*when, kind))?;
    let may = has_others && may_follow(retry, connection, prepared, course);
    may.then_some(reason)
}

/// What of a failure `when` speaks of.
fn applies(when: RetryWhen, kind: Kind) -> Option<RetryReason> {
    match (when, kind) {
        (RetryWhen::ConnectFailure, kind) if kind.is_of_connecting() => Some(RetryReason::Connect),
        // what began and is no answer is as none: its client has seen nothing of it
        (
            RetryWhen::ResetBeforeResponse,
            Kind::ResetBeforeResponse
            | Kind::ResetInHead
            | Kind::BadResponse
            | Kind::UnaskedUpgrade
            | Kind::Unprocessed,
        ) => Some(RetryReason::Reset),
        (
            RetryWhen::Timeout,
            Kind::TargetTimeout | Kind::AttemptTimeout | Kind::ConnectTimeout | Kind::HandshakeTimeout,
        ) => Some(RetryReason::Timeout),
        // a status is judged where its response is, by `of_status`
        _ => None,
    }
}

/// Whether `retry` allows an attempt more, of another target: there is one left besides those that cost nothing, the request is
/// as it was, may be asked twice, and the budget pays for it.
fn may_follow<C: Client>(
    retry: &Retry,
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
) -> bool {
    let may = course.paid + 1 < retry.attempts
        && (prepared.idempotent || retry.non_idempotent)
        && course.request.is_kept()
        // what is kept for a mirror only is not meant to be sent again
        && (course.request.taken == 0 || retry.buffer > 0)
        && course.deadlines.left().is_none_or(|left| !left.is_zero())
        && prepared.spend(&connection.worker);
    course.paid += u8::from(may);
    may
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
