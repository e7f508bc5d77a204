//! How much is going on: what counters have gained since the last look, by listener, rule, target group and target.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::counters::{Count, ListenerCounters, TargetCounters};
use super::histogram::Merged;
use super::status::{View, total};
use crate::compile::plan::{ListenerPlan, Plan};
use crate::upstream::group::{GroupShared, TargetState};

/// What goes on at one subject. Rates are per second, latencies in milliseconds and none where nothing was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Requests; connections or flows where there are no requests.
    pub requests: f32,
    /// Answers with 5xx, whoever made them, and connections that failed.
    pub errors: f32,
    /// Half were answered within this.
    pub p50: Option<f32>,
    /// See [`p50`](Self::p50).
    pub p95: Option<f32>,
    /// See [`p50`](Self::p50).
    pub p99: Option<f32>,
    /// Connections of a listener that are open; requests of a group or target that are in flight.
    pub active: u32,
    /// Bytes from clients.
    pub received: f32,
    /// Bytes to clients.
    pub sent: f32,
}

impl Figures {
    /// Whether nothing goes on.
    pub fn is_idle(&self) -> bool {
        self.requests == 0.0 && self.errors == 0.0 && self.active == 0 && self.received == 0.0 && self.sent == 0.0
    }
}

/// What a group has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Supply {
    /// Targets that are healthy and stay.
    pub healthy: usize,
    /// All targets.
    pub total: usize,
    /// Requests that wait for a place.
    pub pending: u32,
}

/// How a target stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// As in `/v1/status`.
    pub state: &'static str,
    /// Why, where there is more to say.
    pub reason: Option<&'static str>,
    /// As declared.
    pub weight: u32,
}

/// What one look has found; whatever is idle may be left out.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// By load balancer and listener.
    pub listeners: BTreeMap<(String, String), Figures>,
    /// By load balancer, listener and number from 1, none for the default: requests per second.
    pub rules: Vec<(String, String, Option<usize>, f32)>,
    /// By name.
    pub groups: BTreeMap<String, (Figures, Supply)>,
}

/// What was counted at one subject by a moment.
#[derive(Default)]
struct Before {
    requests: u64,
    errors: u64,
    received: u64,
    sent: u64,
    active: u64,
    latency: Merged,
}

impl Before {
    /// What came since, over `seconds`.
    fn until(&self, now: &Before, seconds: f64) -> Figures {
        let rate = |now: u64, before: u64| (now.saturating_sub(before) as f64 / seconds) as f32;
        let latency = now.latency.since(&self.latency);
        let quantile = |share| (latency.count > 0).then(|| latency.quantile(share) as f32 / 1e3);
        Figures {
            requests: rate(now.requests, self.requests),
            errors: rate(now.errors, self.errors),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            active: u32::try_from(now.active).unwrap_or(u32::MAX),
            received: rate(now.received, self.received),
            sent: rate(now.sent, self.sent),
        }
    }
}

/// Looks at counters again and again. The first look of all finds nothing going on.
#[derive(Default)]
pub struct Meter {
    at: Option<Instant>,
    /// What ran at the last look: when rules are others, or elsewhere, their counts are not to be held against one another.
    plan: Weak<Plan>,
    /// By load balancer, listener.
    listeners: HashMap<(String, String), (Before, Vec<u64>)>,
    groups: HashMap<String, Before>,
    targets: HashMap<String, Before>,
}

impl Meter {
    /// The time since the last look; none at the first.
    fn elapsed(&mut self) -> Option<f64> {
        let now = Instant::now();
        let since = self.at.replace(now).map(|before| now - before);
        since.filter(|since| *since >= Duration::from_millis(1)).map(|since| since.as_secs_f64())
    }

    /// What goes on at listeners, rules and groups.
    pub fn look(&mut self, view: &View) -> Look {
        let mut look = Look::default();
        let seconds = self.elapsed();
        let plan = view.plan.as_ref().map(Arc::downgrade).unwrap_or_default();
        let is_same = plan.ptr_eq(&self.plan);
        self.plan = plan;
        let mut listeners = HashMap::new();
        for plan in view.plan.iter().flat_map(|plan| &plan.listeners) {
            let key = (plan.key.load_balancer.to_string(), plan.key.listener.to_string());
            let now = (of_listener(plan), plan.total_hits());
            if let (Some(seconds), Some((before, hits))) = (seconds, self.listeners.get(&key)) {
                look.listeners.insert(key.clone(), before.until(&now.0, seconds));
                let rules = plan.rules.len();
                let gained = now.1.iter().zip(hits).map(|(now, before)| now.saturating_sub(*before));
                let busy = gained.enumerate().filter(|(_, gained)| is_same && *gained > 0);
                look.rules.extend(busy.map(|(i, gained)| {
                    let number = (i < rules).then_some(i + 1);
                    (key.0.clone(), key.1.clone(), number, (gained as f64 / seconds) as f32)
                }));
            }
            listeners.insert(key, now);
        }
        self.listeners = listeners;
        let mut groups = HashMap::new();
        for (name, group) in &view.groups {
            let before = self.groups.remove(name.as_str());
            let now = of_group(group, before.as_ref());
            if let (Some(seconds), Some(before)) = (seconds, &before) {
                look.groups.insert(name.to_string(), (before.until(&now, seconds), supply(group)));
            }
            groups.insert(name.to_string(), now);
        }
        self.groups = groups;
        look
    }

