//! Faults that a rule injects, for testing what depends on answers: a delay, an answer of our own in place of a target's.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::codec::link::Client;
use super::connection::Connection;
use crate::compile::plan::InjectionPlan;
use crate::error::{Kind, ProxyError};
use crate::runtime::pool::Scratch;

/// Holds the request back for a while, or answers it, if it is among those that are to meet a fault.
///
/// # Errors
/// When it is to be answered with a status.
pub(super) async fn faults<C: Client>(
    connection: &mut Connection<C>,
    injection: &InjectionPlan,
    scratch: &mut Scratch,
) -> Result<(), ProxyError> {
    let worker = connection.worker.clone();
    if let Some((length, _)) = injection.delay.filter(|(_, share)| share.takes(worker.random.next())) {
        scratch.record.injected.0 = true;
        count(connection, 0);
        wait(connection, length).await?;
    }
    if let Some((status, _)) = injection.abort.filter(|(_, share)| share.takes(worker.random.next())) {
        scratch.record.injected.1 = true;
        count(connection, 1);
        return Err(Kind::Injected(status).into());
    }
    Ok(())
}

fn count<C>(connection: &Connection<C>, kind: usize) {
    if let Some(count) = connection.slot.counters().injected.get(kind) {
        count.add(1);
    }
}

async fn wait<C: Client>(connection: &mut Connection<C>, length: Duration) -> Result<(), ProxyError> {
    connection.timer.arm(length);
    poll_fn(|cx| {
        if connection.worker.is_stopping() {
            return Poll::Ready(Err(Kind::Stopping.into()));
        }
        if connection.timer.poll_expired(cx) { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}
