//! From what is known of a flow to a target group, and to the hash that its target is chosen by (N1, N5).

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use headworks_balance::{Supply, hash64};
use headworks_model::target_group::{Algorithm, Stickiness, TargetGroup};
use headworks_route::FlowView;

use super::flow::{Flow, Spoken};
use crate::compile::plan::{ActionPlan, FallbackPlan, GroupPlan};
use crate::listen::slot::Tables;
use crate::observe::flow::Ended;
use crate::upstream::group::GroupLocal;

/// Hash seeds: the same in every worker and process, so that all agree.
const FLOW_SEED: u64 = 0x666c_6f77_5f68_6173;
const SOURCE_SEED: u64 = 0x736f_7572_6365_5f69;

/// Where a flow goes.
pub(super) struct Route {
    tables: Rc<Tables>,
    place: usize,
    /// Of what keeps it on one target.
    pub(super) hash: u64,
}

impl Route {
    /// Its target group.
    ///
    /// # Errors
    /// Never of a route that was found.
    pub(super) fn group(&self) -> Result<(&GroupPlan, &Rc<GroupLocal>), Ended> {
        self.tables.group(self.place).ok_or(Ended::NoTarget)
    }
}

/// What a flow is told apart by.
#[derive(Clone, Copy)]
pub(super) struct Tuple {
    /// As IP numbers it.
    pub(super) protocol: u8,
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// What carries a flow, as IP numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp = 6,
    Udp = 17,
}

/// Finds the rule and the group of a flow, and counts it.
///
/// # Errors
/// When it has none.
pub(super) fn find(flow: &mut Flow, spoken: &Spoken, transport: Transport) -> Result<Route, Ended> {
    let table = flow.slot.table();
    let hello = spoken.hello();
    let view = FlowView {
        peer: flow.peer.ip(),
        server_name: hello.and_then(|hello| hello.server_name.as_deref()).map(str::as_bytes),
        protocols: hello.map_or(&[], |hello| &hello.protocols),
    };
    let index = table.plan.flows.as_ref().and_then(|flows| flows.table.find(&view));
    table.hit(flow.worker.index, index);
    let rule = table.plan.rule(index);
    if flow.record.started.is_some() {
        flow.record.rule = Some(rule.label.clone());
    }
    let ActionPlan::Forward(forward) = &rule.action else { return Err(Ended::NoTarget) };
    let chosen = table.by_weight(forward).ok_or(Ended::NoTarget)?;
    let (plan, group) = table.tables.group(chosen).ok_or(Ended::NoTarget)?;
    // one step only: the file is checked for loops, and what is short itself then does what it does without another
    let place = match &plan.fallback {
        FallbackPlan::Group(other) if group.is_short(&plan.settings) => *other,
        _ => chosen,
    };
    let (plan, group) = table.tables.group(place).ok_or(Ended::NoTarget)?;
    if group.published().roster.supply == Supply::FailOpen {
        group.counters().fail_open_requests.add(1);
    }
    flow.record.group = Some(group.name.clone());
    // of a listener on all addresses, its own stands for whichever was connected to: asking would cost a call
    let tuple = Tuple { protocol: transport as u8, source: flow.peer, destination: flow.slot.address };
    Ok(Route { place, hash: hash(&plan.settings, tuple), tables: table.tables.clone() })
}

/// What keeps a flow on one target: both its ends, or its source alone.
pub(super) fn hash(settings: &TargetGroup, tuple: Tuple) -> u64 {
    let by_source =
        settings.stickiness == Some(Stickiness::SourceIp) || settings.algorithm == Algorithm::ConsistentHash;
    if by_source {
        return hash64(SOURCE_SEED, &octets(tuple.source.ip()));
    }
    let mut bytes = [0; 37];
    let ends = [tuple.source, tuple.destination];
    let parts = ends.iter().flat_map(|end| octets(end.ip()).into_iter().chain(end.port().to_be_bytes()));
    bytes.iter_mut().zip(parts.chain([tuple.protocol])).for_each(|(to, from)| *to = from);
    hash64(FLOW_SEED, &bytes)
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}
