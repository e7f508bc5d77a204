//! From security groups and network ACLs to what a listener lets in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use headworks_guard::Networks;
use headworks_guard::filter::{self, Instruction};
use headworks_model::config::Config;
use headworks_model::guard::Carrier;
use headworks_model::listener::Listener;
use headworks_model::load_balancer::LoadBalancer;
use headworks_model::primitive::Name;

use super::reason::Reason;

/// The addresses that may connect to a listener; both have to let one in, where they are declared.
#[derive(Default)]
pub(crate) struct Doors {
    access_list: Option<Arc<Networks>>,
    security_groups: Option<Groups>,
}

/// Whom security groups allow.
struct Groups {
    networks: Networks,
    /// Groups whose members they are besides.
    groups: Vec<Name>,
    members: ArcSwap<Networks>,
}

/// Network ACLs, compiled once for all listeners that have them.
pub(crate) struct AccessLists(HashMap<Name, Arc<Networks>>);

impl AccessLists {
    pub(crate) fn new(config: &Config) -> AccessLists {
        let listeners = config.load_balancers.values().flat_map(|balancer| balancer.listeners.values());
        let mut lists = HashMap::new();
        for name in listeners.filter_map(|listener| listener.network_acl.as_ref()) {
            if let Some(acl) = config.network_acls.get(name) {
                lists.entry(name.clone()).or_insert_with(|| Arc::new(acl.compile().allowed));
            }
        }
        AccessLists(lists)
    }
}

impl Doors {
    /// Compiles what stands before a listener at `port`.
    pub(crate) fn new(
        config: &Config,
        balancer: &LoadBalancer,
        listener: &Listener,
        port: u16,
        carrier: Carrier,
        lists: &AccessLists,
    ) -> Doors {
        if !listener.carriers().contains(&carrier) {
            return Doors::default();
        }
        let access_list = listener.network_acl.as_ref().and_then(|name| lists.0.get(name).cloned());
        let security_groups = config.allowed(balancer, port, carrier).map(|allowed| Groups {
            networks: allowed.networks,
            groups: allowed.groups,
            members: ArcSwap::default(),
        });
        Doors { access_list, security_groups }
    }

    /// Whether an address may come in.
    ///
    /// # Errors
    /// Which of the doors is closed to it.
    #[inline]
    pub(crate) fn judge(&self, address: IpAddr) -> Result<(), Reason> {
        if self.access_list.as_ref().is_some_and(|list| !list.contain(address)) {
            return Err(Reason::NetworkAcl);
        }
        match &self.security_groups {
            Some(allowed) if !allowed.networks.contain(address) && !allowed.members.load().contain(address) => {
                Err(Reason::SecurityGroup)
            }
            _ => Ok(()),
        }
    }

    /// Looks up who the members of the groups are that it refers to. True when that is not who they were.
    pub(crate) fn follow_members(&self, members: impl Fn(&Name) -> Vec<IpAddr>) -> bool {
        let Some(allowed) = self.security_groups.as_ref().filter(|allowed| !allowed.groups.is_empty()) else {
            return false;
        };
        let now: Networks = allowed.groups.iter().flat_map(members).map(Into::into).collect();
        let changed = **allowed.members.load() != now;
        if changed {
            allowed.members.store(Arc::new(now));
        }
        changed
    }

    /// The same as a filter for the listening socket, so that what is denied is dropped as if nobody were there. None when
    /// all may connect, or when it would be too long.
    pub(crate) fn filter(&self) -> Option<Vec<Instruction>> {
        let groups = self.security_groups.as_ref().map(|allowed| allowed.networks.union(&allowed.members.load()));
        let allowed = match (self.access_list.as_deref(), groups) {
            (None, None) => return None,
            (Some(list), None) => list.clone(),
            (None, Some(groups)) => groups,
            (Some(list), Some(groups)) => list.intersection(&groups),
        };
        if allowed.is_everything() { None } else { filter::of(&allowed) }
    }
}
