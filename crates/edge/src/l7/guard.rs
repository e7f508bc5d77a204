//! What may pass before rules are asked (stage 5): methods, desync tiers, the length of X-Forwarded-For.

use headworks_message::{Fitness, RequestView, Tier, send};
use headworks_model::load_balancer::{DesyncMitigation, XffHeaderProcessing};

use super::codec::link::Client;
use super::connection::Connection;
use crate::compile::plan::{ActionPlan, RulePlan};
use crate::error::{Kind, ProxyError};
use crate::listen::slot::ListenerTable;
use crate::runtime::pool::Scratch;

/// Addresses in X-Forwarded-For beyond which a request is refused (463).
const FORWARDED_FOR_LIMIT: usize = 30;

/// Lets the request pass, or says why not.
///
/// # Errors
/// When the load balancer's attributes do not let it through.
pub(crate) fn admit<C: Client>(
    connection: &Connection<C>,
    table: &ListenerTable,
    scratch: &mut Scratch,
) -> Result<(), ProxyError> {
    let view = RequestView { bytes: connection.client.buffer.data(), head: &scratch.request };
    if view.head.tier > Tier::Compliant && table.plan.desync == DesyncMitigation::Strictest {
        scratch.request.connection.close = true;
        return Err(Kind::Desync.into());
    }
    if matches!(view.method(), b"TRACE" | b"CONNECT") {
        return Err(Kind::MethodNotAllowed.into());
    }
    if table.plan.xff != XffHeaderProcessing::Remove && send::forwarded_for_length(view) > FORWARDED_FOR_LIMIT {
        return Err(Kind::TooManyForwardedFor.into());
    }
    if view.head.fields.iter().any(|f| f.fitness != Fitness::Clean) {
        let unusual = view.head.fields.iter().any(|f| f.fitness == Fitness::UnusualName);
        let unfit = view.head.fields.iter().any(|f| f.fitness == Fitness::Unfit);
        let counters = connection.slot.counters();
        if unfit || unusual && table.plan.drop_invalid_header_fields {
            counters.dropped_invalid_headers.add(1);
        } else if unusual {
            counters.forwarded_invalid_headers.add(1);
        }
    }
    Ok(())
}

/// Whether there is time for a request of this rule, as far as the program itself goes.
///
/// # Errors
/// When there is too much to do.
pub(crate) fn spare<C>(connection: &Connection<C>, rule: &RulePlan) -> Result<(), ProxyError> {
    if !matches!(rule.action, ActionPlan::Forward(_)) || !connection.worker.sheds(rule.criticality) {
        return Ok(());
    }
    if let Some(count) = connection.slot.counters().shed.get(rule.criticality as usize) {
        count.add(1);
    }
    Err(Kind::Shed.into())
}
