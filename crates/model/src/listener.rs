//! A listener: an address, a protocol, rules.

use std::time::Duration;

use crate::action::Action;
use crate::primitive::{Bind, Name};
use crate::rule::Rule;
use ipnet::IpNet;

/// A listener of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub bind: Bind,
    /// What it speaks.
    pub protocol: ListenerProtocol,
    /// In order of priority; first match wins.
    pub rules: Vec<Rule>,
    /// What happens when no rule matches.
    pub default: Action,
    /// Also HTTP/3 on UDP.
    pub http3: bool,
    /// Certificates, the default one first.
    pub certificates: Vec<CertificateRef>,
    /// TLS versions and ciphers offered.
    pub tls_policy: String,
    /// Client certificates.
    pub mutual_authentication: Option<MutualAuthentication>,
    /// Numbered allow and deny list.
    pub network_acl: Option<Name>,
    /// PROXY protocol is required of these peers.
    pub proxy_protocol: Vec<IpNet>,
    /// Bounds against abuse.
    pub limits: ListenerLimits,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerProtocol {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
    /// TCP as it is.
    Tcp,
    /// TLS terminated, then TCP.
    Tls,
    /// Datagrams.
    Udp,
    /// TCP and UDP on one port.
    TcpUdp,
    /// TLS never decrypted, routed by SNI.
    TlsPassthrough,
}

/// A certificate of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateRef {
    /// One of `certificates:`.
    Named(Name),
    /// Issued by ACME for these names.
    Acme(Vec<String>),
}

/// Client certificates (S4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualAuthentication {
    /// `none`, `passthrough` or `verify`.
    pub mode: String,
    /// PEM file; required by `verify`.
    pub trust_store: Option<String>,
}

/// Bounds of one listener; 0 and absent mean none, except for the header timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections open at once.
    pub connections: u32,
    /// Connections open at once from one client address.
    pub connections_per_client: u32,
    /// New connections in a second.
    pub new_connections_per_second: u32,
    /// From the first byte of a head to its end; default the idle timeout.
    pub header_timeout: Option<Duration>,
    /// Bytes a second, measured after a grace.
    pub minimum_rate: u32,
}
