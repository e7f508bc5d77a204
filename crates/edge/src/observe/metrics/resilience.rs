//! What keeps requests answered when targets fail, or there are too many: further attempts, ejections, limits, what is given up.

use std::fmt;
use std::sync::atomic::Ordering;

use headworks_balance::{Fault, RetryReason};
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{Exposed, begin, listener_labels, with};
use crate::observe::counters::Count;
use crate::observe::status::total;

/// Words of what is refused, by place of its count.
const SHED: [&str; 2] = ["sheddable", "normal"];

impl Exposed {
    pub(super) fn resilience(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = begin(encoder, "target_group_retries", "Further attempts by reason", MetricType::Counter)?;
        for (group, shared) in &self.view.groups {
            for reason in RetryReason::ALL {
                let of = shared.counters.iter().flat_map(|counters| counters.retries_by_reason());
                let sum = of.filter(|(counted, _)| *counted == reason).map(|(_, count)| count).sum();
                let labels = vec![("target_group", group.to_string()), ("reason", reason.as_str().to_owned())];
                family.counter(&labels, sum)?;
            }
        }
        let help = "Further attempts that the budget has left";
        let mut family = begin(encoder, "target_group_retry_budget", help, MetricType::Gauge)?;
        let groups = self.view.plan.iter().flat_map(|plan| plan.groups.iter().filter(|group| group.budget.is_some()));
        for shared in groups.map(|group| &group.shared) {
            let left = total(&shared.counters, |counters| &counters.budget_left);
            family.gauge(&vec![("target_group", shared.name.to_string())], left as f64)?;
        }
        let help = "Targets ejected by their circuit breaker, by what it saw";
        let mut family = begin(encoder, "target_group_ejections", help, MetricType::Counter)?;
        for (group, shared) in &self.view.groups {
            for (fault, count) in Fault::ALL.iter().zip(&shared.ejections) {
                let labels = vec![("target_group", group.to_string()), ("reason", fault.as_str().to_owned())];
                family.counter(&labels, count.load(Ordering::Relaxed))?;
            }
        }
        let help = "Requests that wait for a place";
        let mut family = begin(encoder, "target_group_pending_requests", help, MetricType::Gauge)?;
        for (group, shared) in &self.view.groups {
            family.gauge(&vec![("target_group", group.to_string())], f64::from(shared.gate.waiting()))?;
        }
        let help = "Requests that the group may have in flight, as found out by adaptive concurrency";
        let mut family = begin(encoder, "target_group_adaptive_limit", help, MetricType::Gauge)?;
        for (group, shared) in &self.view.groups {
            if let Some(found) = shared.gate.found() {
                family.gauge(&vec![("target_group", group.to_string())], f64::from(found))?;
            }
        }
        let help = "Share used up of what the program has for itself: time, memory, descriptors";
        let mut family = begin(encoder, "overload_pressure", help, MetricType::Gauge)?;
        for (resource, used) in self.view.pressure.each() {
            family.gauge(&vec![("resource", resource.to_owned())], used)?;
        }
        let help = "Tasks of a worker that have not ended: connections, streams, listeners";
        let mut family = begin(encoder, "worker_tasks", help, MetricType::Gauge)?;
        for (worker, tasks) in self.view.pressure.tasks().enumerate() {
            family.gauge(&vec![("worker", worker.to_string())], f64::from(tasks))?;
        }
        let help = "Requests refused because the program had too much to do, by criticality";
        let mut family = begin(encoder, "shed_requests", help, MetricType::Counter)?;
        for plan in self.view.plan.iter().flat_map(|plan| plan.listeners.iter().filter(|l| l.flows.is_none())) {
            for (place, criticality) in SHED.into_iter().enumerate() {
                let of = plan.counters.iter().filter_map(|counters| counters.shed.get(place));
                let labels = with(&listener_labels(plan), "criticality", &criticality);
                family.counter(&labels, of.map(Count::read).sum())?;
            }
        }
        let mut family = begin(encoder, "injected_faults", "Faults that rules have injected", MetricType::Counter)?;
        for plan in self.view.plan.iter().flat_map(|plan| plan.listeners.iter().filter(|l| l.flows.is_none())) {
            for (place, kind) in ["delay", "abort"].into_iter().enumerate() {
                let of = plan.counters.iter().filter_map(|counters| counters.injected.get(place));
                family.counter(&with(&listener_labels(plan), "kind", &kind), of.map(Count::read).sum())?;
            }
        }
        Ok(())
    }
}
