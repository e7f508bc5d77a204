//! Why a connection was refused, as counters tell it.

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No rule of the load balancer's security groups allows it.
    SecurityGroup,
    /// The listener's network ACL denies it.
    NetworkAcl,
    /// The listener has as many connections as it may.
    Connections,
    /// The client has as many connections as it may.
    ConnectionsPerClient,
    /// There were as many new connections in the last second as there may be.
    NewConnectionsPerSecond,
    /// The client's connections come faster than they may.
    NewConnectionsPerClient,
    /// The client is kept out for what it did before.
    Blocked,
}

impl Reason {
    /// All of them, in the order of the counters.
    pub(crate) const ALL: [Reason; 7] = [
        Reason::SecurityGroup,
        Reason::NetworkAcl,
        Reason::Connections,
        Reason::ConnectionsPerClient,
        Reason::NewConnectionsPerSecond,
        Reason::NewConnectionsPerClient,
        Reason::Blocked,
    ];

    /// Whether a limit is the reason, which is worth a line in the log; that some are denied is what lists are for.
    pub(crate) fn is_limit(self) -> bool {
        !matches!(self, Reason::SecurityGroup | Reason::NetworkAcl)
    }

    /// What metrics call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::SecurityGroup => "security_group",
            Reason::NetworkAcl => "network_acl",
            Reason::Connections => "connections",
            Reason::ConnectionsPerClient => "connections_per_client",
            Reason::NewConnectionsPerSecond => "new_connections_per_second",
            Reason::NewConnectionsPerClient => "new_connections_per_client",
            Reason::Blocked => "blocked",
        }
    }
}
