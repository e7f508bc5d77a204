//! What runs, as `/v1/status` shows it and `/metrics` counts it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use headworks_balance::Supply;
use headworks_model::primitive::Name;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::counters::{Count, ListenerCounters, TargetCounters};
use super::flow::Ended;
use super::histogram::{Histogram, Merged};
use crate::compile::plan::{ActionPlan, ListenerKey, ListenerPlan, Plan, RulePlan};
use crate::guard::state::Talker;
use crate::runtime::pressure::Pressure;
use crate::tls::certificate::{Certificate, Facts, Origin};
use crate::upstream::group::{GroupShared, TargetState};

/// Clients of each listener that are shown.
pub(super) const TOP_CLIENTS: usize = 10;

/// What runs at one moment. Counters go on counting behind it.
#[derive(Clone, Default)]
pub struct View {
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) groups: BTreeMap<Name, Arc<GroupShared>>,
    pub(crate) addresses: BTreeMap<ListenerKey, SocketAddr>,
    /// Those of files first.
    pub(crate) certificates: Vec<Arc<Certificate>>,
}

/// p50, p95 and p99 in milliseconds.
#[derive(Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    mean: f64,
}

fn latency<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Latency {
    let merged = Merged::of(histograms);
    let millis = |share| merged.quantile(share) as f64 / 1e3;
    let mean = merged.sum.checked_div(merged.count).unwrap_or(0) as f64 / 1e3;
    Latency { p50: millis(0.5), p95: millis(0.95), p99: millis(0.99), mean }
}

impl View {
    /// Listeners with their rules and hits, certificates, what is used of what is bounded: all but target groups.
    pub fn to_json(&self) -> Value {
        let mut balancers = BTreeMap::<&str, Map<String, Value>>::new();
        for listener in self.plan.iter().flat_map(|plan| &plan.listeners) {
            let listeners = balancers.entry(&listener.key.load_balancer).or_default();
            listeners.insert(listener.key.listener.to_string(), self.listener(listener));
        }
        let balancers: Map<String, Value> = balancers
            .into_iter()
            .map(|(name, listeners)| (name.to_owned(), json!({ "listeners": listeners })))
            .collect();
        let certificates: Map<String, Value> =
            self.certificates.iter().map(|c| (c.name.to_string(), certificate_json(c))).collect();
        let overload: Map<String, Value> =
            self.pressure.each().into_iter().map(|(what, used)| (what.to_owned(), used.into())).collect();
        json!({
            "load_balancers": balancers,
            "certificates": certificates,
            "overload": overload,
        })
    }

    /// Target groups with their targets, by name: each is made when it is asked for, for there may be very many.
    pub fn into_groups(self) -> impl Iterator<Item = (String, Value)> {
        self.groups.into_iter().map(|(name, group)| (name.to_string(), group_json(&group)))
    }

    /// One target group with its targets; none when there is none of this name.
    pub fn target_group(&self, name: &str) -> Option<Value> {
        self.groups.get(name).map(|group| group_json(group))
    }

