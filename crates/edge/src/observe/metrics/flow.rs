//! What is counted of listeners that carry bytes.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{Exposed, begin, listener_labels, with};
use crate::observe::counters::{Count, ListenerCounters};
use crate::observe::flow::Reset;
use crate::observe::status::{flows_ended, total};

impl Exposed {
    /// Listeners that carry bytes, in the terms of a Network Load Balancer (N8).
    pub(super) fn flows(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = || self.view.plan.iter().flat_map(|plan| plan.listeners.iter().filter(|l| l.flows.is_some()));
        type Get = fn(&ListenerCounters) -> &Count;
        type Directions = [(&'static str, Get); 2];
        let mut active = begin(encoder, "active_flows", "Flows open", MetricType::Gauge)?;
        for plan in listeners() {
            active.gauge(&listener_labels(plan), total(&plan.counters, |c| &c.active_connections) as f64)?;
        }
        let counters: [(&str, &str, Get); 2] = [
            ("new_flows", "Flows begun", |c| &c.new_connections),
            ("flow_access_log_dropped_lines", "Lines the disk was too slow for", |c| &c.access_log_dropped),
        ];
        for (name, help, get) in counters {
            let mut family = begin(encoder, name, help, MetricType::Counter)?;
            for plan in listeners() {
                family.counter(&listener_labels(plan), total(&plan.counters, get))?;
            }
        }
        let mut bytes = begin(encoder, "processed_bytes", "Bytes carried, by direction", MetricType::Counter)?;
        let directions: [(&str, Get); 2] = [("to_target", |c| &c.received_bytes), ("to_client", |c| &c.sent_bytes)];
        for plan in listeners() {
            for (direction, get) in directions {
                let labels = with(&listener_labels(plan), "direction", &direction);
                bytes.counter(&labels, total(&plan.counters, get))?;
            }
        }
        let kinds: [(&str, &str, Directions); 2] = [
            (
                "datagrams",
                "Datagrams carried, by direction",
                [("to_target", |c| &c.flows.received_datagrams), ("to_client", |c| &c.flows.sent_datagrams)],
            ),
            (
                "lost_datagrams",
                "Datagrams that could not be sent on, by direction",
                [("to_target", |c| &c.flows.lost_to_target), ("to_client", |c| &c.flows.lost_to_client)],
            ),
        ];
        for (name, help, directions) in kinds {
            let mut datagrams = begin(encoder, name, help, MetricType::Counter)?;
            for plan in listeners().filter(|plan| plan.protocol.contains("udp")) {
                for (direction, get) in directions {
                    let labels = with(&listener_labels(plan), "direction", &direction);
                    datagrams.counter(&labels, total(&plan.counters, get))?;
                }
            }
        }
        let mut resets = begin(encoder, "tcp_resets", "Flows reset, by who reset them", MetricType::Counter)?;
        for plan in listeners() {
            let ended = flows_ended(plan);
            for by in Reset::ALL {
                let count = ended.iter().filter(|(ended, _)| ended.reset() == Some(by)).map(|(_, count)| count).sum();
                resets.counter(&with(&listener_labels(plan), "by", &by.as_str()), count)?;
            }
        }
        let mut family = begin(encoder, "flows_ended", "Flows that have ended, by how", MetricType::Counter)?;
        for plan in listeners() {
            for (ended, count) in flows_ended(plan) {
                family.counter(&with(&listener_labels(plan), "reason", &ended.as_str()), count)?;
            }
        }
        let mut hits = begin(encoder, "flow_rule_hits", "Flows by the rule that matched", MetricType::Counter)?;
        for plan in listeners() {
            let rules = plan.rules.iter().chain([&plan.default]).zip(plan.total_hits()).filter(|(_, hits)| *hits > 0);
            for (rule, count) in rules.take(1000) {
                hits.counter(&with(&listener_labels(plan), "rule", &rule.label), count)?;
            }
        }
        Ok(())
    }
}
