//! A target group: targets and how one is chosen, checked, waited for (T1 to T13).

use std::sync::Arc;
use std::time::Duration;

use crate::action::FixedResponse;
use crate::primitive::{Address, Name};

/// A target group.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetGroup {
    /// What its targets speak.
    pub protocol: TargetProtocol,
    /// HTTP version to the targets.
    pub version: HttpVersion,
    /// Its targets, no address twice.
    pub targets: Vec<Target>,
    /// How a target is chosen (T7).
    pub algorithm: Algorithm,
    /// `anomaly_mitigation: true` (only with `weighted_random`).
    pub anomaly_mitigation: bool,
    /// What `consistent_hash` hashes: `hash_on: source_ip | path | { header: X } | { cookie: sid }`.
    pub hash_on: HashOn,
    /// Target stickiness (T10, T11).
    pub stickiness: Option<Stickiness>,
    /// How long a deregistered target may finish what it has (T9); default 300 s.
    pub deregistration_delay: Duration,
    /// How long a new target's share grows (T8); 0: not at all.
    pub slow_start: Duration,
    /// When nothing is healthy (T6).
    pub fallback: Fallback,
    /// How health is found out (T2, T3).
    pub health_check: HealthCheck,
    /// Default 3 s.
    pub connect_timeout: Duration,
    /// From the request's last byte to the response's head, and between two reads of its body; default 60 s.
    pub response_timeout: Duration,
    /// Absent: a request is sent once (a connection that could not be made is tried on another target all the same).
    pub retry: Option<Retry>,
    /// Absent: none.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Per target.
    pub limits: TargetLimits,
    /// PROXY protocol sent to targets.
    pub proxy_protocol: ProxyProtocolVersion,
}

impl Eq for TargetGroup {}

/// A registered target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it listens.
    pub address: Address,
    /// 0 to 999, default 1; 0 takes no new client.
    pub weight: u16,
}

/// What targets speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the protocols'")]
pub enum TargetProtocol {
    Http,
    Https,
    Grpc,
    Tcp,
    Tls,
    Udp,
}

/// HTTP version to the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the versions'")]
pub enum HttpVersion {
    Http1,
    Http2,
}

/// How a target is chosen (T7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// In turn, by weight.
    RoundRobin,
    /// The one with the fewest requests in flight for its weight.
    LeastOutstandingRequests,
    /// At random, by weight.
    WeightedRandom,
    /// By a hash of the request, moving few when targets change.
    ConsistentHash,
}

/// What `consistent_hash` hashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashOn {
    /// The TCP peer's address.
    SourceIp,
    /// The path without query.
    Path,
    /// A header's value; a request without it falls back to the peer's address.
    Header(Arc<str>),
    /// A cookie's value; a request without it falls back to the peer's address.
    Cookie(Arc<str>),
}

/// Target stickiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stickiness {
    /// `{ type: lb_cookie, duration: 1d, cookie_name: AWSALB }` (T10).
    LbCookie {
        /// 1 s to 7 days, default 1 day.
        duration: Duration,
        /// `AWSALB` unless said otherwise; `<name>CORS` goes with it.
        cookie_name: Arc<str>,
    },
    /// `{ type: app_cookie, name: JSESSIONID, duration: 1d }` (T11).
    AppCookie {
        /// The application's own cookie.
        name: Arc<str>,
        /// 1 s to 7 days, default 1 day.
        duration: Duration,
    },
    /// `{ type: source_ip }`.
    SourceIp,
}

/// What is done when nothing is healthy (T6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// All targets count as healthy.
    FailOpen,
    /// Another group.
    Forward(Name),
    /// An answer of our own.
    FixedResponse(FixedResponse),
}

/// How health is found out (T2, T3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What the probe speaks; default the group's protocol.
    pub protocol: HealthProtocol,
    /// Path of an HTTP probe; default `/`.
    pub path: Arc<str>,
    /// `traffic` (absent here) or a port.
    pub port: Option<u16>,
    /// Default 30 s.
    pub interval: Duration,
    /// Default 5 s.
    pub timeout: Duration,
    /// Successes in a row that make an unhealthy target healthy; default 5.
    pub healthy_threshold: u16,
    /// Failures in a row that make a target unhealthy; default 2.
    pub unhealthy_threshold: u16,
    /// Statuses that count as success: inclusive ranges; default 200.
    pub matcher: Vec<(u16, u16)>,
}

/// What a probe speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the protocols'")]
pub enum HealthProtocol {
    Http,
    Https,
    Grpc,
    Tcp,
    Tls,
    Postgres,
    Mysql,
    Redis,
    /// Never probed, always healthy.
    None,
}

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included; 1 to 10, default 2.
    pub attempts: u8,
    /// What is tried again.
    pub when: Vec<RetryWhen>,
    /// Retries may be at most this share of live requests; default 0.2.
    pub budget: f64,
}

/// A reason to send a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryWhen {
    /// No connection could be made.
    ConnectFailure,
    /// The connection ended before the first byte of a response.
    ResetBeforeResponse,
    /// The response head did not come in time.
    Timeout,
    /// This status, 500 to 599, written `status_503`.
    Status(u16),
}

/// Passive ejection of a failing target.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreaker {
    /// Failures in a row; default 5.
    pub consecutive_failures: u32,
    /// How long a target stays out; default 10 s.
    pub open_for: Duration,
    /// At most this share of the group is out; default 0.5.
    pub max_ejected: f64,
}

/// Bounds per target; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetLimits {
    /// Requests in flight.
    pub max_connections: u32,
    /// Requests that wait for one of them.
    pub max_pending: u32,
}

/// PROXY protocol sent to targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the versions'")]
pub enum ProxyProtocolVersion {
    #[default]
    None,
    V1,
    V2,
}