    /// What goes on at each target of one group, by address.
    pub fn look_at_targets(&mut self, view: &View, group: &str) -> BTreeMap<String, (Figures, Standing)> {
        let seconds = self.elapsed();
        let mut found = BTreeMap::new();
        let mut targets = HashMap::new();
        let report = view.groups.get(group).map(|group| group.report());
        for target in report.iter().flat_map(|report| report.iter()) {
            let now = of_target(target);
            let figures = match (seconds, self.targets.get(&target.address)) {
                (Some(seconds), Some(before)) => before.until(&now, seconds),
                _ => Figures::default(),
            };
            let standing = Standing { state: target.state, reason: target.reason, weight: target.weight };
            found.insert(target.address.clone(), (figures, standing));
            targets.insert(target.address.clone(), now);
        }
        self.targets = targets;
        found
    }
}

fn of_listener(plan: &ListenerPlan) -> Before {
    let sum = |count: fn(&ListenerCounters) -> &Count| total(&plan.counters, count);
    let failed = plan.counters.iter().map(|c| c.own_statuses.server_errors() + c.target_statuses.server_errors());
    Before {
        requests: if plan.flows.is_some() { sum(|c| &c.new_connections) } else { sum(|c| &c.requests) },
        errors: failed.sum(),
        received: sum(|c| &c.received_bytes),
        sent: sum(|c| &c.sent_bytes),
        active: sum(|c| &c.active_connections),
        latency: Merged::of(plan.counters.iter().map(|c| &c.latency)),
    }
}

fn of_target(target: &TargetState) -> Before {
    let Some(shared) = &target.shared else { return Before::default() };
    let counters: &[TargetCounters] = &shared.counters;
    Before {
        requests: total(counters, |c| &c.requests),
        errors: failures(counters),
        active: u64::from(shared.in_flight()),
        latency: Merged::of(counters.iter().map(|c| &c.latency)),
        ..Before::default()
    }
}

fn failures(counters: &[TargetCounters]) -> u64 {
    counters.iter().map(|c| c.statuses.server_errors() + c.connect_failures.read()).sum()
}

/// A group is the sum of its targets. Those of a group at which nothing has happened are not looked at: there may be very many.
fn of_group(group: &GroupShared, before: Option<&Before>) -> Before {
    let requests = total(&group.counters, |c| &c.requests);
    if let Some(before) = before.filter(|before| before.requests == requests && before.active == 0) {
        let latency = before.latency.clone();
        return Before { requests, errors: before.errors, latency, ..Before::default() };
    }
    let mut sum = Before { requests, ..Before::default() };
    for target in group.report().iter().filter_map(|target| target.shared.as_ref()) {
        sum.errors += failures(&target.counters);
        sum.active += u64::from(target.in_flight());
        if target.counters.iter().any(|c| c.requests.read() > 0) {
            sum.latency.add(&Merged::of(target.counters.iter().map(|c| &c.latency)));
        }
    }
    sum
}

fn supply(group: &GroupShared) -> Supply {
    let report = group.report();
    let healthy = report.iter().filter(|t| t.is_healthy && t.state != "draining").count();
    Supply { healthy, total: report.len(), pending: group.gate.waiting() }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Histogram;
    use super::*;

    #[test]
    fn a_look_tells_what_came_since_the_last() {
        let histogram = Histogram::default();
        let mut before = Before { requests: 10, errors: 1, received: 100, ..Before::default() };
        histogram.record(1_000_000);
        before.latency = Merged::of([&histogram]);
        (0..100).for_each(|_| histogram.record(2_000));
        let latency = Merged::of([&histogram]);
        let now = Before { requests: 30, errors: 1, received: 700, active: 3, latency, ..Before::default() };
        let figures = before.until(&now, 2.0);
        assert_eq!((figures.requests, figures.errors, figures.received, figures.active), (10.0, 0.0, 300.0, 3));
        assert!((figures.p99.unwrap() / 2.0 - 1.0).abs() < 0.125, "{figures:?}");
        let idle = now.until(&now, 1.0);
        assert_eq!((idle.requests, idle.p50), (0.0, None));
        assert!(before.until(&before, 1.0).is_idle());
    }
}
