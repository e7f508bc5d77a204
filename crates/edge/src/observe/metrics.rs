//! The exposition for Prometheus (OpenMetrics text): sums over workers, made when asked for.

mod flow;
mod refused;
mod resilience;

use std::collections::BTreeMap;
use std::fmt;

use headworks_message::encoding::ContentCoding;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::counters::{CompressionCounters, Count, GRPC_STATUSES, GroupCounters, ListenerCounters, TargetCounters};
use super::histogram::{Histogram, Merged};
use super::status::{View, statuses, total};
use crate::compile::plan::ListenerPlan;
use crate::tls::certificate::{Origin, unix_now};

/// What the process knows besides the data plane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Configurations applied since the start, the first included.
    pub reloads_applied: u64,
    /// Configurations refused.
    pub reloads_refused: u64,
    /// Seconds since 1970 of the start.
    pub started: u64,
    /// Data-plane threads.
    pub workers: usize,
    /// Certificates that an authority has issued by ACME.
    pub orders_issued: u64,
    /// Orders of certificates that came to nothing.
    pub orders_failed: u64,
}

/// The Content-Type of [`exposition`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics as text.
///
/// # Errors
/// When the encoder refuses, which it does not for these.
pub fn exposition(view: &View, process: Process) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("headworks");
    registry.register_collector(Box::new(Exposed { view: view.clone(), process }));
    let mut out = String::with_capacity(64 * 1024);
    text::encode(&mut out, &registry)?;
    Ok(out)
}

struct Exposed {
    view: View,
    process: Process,
}

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposed")
    }
}

type Labels<'a> = Vec<(&'static str, String)>;

/// One family in the making.
struct Family<'e>(MetricEncoder<'e>);

impl Family<'_> {
    fn counter(&mut self, labels: &Labels<'_>, value: u64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauge(&mut self, labels: &Labels<'_>, value: f64) -> fmt::Result {
        self.0.encode_family(labels)?.encode_gauge(&value)
    }

    fn histogram<'a>(&mut self, labels: &Labels<'_>, of: impl Iterator<Item = &'a Histogram>) -> fmt::Result {
        let merged = Merged::of(of);
        let sum = merged.sum as f64 / 1e6;
        self.0.encode_family(labels)?.encode_histogram::<NoLabelSet>(sum, merged.count, &merged.buckets(), None)
    }
}

impl Collector for Exposed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.process(&mut encoder)?;
        self.certificates(&mut encoder)?;
        self.listeners(&mut encoder)?;
        self.flows(&mut encoder)?;
        self.groups(&mut encoder)?;
        self.resilience(&mut encoder)?;
        self.targets(&mut encoder)
    }
}

fn listener_labels(plan: &ListenerPlan) -> Labels<'static> {
    vec![("load_balancer", plan.key.load_balancer.to_string()), ("listener", plan.key.listener.to_string())]
}

fn with(labels: &Labels<'static>, key: &'static str, value: &dyn fmt::Display) -> Labels<'static> {
    let mut labels = labels.clone();
    labels.push((key, value.to_string()));
    labels
}

