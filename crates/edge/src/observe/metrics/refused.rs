//! Connections that were refused before anything of them was served, and who opens the most, on listeners of every kind.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{Exposed, begin, listener_labels, with};
use crate::observe::status::{TOP_CLIENTS, refusals};

impl Exposed {
    pub(super) fn refused(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = || self.view.plan.iter().flat_map(|plan| &plan.listeners);
        let help = "Connections refused by reason, as far as the kernel has let them through";
        let mut refused = begin(encoder, "refused_connections", help, MetricType::Counter)?;
        for plan in listeners() {
            for (reason, count) in refusals(&plan.counters) {
                refused.counter(&with(&listener_labels(plan), "reason", &reason), count)?;
            }
        }
        let help =
            "Packets that the kernel dropped before anything of them was served: denied, or more than a queue holds";
        let mut dropped = begin(encoder, "dropped_packets", help, MetricType::Counter)?;
        for plan in listeners() {
            dropped.counter(&listener_labels(plan), plan.counters.iter().map(|c| c.dropped_packets.read()).sum())?;
        }
        self.clients(encoder)?;
        let help = "Connections closed for what they did not say of their client by the PROXY protocol";
        let mut refused = begin(encoder, "proxy_protocol_refusals", help, MetricType::Counter)?;
        for plan in listeners().filter(|plan| plan.proxied_from.is_some()) {
            let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
            for (refusal, count) in plan.counters.iter().flat_map(|c| c.proxy_refusals.each()) {
                *sums.entry(refusal.as_str()).or_default() += count;
            }
            for (reason, count) in sums {
                refused.counter(&with(&listener_labels(plan), "reason", &reason), count)?;
            }
        }
        Ok(())
    }

    /// A few clients of each listener only: each is a series of its own, and who they are changes.
    fn clients(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = || self.view.plan.iter().flat_map(|plan| &plan.listeners);
        let help = "Connections open of the ten clients that have the most";
        let mut top = begin(encoder, "top_client_connections", help, MetricType::Gauge)?;
        for plan in listeners() {
            let clients = plan.guard.state.top(TOP_CLIENTS);
            for talker in clients.iter().filter(|talker| talker.client.open > 0) {
                top.gauge(&with(&listener_labels(plan), "client", &talker.key), talker.client.open.into())?;
            }
        }
        let help = "Clients that are kept out for a while";
        let mut blocked = begin(encoder, "blocked_clients", help, MetricType::Gauge)?;
        for plan in listeners() {
            blocked.gauge(&listener_labels(plan), plan.guard.state.blocked() as f64)?;
        }
        Ok(())
    }
}
