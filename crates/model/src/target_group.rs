//! A target group: targets and how one is chosen, checked, waited for (T1 to T13).

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::certificate::Certificate;
pub use crate::circuit_breaker::CircuitBreaker;
pub use crate::deadline::DeadlineHeader;
use crate::declared::{
    Codec, Cx, Declared, Defs, Fields, Host, Lasts, OneOrMore, Optional, Referable, Section, Step, To, Token, Within,
    choice, declared,
};
pub use crate::fallback::{Fallback, FileResponse};
use crate::guard::SecurityGroup;
pub use crate::health_check::{HealthCheck, HealthProtocol, Password, Role};
pub use crate::limits::{Adaptive, TargetLimits};
use crate::primitive::{Address, Name};
pub use crate::retry::{Backoff, Hedge, HedgeAfter, Retry, RetryWhen};
pub use crate::stickiness::Stickiness;
use crate::yaml::Node;

declared! {
    /// A target group.
    #[derive(Clone, Debug, PartialEq)]
    #[check = check_group]
    pub struct TargetGroup {
        /// What its targets speak; default `http`.
        #[note = note_protocol]
        pub protocol: TargetProtocol = TargetProtocol::Http,
        /// How TLS to the targets is spoken; without it, unverified. A `grpc` group speaks TLS when it has this.
        pub tls: Option<TargetTls> = None,
        /// HTTP version to the targets; default `http1`, with `grpc` always `http2`.
        pub version: HttpVersion => default_version(protocol),
        /// Its targets, no address twice. Shared between copies of the group: there may be very many.
        #[via = Targets]
        pub targets: Arc<[Target]> = Arc::default(),
        /// How a target is chosen (T7); default `round_robin`, of groups that speak no HTTP `flow_hash` (N1).
        pub algorithm: Algorithm => default_algorithm(protocol),
        /// Take fewer requests to targets that fail more than others; only with `weighted_random`.
        pub anomaly_mitigation: bool = false,
        /// What `consistent_hash` hashes.
        pub hash_on: HashOn = HashOn::SourceIp,
        /// Target stickiness (T10, T11).
        pub stickiness: Option<Stickiness> = None,
        /// How long a deregistered target may finish what it has (T9); default 300 s.
        #[via = Lasts<0, 604_800_000>]
        pub deregistration_delay: Duration = Duration::from_secs(300),
        /// What goes on through a deregistered target is reset when its delay is over (N7); default true of datagrams, else
        /// false: it goes on. Only of groups that speak no HTTP.
        pub deregistration_connection_termination: bool => protocol == Some(TargetProtocol::Udp),
        /// What goes on through a target that has become unhealthy is reset (N6); default true. Only of groups that speak
        /// no HTTP.
        pub unhealthy_connection_termination: bool => default_termination(protocol),
        /// Without `unhealthy_connection_termination`: it is reset after this (N6), 0 s to 360,000 s; absent: it goes on.
        #[via = Optional<Lasts<0, 360_000_000>>]
        pub unhealthy_draining_interval: Option<Duration> = None,
        /// How long a new target's share grows (T8); 0 s: not at all.
        #[via = Lasts<0, 86_400_000>]
        pub slow_start: Duration = Duration::ZERO,
        /// How health is found out (T2, T3).
        #[via = Section]
        pub health_check: HealthCheck,
        /// When nothing is healthy (T6); default `fail_open`, with a role in the health check `refuse`.
        pub fallback: Fallback => default_fallback(health_check.as_ref()),
        /// Default 3 s.
        #[via = Lasts<100, 86_400_000>]
        pub connect_timeout: Duration = Duration::from_secs(3),
        /// From the request's last byte to the response's head, and between two reads of its body; default 60 s.
        #[via = Lasts<100, 604_800_000>]
        pub response_timeout: Duration = Duration::from_secs(60),
        /// Between two reads of the response's body; default `response_timeout`.
        #[via = Optional<Lasts<100, 604_800_000>>]
        pub read_timeout: Option<Duration> = None,
        /// From the whole head of a request to the last byte of its answer, whatever happens between; absent: as long as the others
        /// allow. Only of groups that speak HTTP.
        #[via = Optional<Lasts<10, 604_800_000>>]
        pub request_timeout: Option<Duration> = None,
        /// A request field in which targets are told how many milliseconds are left, if anything bounds them. Only of groups
        /// that speak HTTP.
        pub deadline_header: Option<DeadlineHeader> = None,
        /// Absent: a request is sent once (a connection that could not be made is tried on another target all the same).
        pub retry: Option<Retry> = None,
        /// Sends requests that have no answer yet to a second target; absent: none.
        pub hedge: Option<Hedge> = None,
        /// Absent: none.
        pub circuit_breaker: Option<CircuitBreaker> = None,
        /// What may be in flight, and what waits.
        pub limits: TargetLimits = TargetLimits::default(),
        /// PROXY protocol sent to targets.
        pub proxy_protocol: ProxyProtocolVersion = ProxyProtocolVersion::None,
        /// Flows come to targets from their client's address and port (N3); default false. Only of groups that speak no HTTP. It
        /// needs CAP_NET_ADMIN, and routes that bring answers back to this machine.
        pub preserve_client_ip: bool = false,
        /// The security groups of its targets' machines. Targets are members of them, and a warning says when they do not
        /// let a load balancer reach its targets. Nothing is enforced here: the door is the targets' own.
        #[via = OneOrMore<To<SecurityGroup>>]
        pub security_groups: Vec<Name> = Vec::new(),
    }
}

