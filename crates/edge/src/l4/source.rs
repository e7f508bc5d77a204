//! Where a flow comes from, as its target sees it: the load balancer, or the client (`preserve_client_ip`, N3).

use std::io;
use std::net::{IpAddr, SocketAddr};

use headworks_model::target_group::TargetGroup;

use super::flow::Flow;
use crate::observe::flow::Ended;
use crate::upstream::connect::no_port_left;
use crate::upstream::group::GroupLocal;

/// Opens a socket towards a target by `connect`, which is given the address that it is to have, if it is not to be the load
/// balancer's. Where the client's cannot be kept, the load balancer's stands for it; where its port is taken, another.
///
/// # Errors
/// Those of `connect`, as the flow ends by them.
pub(super) fn open<T>(
    flow: &Flow,
    group: &GroupLocal,
    settings: &TargetGroup,
    target: SocketAddr,
    connect: impl Fn(Option<SocketAddr>) -> io::Result<T>,
) -> Result<T, Ended> {
    open_from(flow, group, settings, target, connect).map_err(|error| {
        if !no_port_left(&error) {
            return Ended::ConnectFailed;
        }
        group.counters().port_allocation_errors.add(1);
        Ended::NoPortLeft
    })
}

fn open_from<T>(
    flow: &Flow,
    group: &GroupLocal,
    settings: &TargetGroup,
    target: SocketAddr,
    connect: impl Fn(Option<SocketAddr>) -> io::Result<T>,
) -> io::Result<T> {
    if !settings.preserve_client_ip {
        return connect(None);
    }
    let client = flow.peer;
    if let Some(reason) = obstacle(client.ip(), target.ip()) {
        group.counters().replaced_addresses.add(1);
        group.shared.replaced.call_once(|| {
            tracing::warn!(group = %group.name, %client, %target, reason, "a client's address is not kept, others are only counted");
        });
        return connect(None);
    }
    match connect(Some(client)) {
        Err(error) if is_of_port(&error) => {
            let opened = connect(Some(SocketAddr::new(client.ip(), 0)))?;
            group.counters().replaced_ports.add(1);
            Ok(opened)
        }
        opened => opened,
    }
}

/// Why a target would never answer, or not to us, if a flow came to it from its client's address.
fn obstacle(client: IpAddr, target: IpAddr) -> Option<&'static str> {
    let is_of_link = match client {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if client.is_ipv4() != target.is_ipv4() {
        Some("the target is of the other family")
    } else if client == target {
        // what seems to come from a machine itself is dropped there
        Some("the client is the target")
    } else if client.is_loopback() && !target.is_loopback() {
        Some("the client is this machine")
    } else if is_of_link || client.is_unspecified() || client.is_multicast() {
        Some("the address is nobody's beyond its link")
    } else {
        None
    }
}

/// Whether another port may do: this one has a flow to the same target, or a listener of this machine, or it is a low one and the
/// program may not use those.
fn is_of_port(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    matches!(error.kind(), AddrInUse | AddrNotAvailable | PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_kept() {
        let rows = [
            ("192.0.2.1", "10.0.0.1", None),
            ("2001:db8::1", "fd00::1", None),
            // of this machine, for targets of this machine
            ("192.0.2.1", "127.0.0.1", None),
            ("127.0.0.1", "127.0.0.2", None),
            ("192.0.2.1", "fd00::1", Some("the target is of the other family")),
            ("2001:db8::1", "10.0.0.1", Some("the target is of the other family")),
            ("10.0.0.1", "10.0.0.1", Some("the client is the target")),
            ("::1", "fd00::1", Some("the client is this machine")),
            ("127.0.0.1", "10.0.0.1", Some("the client is this machine")),
            ("fe80::1", "fd00::1", Some("the address is nobody's beyond its link")),
            ("255.255.255.255", "10.0.0.1", Some("the address is nobody's beyond its link")),
            ("0.0.0.0", "10.0.0.1", Some("the address is nobody's beyond its link")),
            ("ff02::1", "fd00::1", Some("the address is nobody's beyond its link")),
        ];
        for (client, target, expected) in rows {
            let [from, to] = [client, target].map(|ip| ip.parse().unwrap());
            assert_eq!(obstacle(from, to), expected, "{client} to {target}");
        }
    }
}
