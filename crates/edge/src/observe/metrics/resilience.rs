//! What keeps a group's requests answered when targets fail: further attempts, ejections.

use std::fmt;
use std::sync::atomic::Ordering;

use headworks_balance::Fault;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::{Exposed, begin};
use crate::observe::counters::RetryReason;

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
        let help = "Targets ejected by their circuit breaker, by what it saw";
        let mut family = begin(encoder, "target_group_ejections", help, MetricType::Counter)?;
        for (group, shared) in &self.view.groups {
            for (fault, count) in Fault::ALL.iter().zip(&shared.ejections) {
                let labels = vec![("target_group", group.to_string()), ("reason", fault.as_str().to_owned())];
                family.counter(&labels, count.load(Ordering::Relaxed))?;
            }
        }
        Ok(())
    }
}