impl Exposed {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut reloads = begin(encoder, "reloads", "Configurations by result", MetricType::Counter)?;
        reloads.counter(&vec![("result", "applied".into())], self.process.reloads_applied)?;
        reloads.counter(&vec![("result", "refused".into())], self.process.reloads_refused)?;
        let mut started = begin(encoder, "start_time_seconds", "Start of the process", MetricType::Gauge)?;
        started.gauge(&Vec::new(), self.process.started as f64)?;
        let mut workers = begin(encoder, "workers", "Data-plane threads", MetricType::Gauge)?;
        workers.gauge(&Vec::new(), self.process.workers as f64)
    }

    fn certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let now = unix_now();
        let help = "Seconds until a certificate expires; 0 for one that stands in until it is issued";
        let mut expiry = begin(encoder, "certificate_expiry_seconds", help, MetricType::Gauge)?;
        for certificate in &self.view.certificates {
            let labels = vec![("certificate", certificate.name.to_string())];
            let left = certificate.facts.validity.not_after.saturating_sub(now);
            expiry.gauge(&labels, if certificate.origin == Origin::StandIn { 0.0 } else { left as f64 })?;
        }
        let mut orders = begin(encoder, "acme_orders", "Certificates ordered by ACME by outcome", MetricType::Counter)?;
        orders.counter(&vec![("outcome", "issued".into())], self.process.orders_issued)?;
        orders.counter(&vec![("outcome", "failed".into())], self.process.orders_failed)
    }

    /// Listeners that read requests.
    fn listeners(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = || self.view.plan.iter().flat_map(|plan| plan.listeners.iter().filter(|l| l.flows.is_none()));
        type Get = fn(&ListenerCounters) -> &Count;
        let counters: [(&str, &str, Get); 9] = [
            ("connections", "Client connections accepted", |c| &c.new_connections),
            ("requests", "Requests answered or refused", |c| &c.requests),
            ("routed_requests", "Requests for which a target was chosen", |c| &c.routed_requests),
            ("received_bytes", "Bytes of requests", |c| &c.received_bytes),
            ("sent_bytes", "Bytes of responses", |c| &c.sent_bytes),
            ("upgrades", "Connections switched to another protocol", |c| &c.upgrades),
            ("dropped_invalid_header_requests", "Requests with header fields dropped", |c| &c.dropped_invalid_headers),
            ("forwarded_invalid_header_requests", "Requests with unusual header names sent on", |c| {
                &c.forwarded_invalid_headers
            }),
            ("redirect_url_limit_exceeded", "Redirects with a Location over 8 KiB", |c| &c.redirect_too_long),
        ];
        for (name, help, get) in counters {
            let mut family = begin(encoder, name, help, MetricType::Counter)?;
            for plan in listeners() {
                family.counter(&listener_labels(plan), total(&plan.counters, get))?;
            }
        }
        let mut active = begin(encoder, "active_connections", "Client connections open", MetricType::Gauge)?;
        for plan in listeners() {
            active.gauge(&listener_labels(plan), total(&plan.counters, |c| &c.active_connections) as f64)?;
        }
        let mut dropped =
            begin(encoder, "access_log_dropped_lines", "Lines the disk was too slow for", MetricType::Counter)?;
        for plan in listeners() {
            dropped.counter(&listener_labels(plan), total(&plan.counters, |c| &c.access_log_dropped))?;
        }
        let help = "Responses by status and by who made them: the target or headworks itself";
        let mut responses = begin(encoder, "responses", help, MetricType::Counter)?;
        for plan in listeners() {
            let labels = listener_labels(plan);
            let origins = [
                ("target", statuses(plan.counters.iter().map(|c| &c.target_statuses))),
                ("headworks", statuses(plan.counters.iter().map(|c| &c.own_statuses))),
            ];
            for (origin, seen) in origins {
                for (status, count) in seen {
                    responses.counter(&with(&with(&labels, "origin", &origin), "status", &status), count)?;
                }
            }
        }
        type Part = fn(&CompressionCounters) -> &Count;
        let parts: [(&str, &str, Part); 3] = [
            ("compressed_responses", "Responses compressed", |c| &c.responses),
            ("compression_input_bytes", "Bytes of content before compression", |c| &c.content),
            ("compression_output_bytes", "Bytes of content after compression", |c| &c.encoded),
        ];
        for (name, help, get) in parts {
            let mut family = begin(encoder, name, help, MetricType::Counter)?;
            for plan in listeners().filter(|plan| plan.compression.is_some()) {
                for coding in ContentCoding::ALL {
                    let of = |c: &ListenerCounters| c.compressed.get(coding as usize).map_or(0, |c| get(c).read());
                    let sum = plan.counters.iter().map(of).sum();
                    family.counter(&with(&listener_labels(plan), "algorithm", &coding.name()), sum)?;
                }
            }
        }
        let mut tiers = begin(encoder, "requests_by_tier", "Requests by desync tier", MetricType::Counter)?;
        for plan in listeners() {
            for (i, tier) in ["compliant", "acceptable", "ambiguous", "severe"].into_iter().enumerate() {
                let count = plan.counters.iter().filter_map(|c| c.tiers.get(i)).map(Count::read).sum();
                tiers.counter(&with(&listener_labels(plan), "tier", &tier), count)?;
            }
        }
        let mut hits = begin(encoder, "rule_hits", "Requests by the rule that matched", MetricType::Counter)?;
        for plan in listeners() {
            // a series each for thousands of rules would cost the scraper more than it tells; status has them all
            let rules = plan.rules.iter().chain([&plan.default]).zip(plan.total_hits()).filter(|(_, hits)| *hits > 0);
            for (rule, count) in rules.take(1000) {
                hits.counter(&with(&listener_labels(plan), "rule", &rule.label), count)?;
            }
        }
        self.handshakes(encoder)?;
        self.refused(encoder)?;
        let help = "From the whole request head to the last byte of the response";
        let mut latency = begin(encoder, "request_duration_seconds", help, MetricType::Histogram)?;
        for plan in listeners() {
            latency.histogram(&listener_labels(plan), plan.counters.iter().map(|c| &c.latency))?;
        }
        Ok(())
    }

    fn handshakes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = || self.view.plan.iter().flat_map(|plan| plan.listeners.iter().filter(|l| l.tls.is_some()));
        let help = "TLS handshakes by version and by whether a session was resumed";
        let mut done = begin(encoder, "tls_handshakes", help, MetricType::Counter)?;
        for plan in listeners() {
            let mut sums: BTreeMap<(&str, bool), u64> = BTreeMap::new();
            for (version, resumed, count) in plan.counters.iter().flat_map(|c| c.tls.successes()) {
                *sums.entry((version, resumed)).or_default() += count;
            }
            for ((version, resumed), count) in sums {
                let labels = with(&with(&listener_labels(plan), "version", &version), "resumed", &resumed);
                done.counter(&labels, count)?;
            }
        }
        let mut failed = begin(encoder, "tls_handshake_failures", "TLS handshakes that failed", MetricType::Counter)?;
        for plan in listeners() {
            let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
            for (failure, count) in plan.counters.iter().flat_map(|c| c.tls.failures()) {
                *sums.entry(failure.as_str()).or_default() += count;
            }
            for (reason, count) in sums {
                failed.counter(&with(&listener_labels(plan), "reason", &reason), count)?;
            }
        }
        let help = "TLS handshakes under way, and hellos that are waited for";
        let mut under_way = begin(encoder, "tls_handshakes_in_flight", help, MetricType::Gauge)?;
        for plan in self.view.plan.iter().flat_map(|plan| &plan.listeners).filter(|plan| plan.awaits_hellos()) {
            under_way.gauge(&listener_labels(plan), total(&plan.counters, |c| &c.tls.under_way) as f64)?;
        }
        type Get = fn(&ListenerCounters) -> &Count;
        let quic: [(&str, &str, Get); 2] = [
            ("quic_address_validations", "Clients that were asked to prove their address before a handshake", |c| {
                &c.tls.validations
            }),
            ("quic_datagrams_handed_on", "Datagrams that one worker received for a connection of another", |c| {
                &c.tls.handed_on
            }),
        ];
        for (name, help, get) in quic {
            let mut metric = begin(encoder, name, help, MetricType::Counter)?;
            for plan in listeners().filter(|plan| plan.http3.is_some()) {
                metric.counter(&listener_labels(plan), total(&plan.counters, get))?;
            }
        }
        Ok(())
    }

    fn groups(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Get = fn(&GroupCounters) -> &Count;
        let counters: [(&str, &str, Get); 17] = [
            ("target_group_requests", "Requests or flows sent to a group", |c| &c.requests),
            ("target_group_connection_errors", "Connections of flows that could not be opened", |c| {
                &c.connect_failures
            }),
            ("port_allocation_errors", "Connections for which there was no port left to connect from", |c| {
                &c.port_allocation_errors
            }),
            ("target_group_replaced_client_addresses", "Flows that could not come from their client's address", |c| {
                &c.replaced_addresses
            }),
            ("target_group_replaced_client_ports", "Flows from their client's address whose port was taken", |c| {
                &c.replaced_ports
            }),
            ("target_group_hedges", "Requests sent to another target while one had not answered", |c| &c.hedges),
            ("target_group_mirrored_requests", "Copies of other groups' requests sent", |c| &c.mirrored),
            ("target_group_mirror_dropped", "Copies not sent because too many were under way", |c| &c.mirror_dropped),
            ("target_group_mirror_failed", "Copies that were not answered", |c| &c.mirror_failed),
            ("target_group_hedges_won", "Those of them that were answered first", |c| &c.hedges_won),
            ("target_group_retries_over_budget", "Further attempts that the budget forbade", |c| {
                &c.retries_over_budget
            }),
            ("target_group_no_target", "Requests without a target to choose", |c| &c.no_target),
            ("target_group_overloaded", "Requests with every target at its limit", |c| &c.overloaded),
            ("target_group_queued_requests", "Requests that had to wait for a place", |c| &c.queued),
            ("target_group_pending_timeouts", "Those of them that waited in vain", |c| &c.pending_timeouts),
            ("target_group_unhealthy_routing_requests", "Requests while the group failed open", |c| {
                &c.fail_open_requests
            }),
            ("target_group_non_sticky_requests", "Requests whose cookie named a target that could not be used", |c| {
                &c.non_sticky_requests
            }),
        ];
        for (name, help, get) in counters {
            let mut family = begin(encoder, name, help, MetricType::Counter)?;
            for (group, shared) in &self.view.groups {
                family.counter(&vec![("target_group", group.to_string())], total(&shared.counters, get))?;
            }
        }
        let mut family = begin(encoder, "target_group_grpc_calls", "gRPC calls by their status", MetricType::Counter)?;
        for (group, shared) in &self.view.groups {
            for status in 0..GRPC_STATUSES {
                let of = |counters: &GroupCounters| counters.grpc_statuses.get(status).map_or(0, Count::read);
                let calls: u64 = shared.counters.iter().map(of).sum();
                if calls > 0 {
                    let labels = vec![("target_group", group.to_string()), ("grpc_status", status.to_string())];
                    family.counter(&labels, calls)?;
                }
            }
        }
        for (name, healthy) in [("target_group_healthy_targets", true), ("target_group_unhealthy_targets", false)] {
            let mut family = begin(encoder, name, "Registered targets by health", MetricType::Gauge)?;
            for (group, shared) in &self.view.groups {
                let report = shared.report();
                let count = report.iter().filter(|t| t.is_healthy == healthy && t.state != "draining").count();
                family.gauge(&vec![("target_group", group.to_string())], count as f64)?;
            }
        }
        Ok(())
    }

    fn targets(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let targets: Vec<(Labels<'static>, std::sync::Arc<crate::upstream::target::TargetShared>, bool, bool)> = self
            .view
            .groups
            .iter()
            .flat_map(|(group, shared)| {
                let report = shared.report();
                let of = |t: &crate::upstream::group::TargetState| {
                    let labels = vec![("target_group", group.to_string()), ("target", t.address.clone())];
                    Some((labels, t.shared.clone()?, t.is_healthy, t.ejected))
                };
                report.iter().filter_map(of).collect::<Vec<_>>()
            })
            .collect();
        let mut health = begin(encoder, "target_healthy", "1 when requests may be sent", MetricType::Gauge)?;
        for (labels, _, healthy, _) in &targets {
            health.gauge(labels, f64::from(u8::from(*healthy)))?;
        }
        let mut ejected =
            begin(encoder, "target_ejected", "1 while its circuit breaker keeps it out", MetricType::Gauge)?;
        for (labels, _, _, is_ejected) in &targets {
            ejected.gauge(labels, f64::from(u8::from(*is_ejected)))?;
        }
        let mut in_flight = begin(encoder, "target_in_flight_requests", "Requests in flight", MetricType::Gauge)?;
        for (labels, target, ..) in &targets {
            in_flight.gauge(labels, f64::from(target.in_flight()))?;
        }
        type Get = fn(&TargetCounters) -> &Count;
        let counters: [(&str, &str, Get); 4] = [
            ("target_requests", "Requests sent, further attempts included", |c| &c.requests),
            ("target_connections", "Connections opened", |c| &c.new_connections),
            ("target_connection_errors", "Connections that could not be opened", |c| &c.connect_failures),
            ("target_retries", "Attempts that followed a failed one", |c| &c.retries),
        ];
        for (name, help, get) in counters {
            let mut family = begin(encoder, name, help, MetricType::Counter)?;
            for (labels, target, ..) in &targets {
                family.counter(labels, total(&target.counters, get))?;
            }
        }
        let mut responses = begin(encoder, "target_responses", "Responses by status class", MetricType::Counter)?;
        for (labels, target, ..) in &targets {
            let mut classes = [0u64; 6];
            for (status, count) in statuses(target.counters.iter().map(|c| &c.statuses)) {
                if let Some(class) = classes.get_mut(usize::from(status / 100)) {
                    *class += count;
                }
            }
            for (class, count) in classes.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                responses.counter(&with(labels, "class", &format_args!("{class}xx")), count)?;
            }
        }
        let help = "From the request's last byte to the response head";
        let mut latency = begin(encoder, "target_response_time_seconds", help, MetricType::Histogram)?;
        for (labels, target, ..) in &targets {
            latency.histogram(labels, target.counters.iter().map(|c| &c.latency))?;
        }
        Ok(())
    }
}

fn begin<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    help: &'e str,
    kind: MetricType,
) -> Result<Family<'e>, fmt::Error> {
    Ok(Family(encoder.encode_descriptor(name, help, None, kind)?))
}
