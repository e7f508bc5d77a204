//! Forwarding (stage 7): choose a group, write the head, then attempts until one has an answer.

mod attempt;
mod connect;
mod course;
mod deadline;
mod hedge;
mod mirror;
mod pending;
mod prepare;
mod retry;
mod sticky;
mod tunnel;

use self::attempt::{Attempt, Failed};
use self::course::Course;
use self::prepare::Prepared;
pub(crate) use self::prepare::{hash_of, is_idempotent, may_hedge};
pub(crate) use self::sticky::named_target;
use super::codec::link::Client;
use super::connection::{After, Connection};
use super::respond;
use crate::compile::plan::{ForwardPlan, RulePlan};
use crate::error::{Kind, ProxyError};
use crate::listen::slot::ListenerTable;
use crate::observe::record::Outcome;
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
    if let Some(answer) = prepared.answer {
        return respond::fixed(connection, answer, scratch).await;
    }
    let mut course = Course::new(&prepared, scratch);
    // its task runs when this one waits: the request itself has gone by then
    mirror::send(connection, table, &prepared, &mut course, scratch);
    let answered = attempts(connection, &prepared, &mut course, scratch).await;
    mirror::send(connection, table, &prepared, &mut course, scratch);
    match &answered {
        Ok(_) => course.end(Outcome::Status(scratch.record.target_status.unwrap_or(0)), &mut scratch.record),
        Err(error) => {
            course.end(Outcome::of(error.kind), &mut scratch.record);
            prepared.tell_failed_call(error.kind, scratch);
        }
    }
    answered
}

/// One attempt after the other, until a target has answered or no other is to follow.
async fn attempts<C: Client>(
    connection: &mut Connection<C>,
    prepared: &Prepared<'_>,
    course: &mut Course,
    scratch: &mut Scratch,
) -> Result<After, ProxyError> {
    let mut before: Option<ProxyError> = None;
    loop {
        let begun = match prepared.hedge {
            None => Attempt::begin(connection, prepared, course, scratch).await,
            Some(hedge) => hedge::begin(hedge, connection, prepared, course, scratch).await,
        };
        let failed = match begun {
            Ok(attempt) => match attempt.run(connection, prepared, course, scratch).await {
                Ok(after) => return Ok(after),
                Err(failed) => failed,
            },
            // why there is another attempt says more than that there is nobody to make it
            Err(Failed { target: None, error, .. }) if error.kind.is_want() => return Err(before.unwrap_or(error)),
            Err(Failed { target: None, error, .. }) => return Err(error),
            Err(failed) => failed,
        };
        if !retry::follows(connection, prepared, course, scratch, &failed).await {
            return Err(failed.error);
        }
        before = Some(failed.error);
    }
}

impl Prepared<'_> {
    /// A gRPC call ends without an answer, which is told in its words.
    fn tell_failed_call(&self, kind: Kind, scratch: &Scratch) {
        let is_told = scratch.record.status == 0 && kind != Kind::ClientClosed;
        if scratch.record.is_grpc_call && is_told {
            self.group.counters().grpc(kind.grpc_status());
        }
    }
}

impl From<Kind> for Failed {
    fn from(kind: Kind) -> Failed {
        Failed { error: kind.into(), target: None, is_stale: false }
    }
}