impl Eq for TargetGroup {}

impl TargetGroup {
    /// Whether requests go to its targets over TLS.
    pub fn is_secured(&self) -> bool {
        self.protocol.is_tls() || self.protocol == TargetProtocol::Grpc && self.tls.is_some()
    }

    /// Whether its health checks go over TLS.
    pub fn is_checked_over_tls(&self) -> bool {
        match self.health_check.protocol {
            HealthProtocol::Https | HealthProtocol::Tls => true,
            HealthProtocol::Grpc => self.is_secured(),
            _ => false,
        }
    }
}

declared! {
    /// A registered target: an address, or an address and a weight.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[short = "address"]
    pub struct Target {
        /// Where it listens.
        pub address: Address,
        /// 0 to 999, default 1; 0 takes no new client.
        #[via = Within<0, 999>]
        pub weight: u16 = 1,
    }
}

declared! {
    /// TLS to targets (S5).
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    #[check = check_tls]
    pub struct TargetTls {
        /// A target must show a certificate for its name; default false, as an Application Load Balancer has it.
        pub verify: bool = false,
        /// PEM file of the authorities that are trusted; without it, those of the system.
        pub ca: Option<PathBuf> = None,
        /// The name that targets are asked for, and must show; default the name they are declared by.
        #[via = Optional<Host>]
        pub server_name: Option<String> = None,
        /// One of `certificates:`, shown to targets that ask for one.
        #[via = Optional<To<Certificate>>]
        pub certificate: Option<Name> = None,
    }
}

choice! {
    /// What targets speak.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum TargetProtocol {
        /// HTTP without TLS.
        Http = "http",
        /// HTTP over TLS.
        Https = "https",
        /// gRPC over HTTP/2, over TLS if the group says how.
        Grpc = "grpc",
        /// Bytes.
        Tcp = "tcp",
        /// Bytes over TLS.
        Tls = "tls",
        /// Datagrams.
        Udp = "udp",
    }
}

impl TargetProtocol {
    /// Whether it is always spoken over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether requests are forwarded, not bytes.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https | Self::Grpc)
    }
}

choice! {
    /// HTTP version to the targets.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum HttpVersion {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
    }
}

choice! {
    /// How a target is chosen (T7).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Algorithm {
        /// In turn, by weight.
        RoundRobin = "round_robin",
        /// The one with the fewest requests in flight for its weight.
        LeastOutstandingRequests = "least_outstanding_requests",
        /// At random, by weight.
        WeightedRandom = "weighted_random",
        /// By a hash of the request, moving few when targets change.
        ConsistentHash = "consistent_hash",
        /// By a hash of both ends of a flow (N1), moving few when targets change; of groups that speak no HTTP.
        FlowHash = "flow_hash",
        /// The one with the fewest connections for its weight; of groups that speak no HTTP.
        LeastConnections = "least_connections",
    }
}

