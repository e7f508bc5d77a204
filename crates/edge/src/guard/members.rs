//! Who the members of security groups are: the load balancers and the targets that carry them, as they are now.

use std::collections::BTreeMap;
use std::net::IpAddr;

use headworks_model::config::Config;
use headworks_model::primitive::{Bind, Name};

/// What carries a security group.
#[derive(Default)]
pub(crate) struct Carriers {
    /// Where its load balancers listen.
    binds: Vec<Bind>,
    target_groups: Vec<Name>,
}

/// The security groups that are carried.
#[derive(Default)]
pub(crate) struct Membership(BTreeMap<Name, Carriers>);

impl Membership {
    pub(crate) fn new(config: &Config) -> Membership {
        let mut carriers: BTreeMap<Name, Carriers> = BTreeMap::new();
        for balancer in config.load_balancers.values() {
            for name in &balancer.security_groups {
                let binds = balancer.listeners.values().map(|listener| listener.bind);
                carriers.entry(name.clone()).or_default().binds.extend(binds);
            }
        }
        for (group, settings) in &config.target_groups {
            for name in &settings.security_groups {
                carriers.entry(name.clone()).or_default().target_groups.push(group.clone());
            }
        }
        Membership(carriers)
    }

    /// The addresses of a group's members, in order; `targets` has those of a target group.
    pub(crate) fn of(&self, group: &Name, targets: impl Fn(&Name) -> Vec<IpAddr>) -> Vec<IpAddr> {
        let Some(carriers) = self.0.get(group) else { return Vec::new() };
        let mut addresses: Vec<IpAddr> = carriers.target_groups.iter().flat_map(targets).collect();
        let mut everywhere = false;
        for bind in &carriers.binds {
            match bind {
                Bind::Address(address) if !address.ip().is_unspecified() => addresses.push(address.ip()),
                _ => everywhere = true,
            }
        }
        if everywhere {
            addresses.extend(addresses_of_machine());
        }
        addresses.iter_mut().for_each(|address| *address = address.to_canonical());
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

/// The addresses of a security group's members, in order; `targets` has those of a target group. What runs finds them for
/// itself: this is for those who only look at a configuration.
pub fn members(config: &Config, group: &Name, targets: impl Fn(&Name) -> Vec<IpAddr>) -> Vec<IpAddr> {
    Membership::new(config).of(group, targets)
}

/// The machine's own addresses: what a load balancer has that listens on all of them.
fn addresses_of_machine() -> Vec<IpAddr> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).collect(),
        Err(error) => {
            tracing::warn!(%error, "cannot list the addresses of this machine");
            Vec::new()
        }
    }
}
