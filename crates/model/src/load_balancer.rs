//! A load balancer: listeners and the attributes they share (H1 to H8).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::compression::Compression;
use crate::declared::{Cx, Fields, Lasts, OneOrMore, Ratio, Referable, To, choice, declared};
use crate::guard::SecurityGroup;
use crate::listener::Listener;
use crate::primitive::Name;

declared! {
    /// A load balancer.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[inspect = inspect_load_balancer]
    pub struct LoadBalancer {
        /// `application` or `network`; default `application`.
        #[key = "type"]
        #[note = note_kind]
        pub kind: LoadBalancerKind = LoadBalancerKind::Application,
        /// A connection on which nothing moves is closed after this; default 60 s, of a network load balancer 350 s (N2).
        #[via = Lasts<100, 604_800_000>]
        pub idle_timeout: Duration => default_idle_timeout(kind),
        /// The longest life of a client connection; default 1 h.
        #[via = Lasts<100, 604_800_000>]
        pub client_keep_alive: Duration = Duration::from_secs(3600),
        /// What happens to requests that two readers could read differently (H8).
        pub desync_mitigation: DesyncMitigation = DesyncMitigation::Defensive,
        /// Drop header fields whose name is not `[-A-Za-z0-9]+` (H7).
        pub drop_invalid_header_fields: bool = false,
        /// Leave Host as it is (H6).
        pub preserve_host_header: bool = false,
        /// What happens to `X-Forwarded-For` (H4).
        pub xff_header_processing: XffHeaderProcessing = XffHeaderProcessing::Append,
        /// Add the client's port to `X-Forwarded-For` (H4); default false.
        pub xff_client_port: bool = false,
        /// Tell targets the TLS version and cipher of the client's connection (H6): `x-amzn-tls-version` and
        /// `x-amzn-tls-cipher-suite`; default false.
        pub tls_version_and_cipher_headers: bool = false,
        /// Where answered requests are written.
        pub access_log: Option<AccessLog> = None,
        /// Answers are compressed for clients that ask for it; absent: they go as they are.
        pub compression: Option<Compression> = None,
        /// Allow-lists at the door.
        #[via = OneOrMore<To<SecurityGroup>>]
        pub security_groups: Vec<Name> = Vec::new(),
        /// By name.
        pub listeners: BTreeMap<Name, Listener> = BTreeMap::new(),
    }
}

choice! {
    /// The type of a load balancer.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum LoadBalancerKind {
        /// Layer 7.
        Application = "application",
        /// Layer 4.
        Network = "network",
    }
}

choice! {
    /// Desync mitigation mode (H8).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum DesyncMitigation {
        /// Only what cannot be forwarded cleanly is refused.
        Monitor = "monitor",
        /// Severe is refused; ambiguous is forwarded, then both connections are closed.
        Defensive = "defensive",
        /// Whatever is not compliant is refused.
        Strictest = "strictest",
    }
}

choice! {
    /// What happens to `X-Forwarded-For` (H4).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum XffHeaderProcessing {
        /// The client's address is added at the end.
        Append = "append",
        /// It goes through as it came.
        Preserve = "preserve",
        /// It is taken out.
        Remove = "remove",
    }
}

declared! {
    /// The access log of a load balancer.
    #[derive(Clone, Debug, PartialEq)]
    #[short = "path"]
    #[check = check_access_log]
    pub struct AccessLog {
        /// The file; relative paths start at the configuration file's folder.
        pub path: PathBuf,
        /// How a line looks; default `json`.
        pub format: AccessLogFormat = AccessLogFormat::Json,
        /// The share of requests that is written, 0 to 1.
        #[via = Ratio]
        pub sample: f64 = 1.0,
    }
}

impl Eq for AccessLog {}

choice! {
    /// How a line of the access log looks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum AccessLogFormat {
        /// One JSON object a line.
        Json = "json",
        /// The documented fields of an Application Load Balancer, in order.
        Alb = "alb",
        /// Apache's combined format.
        Combined = "combined",
    }
}

impl Referable for LoadBalancer {
    const COLLECTION: &'static str = "load_balancers";
    const CALLED: &'static str = "load balancer";
}

fn note_kind(kind: Option<&LoadBalancerKind>, cx: &mut Cx<'_>) {
    cx.load_balancer = kind.copied();
}

fn default_idle_timeout(kind: Option<LoadBalancerKind>) -> Duration {
    Duration::from_secs(if kind == Some(LoadBalancerKind::Network) { 350 } else { 60 })
}

fn check_access_log<'a>(log: &AccessLog, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if cx.load_balancer == Some(LoadBalancerKind::Network) && log.format != AccessLogFormat::Json {
        fields.wrong("format", format!("{} tells of requests, and there are none", log.format.word()), "json", cx);
    }
}

fn inspect_load_balancer<'a>(fields: &Fields<'a>, cx: &mut Cx<'a>) {
    if cx.load_balancer == Some(LoadBalancerKind::Network) {
        fields.only_with("compression", "it on application load balancers only", cx);
    }
}
