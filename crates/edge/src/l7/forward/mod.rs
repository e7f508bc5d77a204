//! Forwarding (stage 7): choose a group, write the head, then attempts until one has an answer.

mod attempt;
mod prepare;
mod retry;
mod sticky;
mod tunnel;

use headworks_message::Framing;

use self::attempt::{Attempt, Failed};
use self::prepare::Prepared;
pub(crate) use self::prepare::hash_of;
pub(crate) use self::sticky::named_target;
use super::codec::link::Client;
use super::connection::{After, Connection};
use super::respond;
use crate::compile::plan::{FallbackPlan, ForwardPlan, RulePlan};
use crate::error::{Kind, ProxyError};
use crate::listen::slot::ListenerTable;
use crate::runtime::pool::Scratch;

/// Forwards the request, and its answer back.
///
/// # Errors
/// When no target answers it.
pub(crate) async fn run<C: Client>(
    connection: &mut Connection<C>,
    table: &ListenerTable,
    rule: &RulePlan,
    forward: &ForwardPlan,
    scratch: &mut Scratch,
) -> Result<After, ProxyError> {
    scratch.record.actions = "forward";
    let prepared = prepare::request(connection, table, rule, forward, scratch)?;
    if let Some(FallbackPlan::Fixed(fixed)) = prepared.fallback() {
        return respond::fixed(connection, fixed, scratch).await;
    }
    let mut tried: Vec<usize> = Vec::new();
    loop {
        let failed = match Attempt::begin(connection, &prepared, &tried, scratch).await {
            Ok(attempt) => match attempt.run(connection, &prepared, tried.len(), scratch).await {
                Ok(after) => return Ok(after),
                Err(failed) => failed,
            },
            Err(failed) => failed,
        };
        let Failed { error, target, connection: which } = failed;
        if !retry::allowed(connection, &prepared, scratch, &error, which, tried.len()) {
            let is_told = scratch.record.status == 0 && error.kind != Kind::ClientClosed;
            if scratch.record.is_grpc_call && is_told {
                prepared.group.counters().grpc(error.kind.grpc_status());
            }
            return Err(error);
        }
        // a stale connection says nothing about its target: that one may be asked again, on a new connection
        if let (Some(target), attempt::Which::New) = (target, which) {
            tried.push(target);
        }
    }
}

impl Prepared<'_> {
    /// Whether the request may be sent again: nothing of it is gone, and a target that acted on it already is asked for no
    /// more than it did (RFC 9110 section 9.2.2).
    fn is_replayable(&self, scratch: &Scratch) -> bool {
        !scratch.record.body_begun && scratch.request.framing == Framing::None && self.idempotent
    }
}

impl From<Kind> for Failed {
    fn from(kind: Kind) -> Failed {
        Failed { error: kind.into(), target: None, connection: attempt::Which::New }
    }
}
