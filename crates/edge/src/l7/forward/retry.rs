//! Whether a failed attempt is followed by another.
//!
//! An attempt that could not connect is: no byte of the request has left. So is one on an idle connection that the target
//! had closed meanwhile, if the request may be repeated (RFC 9110 section 9.2.2). Everything else is for `retry` to allow.

use headworks_model::target_group::RetryWhen;

use super::attempt::Which;
use super::prepare::Prepared;
use crate::error::{Kind, ProxyError};
use crate::l7::codec::link::Client;
use crate::l7::connection::Connection;
use crate::runtime::pool::Scratch;

/// Attempts that follow from connections that were not made or were stale; each excludes a target or an idle connection,
/// so this only bounds what is unbounded in theory.
const ATTEMPTS: u8 = 16;

pub(super) fn allowed<C: Client>(
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    scratch: &mut Scratch,
    error: &ProxyError,
    which: Which,
    tried: usize,
) -> bool {
    if let Kind::RetriedStatus(_) = error.kind {
        return true;
    }
    if scratch.record.status != 0 || scratch.record.body_begun || scratch.record.retries >= ATTEMPTS {
        return false;
    }
    let settings = &prepared.plan.settings;
    let others = prepared.group.published().roster.eligible() > tried + 1;
    let free = match error.kind {
        Kind::ConnectFailed | Kind::ConnectTimeout | Kind::HandshakeFailed | Kind::HandshakeTimeout => others,
        Kind::ResetBeforeResponse => which == Which::Idle && prepared.is_replayable(scratch),
        _ => false,
    };
    let allowed = free || {
        let attempts = scratch.record.retries + 1;
        let asked = settings
            .retry
            .as_ref()
            .is_some_and(|retry| attempts < retry.attempts && retry.when.iter().any(|when| applies(*when, error.kind)));
        asked && others && prepared.is_replayable(scratch) && within_budget(connection, prepared)
    };
    if allowed {
        count(prepared, scratch);
    }
    allowed
}

/// Whether the response that is parsed in `scratch` is let go of, and the request tried on another target.
pub(super) fn of_status<C: Client>(
    connection: &Connection<C>,
    prepared: &Prepared<'_>,
    scratch: &mut Scratch,
    tried: usize,
) -> bool {
    let status = scratch.response.status;
    let attempts = scratch.record.retries + 1;
    let asked = prepared
        .plan
        .settings
        .retry
        .as_ref()
        .is_some_and(|retry| attempts < retry.attempts && retry.when.contains(&RetryWhen::Status(status)));
    let others = || prepared.group.published().roster.eligible() > tried + 1;
    let allowed = asked && others() && prepared.is_replayable(scratch) && within_budget(connection, prepared);
    if allowed {
        count(prepared, scratch);
    }
    allowed
}

/// Counts an attempt that follows a failed one.
fn count(prepared: &Prepared<'_>, scratch: &mut Scratch) {
    scratch.record.retries += 1;
    prepared.group.counters().retries.add(1);
}

fn applies(when: RetryWhen, kind: Kind) -> bool {
    match when {
        RetryWhen::ConnectFailure => {
            matches!(kind, Kind::ConnectFailed | Kind::ConnectTimeout | Kind::HandshakeFailed | Kind::HandshakeTimeout)
        }
        RetryWhen::ResetBeforeResponse => matches!(kind, Kind::ResetBeforeResponse),
        RetryWhen::Timeout => {
            matches!(kind, Kind::TargetTimeout | Kind::ConnectTimeout | Kind::HandshakeTimeout)
        }
        // a status is judged where its response is, by `of_status`
        RetryWhen::Status(_) => false,
    }
}

/// Retries may be at most the budget's share of live requests, so that they never become a storm.
fn within_budget<C: Client>(connection: &Connection<C>, prepared: &Prepared<'_>) -> bool {
    let within = prepared.group.spend_retry(connection.worker.clock.now());
    if !within {
        prepared.group.counters().retries_over_budget.add(1);
    }
    within
}
