//! A load balancer: listeners and the attributes they share (H1 to H8).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::listener::Listener;
use crate::primitive::Name;

/// A load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// `application` or `network`.
    pub kind: LoadBalancerKind,
    /// By name.
    pub listeners: BTreeMap<Name, Listener>,
    /// A connection on which nothing moves is closed after this; default 60 s.
    pub idle_timeout: Duration,
    /// The longest life of a client connection; default 1 h.
    pub client_keep_alive: Duration,
    /// What happens to requests that two readers could read differently (H8).
    pub desync_mitigation: DesyncMitigation,
    /// Drop header fields whose name is not `[-A-Za-z0-9]+` (H7).
    pub drop_invalid_header_fields: bool,
    /// Leave Host as it is (H6).
    pub preserve_host_header: bool,
    /// What happens to `X-Forwarded-For` (H4).
    pub xff_header_processing: XffHeaderProcessing,
    /// Add the client's port to `X-Forwarded-For` (H4); default false.
    pub xff_client_port: bool,
    /// Where answered requests are written.
    pub access_log: Option<AccessLog>,
    /// Allow-lists at the door.
    pub security_groups: Vec<Name>,
}

/// The type of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadBalancerKind {
    /// Layer 7.
    Application,
    /// Layer 4.
    Network,
}

/// Desync mitigation mode (H8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DesyncMitigation {
    /// Only what cannot be forwarded cleanly is refused.
    Monitor,
    /// Severe is refused; ambiguous is forwarded, then both connections are closed.
    Defensive,
    /// Whatever is not compliant is refused.
    Strictest,
}

/// What happens to `X-Forwarded-For` (H4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum XffHeaderProcessing {
    /// The client's address is added at the end.
    Append,
    /// It goes through as it came.
    Preserve,
    /// It is taken out.
    Remove,
}

/// The access log of a load balancer.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// The file; relative paths start at the configuration file's folder.
    pub path: PathBuf,
    /// How a line looks.
    pub format: AccessLogFormat,
    /// The share of requests that is written, 0 to 1.
    pub sample: f64,
}

impl Eq for AccessLog {}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessLogFormat {
    /// One JSON object a line.
    Json,
    /// The documented fields of an Application Load Balancer, in order.
    Alb,
    /// Apache's combined format.
    Combined,
}