choice! {
    /// What `consistent_hash` hashes.
    #[derive(Clone, Debug, PartialEq, Eq, Hash)]
    pub enum HashOn {
        /// The TCP peer's address.
        SourceIp = "source_ip",
        /// The path without query.
        Path = "path",
        /// A header's value; a request without it falls back to the peer's address.
        Header(#[via = Token] Arc<str>) = "header",
        /// A cookie's value; a request without it falls back to the peer's address.
        Cookie(#[via = Token] Arc<str>) = "cookie",
    }
}

choice! {
    /// PROXY protocol sent to targets.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ProxyProtocolVersion {
        /// Not sent.
        None = "none",
        /// A line of text.
        V1 = "v1",
        /// A binary header.
        V2 = "v2",
    }
}

impl ProxyProtocolVersion {
    /// Whether targets are told anything.
    pub fn is_sent(self) -> bool {
        self != Self::None
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that declares the enum takes no #[default]")]
impl Default for ProxyProtocolVersion {
    fn default() -> Self {
        Self::None
    }
}

impl Referable for TargetGroup {
    const COLLECTION: &'static str = "target_groups";
    const CALLED: &'static str = "target group";
}

fn note_protocol(protocol: Option<&TargetProtocol>, cx: &mut Cx<'_>) {
    cx.group_protocol = protocol.copied();
}

fn default_version(protocol: Option<TargetProtocol>) -> HttpVersion {
    if protocol == Some(TargetProtocol::Grpc) { HttpVersion::Http2 } else { HttpVersion::Http1 }
}

fn default_algorithm(protocol: Option<TargetProtocol>) -> Algorithm {
    if protocol.is_none_or(TargetProtocol::is_http) { Algorithm::RoundRobin } else { Algorithm::FlowHash }
}

/// What is written to a server of another role is worse than not written.
fn default_fallback(health_check: Option<&HealthCheck>) -> Fallback {
    let has_role = health_check.is_some_and(|check| check.role.is_some());
    if has_role { Fallback::Refuse } else { Fallback::FailOpen }
}

fn default_termination(protocol: Option<TargetProtocol>) -> bool {
    protocol.is_some_and(|protocol| !protocol.is_http())
}

fn check_tls<'a>(tls: &TargetTls, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if !tls.verify {
        fields.only_with("ca", "it with verify: true only", cx);
    }
}

fn check_group<'a>(group: &TargetGroup, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    cx.note_group(group.stickiness.clone(), group.version);
    if !group.is_secured() && !group.is_checked_over_tls() {
        fields.only_with("tls", "it with protocol https, grpc or tls only", cx);
    }
    if group.protocol == TargetProtocol::Grpc && group.version == HttpVersion::Http1 {
        fields.wrong("version", "http1 cannot carry gRPC", "http2", cx);
    }
    let by_load = [Algorithm::LeastOutstandingRequests, Algorithm::LeastConnections].contains(&group.algorithm);
    if by_load && !group.slow_start.is_zero() {
        let what = format!("does not go with {}", group.algorithm.word());
        fields.wrong("slow_start", what, "0s or another algorithm", cx);
    }
    if group.health_check.role.is_some() && group.fallback == Fallback::FailOpen {
        let what = "would choose targets of another role";
        fields.wrong("fallback", what, "refuse or { forward: ... }, for health_check has a role", cx);
    }
    if group.algorithm != Algorithm::WeightedRandom && group.anomaly_mitigation {
        fields.wrong("anomaly_mitigation", "needs weighted_random", "false or algorithm: weighted_random", cx);
    }
    if group.preserve_client_ip
        && let Some(what) = cannot_preserve(group)
    {
        fields.wrong("preserve_client_ip", what, "false", cx);
    }
    if group.protocol.is_http() {
        if matches!(group.algorithm, Algorithm::FlowHash | Algorithm::LeastConnections) {
            let what = format!("{} is of connections, and requests are forwarded", group.algorithm.word());
            fields.wrong("algorithm", what, "consistent_hash, least_outstanding_requests or another", cx);
        }
        for (key, is_set) in [
            ("deregistration_connection_termination", group.deregistration_connection_termination),
            ("unhealthy_connection_termination", group.unhealthy_connection_termination),
            ("unhealthy_draining_interval", group.unhealthy_draining_interval.is_some()),
        ] {
            if is_set {
                fields.only_with(key, "it with protocol tcp, tls or udp only", cx);
            }
        }
        if group.protocol == TargetProtocol::Grpc && group.hedge.is_some() {
            let what = "calls are made by POST, which is never sent twice at once";
            fields.wrong("hedge", what, "it with protocol http or https only", cx);
        }
    } else {
        check_flows(group, fields, cx);
        if group.unhealthy_connection_termination {
            fields.only_with("unhealthy_draining_interval", "it with unhealthy_connection_termination: false only", cx);
        }
        if matches!(group.fallback, Fallback::FixedResponse(_) | Fallback::File(_)) {
            fields.wrong(
                "fallback",
                "answers by HTTP, and its targets do not",
                "fail_open, refuse or { forward: ... }",
                cx,
            );
        }
        if matches!(group.stickiness, Some(Stickiness::LbCookie { .. } | Stickiness::AppCookie { .. })) {
            fields.wrong("stickiness", "needs cookies, and its targets speak no HTTP", "type: source_ip", cx);
        }
        if group.hash_on != HashOn::SourceIp {
            fields.wrong("hash_on", "needs HTTP, and its targets do not speak it", "source_ip", cx);
        }
    }
}

