//! Faults that a rule injects, for testing what depends on answers: a delay, an answer of our own in place of a target's.

use super::codec::link::Client;
use super::connection::Connection;
use super::watch::pause;
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
    if let Some((length, _)) = injection.delay.filter(|(_, share)| share.takes(connection.worker.random.next())) {
        scratch.record.injected.0 = true;
        count(connection, 0);
        pause(connection, scratch.request.len, length).await?;
    }
    if let Some((status, _)) = injection.abort.filter(|(_, share)| share.takes(connection.worker.random.next())) {
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