    /// The state of each target, as group, address and state: what may have changed since another look.
    pub fn target_states(&self) -> impl Iterator<Item = (&Name, Vec<(String, &'static str)>)> {
        self.groups.iter().map(|(name, group)| {
            let states = group.report().iter().map(|target| (target.address.clone(), target.state)).collect();
            (name, states)
        })
    }

    fn listener(&self, plan: &ListenerPlan) -> Value {
        let sum = |count: fn(&ListenerCounters) -> &Count| total(&plan.counters, count);
        let statuses =
            |own: bool| statuses(plan.counters.iter().map(|c| if own { &c.own_statuses } else { &c.target_statuses }));
        let hits = plan.total_hits();
        let rules: Vec<Value> = plan
            .rules
            .iter()
            .chain([&plan.default])
            .zip(&hits)
            .map(|(rule, hits)| json!({ "rule": &*rule.label, "action": self.action(rule), "hits": hits }))
            .collect();
        let of_all = json!({
            "address": self.addresses.get(&plan.key).map(ToString::to_string),
            "protocol": plan.protocol,
            "connections": { "active": sum(|c| &c.active_connections), "total": sum(|c| &c.new_connections) },
            "refused_connections": refusals(&plan.counters),
            "dropped_packets": sum(|c| &c.dropped_packets),
            "top_clients": plan.guard.state.top(TOP_CLIENTS).iter().map(client_json).collect::<Vec<_>>(),
            "bytes": { "received": sum(|c| &c.received_bytes), "sent": sum(|c| &c.sent_bytes) },
            "rules": rules,
        });
        let of_kind = if plan.flows.is_some() {
            let ended = flows_ended(plan).into_iter().map(|(ended, n)| (ended.as_str(), n));
            json!({ "ended": ended.collect::<BTreeMap<_, _>>() })
        } else {
            json!({
                "requests": sum(|c| &c.requests),
                "statuses": { "target": statuses(false), "headworks": statuses(true) },
                "latency_ms": latency(plan.counters.iter().map(|c| &c.latency)),
            })
        };
        [of_all, of_kind].into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect()
    }

    fn action(&self, rule: &RulePlan) -> Value {
        match &rule.action {
            ActionPlan::Redirect(redirect) => json!({ "redirect": redirect.status }),
            ActionPlan::Fixed(fixed) => json!({ "fixed_response": fixed.status }),
            ActionPlan::Forward(forward) => {
                let groups: Map<String, Value> = forward
                    .groups
                    .iter()
                    .filter_map(|g| {
                        let group = self.plan.as_ref()?.groups.get(g.group)?;
                        Some((group.shared.name.to_string(), g.weight.into()))
                    })
                    .collect();
                json!({ "forward": groups })
            }
        }
    }
}

/// How a listener's flows have ended so far, as far as it has happened.
pub(crate) fn flows_ended(plan: &ListenerPlan) -> Vec<(Ended, u64)> {
    let sum = |ended: Ended| {
        let of = |counters: &ListenerCounters| counters.flows.count(ended);
        (ended, plan.counters.iter().map(of).sum())
    };
    Ended::ALL.into_iter().map(sum).filter(|(_, count)| *count > 0).collect()
}

pub(crate) fn total<C>(counters: &[C], count: impl Fn(&C) -> &Count) -> u64 {
    // a gauge's share of one worker may wrap below zero only in the sum's middle, never in its end
    counters.iter().fold(0, |sum: u64, c| sum.wrapping_add(count(c).read()))
}

pub(crate) fn statuses<'a>(counters: impl Iterator<Item = &'a super::counters::Statuses>) -> BTreeMap<u16, u64> {
    let mut sums = BTreeMap::new();
    for (status, count) in counters.flat_map(|c| c.seen()) {
        *sums.entry(status).or_insert(0) += count;
    }
    sums
}

/// Connections refused, by reason.
pub(crate) fn refusals(counters: &[ListenerCounters]) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (reason, count) in counters.iter().flat_map(ListenerCounters::refusals) {
        *sums.entry(reason.as_str()).or_insert(0) += count;
    }
    sums
}

fn client_json(talker: &Talker) -> Value {
    let Talker { key, client, is_blocked } = talker;
    json!({
        "client": key.to_string(),
        "connections": { "active": client.open, "total": client.admitted, "refused": client.refused },
        "blocked": is_blocked,
    })
}

fn certificate_json(certificate: &Certificate) -> Value {
    let Facts { issuer, serial, valid: [not_before, not_after], .. } = &certificate.facts;
    json!({
        "source": if certificate.origin == Origin::Files { "files" } else { "acme" },
        "state": if certificate.origin == Origin::StandIn { "stand_in" } else { "issued" },
        "names": certificate.names,
        "issuer": issuer,
        "serial": serial,
        "not_before": not_before,
        "not_after": not_after,
    })
}

fn group_json(group: &GroupShared) -> Value {
    let published = group.published();
    let report = group.report();
    let healthy = report.iter().filter(|t| t.is_healthy && t.state != "draining").count();
    let targets: Vec<Value> = report.iter().map(target_json).collect();
    json!({
        "fail_open": published.roster.supply == Supply::FailOpen,
        "healthy": healthy,
        "requests": total(&group.counters, |c| &c.requests),
        "retries": total(&group.counters, |c| &c.retries),
        "pending": group.gate.waiting(),
        "adaptive_limit": group.gate.found(),
        "targets": targets,
    })
}

fn target_json(target: &TargetState) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| drop(out.insert(key.to_owned(), value));
    put("address", target.address.clone().into());
    put("state", target.state.into());
    put("reason", target.reason.into());
    put("description", target.description.clone().into());
    put("weight", target.weight.into());
    put("effective_weight", target.effective_weight.into());
    for (key, is) in [
        ("slow_start", target.in_slow_start),
        ("ejected", target.ejected),
        ("anomalous", target.anomalous),
        ("mitigated", target.mitigated),
    ] {
        if is {
            put(key, true.into());
        }
    }
    if let Some(shared) = &target.shared {
        let counters: &[TargetCounters] = &shared.counters;
        put("in_flight", shared.in_flight().into());
        put("requests", total(counters, |c| &c.requests).into());
        put("statuses", json!(statuses(counters.iter().map(|c| &c.statuses))));
        put(
            "connections",
            json!({
                "idle": total(counters, |c| &c.idle_connections),
                "total": total(counters, |c| &c.new_connections),
                "failed": total(counters, |c| &c.connect_failures),
            }),
        );
        put("latency_ms", json!(latency(counters.iter().map(|c| &c.latency))));
    }
    out.into()
}