/// What is of requests means nothing to flows.
fn check_flows<'a>(group: &TargetGroup, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    const ONLY: &str = "it with protocol http, https or grpc only";
    for key in ["hedge", "read_timeout", "request_timeout", "deadline_header"] {
        fields.only_with(key, ONLY, cx);
    }
    let retry = group.retry.as_ref();
    let breaker = group.circuit_breaker.as_ref();
    for (key, inner, is_set) in [
        ("retry", "per_try_timeout", retry.is_some_and(|retry| retry.per_try_timeout.is_some())),
        ("retry", "backoff", retry.is_some_and(|retry| retry.backoff.is_some())),
        ("retry", "buffer", retry.is_some_and(|retry| retry.buffer > 0)),
        ("circuit_breaker", "latency_factor", breaker.is_some_and(|breaker| breaker.latency_factor.is_some())),
        ("limits", "max_requests", group.limits.max_requests > 0),
        ("limits", "max_pending", group.limits.max_pending > 0),
        ("limits", "adaptive", group.limits.adaptive.is_some()),
    ] {
        if is_set {
            fields.inner_only_with(key, inner, ONLY, cx);
        }
    }
}

/// Why targets cannot see where their clients are, if they cannot.
fn cannot_preserve(group: &TargetGroup) -> Option<String> {
    if group.protocol.is_http() {
        let shared = format!(
            "goes with tcp, tls and udp only: clients share the connections to targets of {}",
            group.protocol.word()
        );
        return Some(shared);
    }
    let unix = group.targets.iter().find(|target| matches!(target.address, Address::Unix(_)))?;
    Some(format!("means nothing to {}, which is told no address", unix.address))
}

/// Targets, no address twice.
struct Targets;

impl Codec<Arc<[Target]>> for Targets {
    fn expected() -> String {
        "a list of targets".to_owned()
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Arc<[Target]>> {
        if node.as_map().is_some() {
            cx.wrong_kind(node, Self::expected());
            return None;
        }
        let targets: Vec<Target> = OneOrMore::<crate::declared::Plain>::read(node, cx)?;
        let mut seen = HashSet::new();
        for (index, item) in node.items().iter().enumerate() {
            let place = item.get("address").unwrap_or(item);
            if let Some(Ok(address)) = place.as_text().map(str::parse::<Address>)
                && !seen.insert(address)
            {
                cx.within(Step::Index(index), |cx| cx.wrong(place, "is there twice", "each address once"));
            }
        }
        Some(targets.into())
    }

    fn write(value: &Arc<[Target]>) -> Value {
        value.iter().map(Declared::write).collect()
    }

    fn schema(defs: &mut Defs) -> Value {
        Vec::<Target>::schema(defs)
    }
}
