//! Security groups and network ACLs: who may open a connection.

use ipnet::IpNet;

/// Allow-list attached to load balancers; what no rule allows is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Any is enough.
    pub inbound: Vec<InboundRule>,
}

/// One allowance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundRule {
    /// `tcp`, `udp` or `all`.
    pub protocol: String,
    /// Inclusive ranges; empty: all.
    pub ports: Vec<(u16, u16)>,
    /// Networks, or names of other security groups.
    pub from: Vec<Source>,
}

/// Where a connection may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A network.
    Net(IpNet),
    /// The members of another security group.
    Group(crate::primitive::Name),
}

/// Numbered allow and deny rules, lowest first, then deny. Attached to listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkAcl {
    /// By number.
    pub inbound: Vec<AclRule>,
}

/// One rule of a [`NetworkAcl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclRule {
    /// 1 to 32766; no number twice.
    pub rule: u16,
    /// Allow or deny.
    pub allow: bool,
    /// Networks.
    pub from: Vec<IpNet>,
}
