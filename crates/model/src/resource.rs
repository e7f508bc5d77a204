//! The kinds of resources that have names, so that one way of changing, listing and naming them serves all.

use std::fmt;

use serde_json::Value;

use crate::certificate::Certificate;
use crate::config::Config;
use crate::declared::{Declared as _, Defs, Referable};
use crate::guard::{NetworkAcl, SecurityGroup};
use crate::health_check;
use crate::load_balancer::LoadBalancer;
use crate::primitive::Name;
use crate::target_group::TargetGroup;

/// A kind of named resource. In the order in which they are read: what is referred to comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A certificate and its key.
    Certificate,
    /// An allow-list of load balancers.
    SecurityGroup,
    /// A numbered list of listeners.
    NetworkAcl,
    /// Targets, and how one is chosen.
    TargetGroup,
    /// Listeners and what they share.
    LoadBalancer,
}

impl Kind {
    /// All of them, in the order in which they are read.
    pub const ALL: [Self; 5] =
        [Self::Certificate, Self::SecurityGroup, Self::NetworkAcl, Self::TargetGroup, Self::LoadBalancer];

    /// The key of the file under which they are declared: `target_groups`.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Certificate => Certificate::COLLECTION,
            Self::SecurityGroup => SecurityGroup::COLLECTION,
            Self::NetworkAcl => NetworkAcl::COLLECTION,
            Self::TargetGroup => TargetGroup::COLLECTION,
            Self::LoadBalancer => LoadBalancer::COLLECTION,
        }
    }

    /// What one of them is called: `target group`.
    pub fn called(self) -> &'static str {
        match self {
            Self::Certificate => Certificate::CALLED,
            Self::SecurityGroup => SecurityGroup::CALLED,
            Self::NetworkAcl => NetworkAcl::CALLED,
            Self::TargetGroup => TargetGroup::CALLED,
            Self::LoadBalancer => LoadBalancer::CALLED,
        }
    }

    /// The kind of which this is the key of the file.
    pub fn of_collection(collection: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.collection() == collection)
    }

    /// Dotted paths, inside a resource, of what is never shown and never stored as it is.
    pub fn secrets(self) -> &'static [&'static str] {
        match self {
            Self::TargetGroup => &[health_check::SECRET],
            _ => &[],
        }
    }

    /// Its JSON Schema as a reference, with what it refers to in `defs`.
    pub(crate) fn schema(self, defs: &mut Defs) -> Value {
        match self {
            Self::Certificate => Certificate::schema(defs),
            Self::SecurityGroup => SecurityGroup::schema(defs),
            Self::NetworkAcl => NetworkAcl::schema(defs),
            Self::TargetGroup => TargetGroup::schema(defs),
            Self::LoadBalancer => LoadBalancer::schema(defs),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.called())
    }
}

impl Config {
    /// Whether there is a resource of this kind and name.
    pub fn has(&self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Certificate => self.certificates.contains_key(name),
            Kind::SecurityGroup => self.security_groups.contains_key(name),
            Kind::NetworkAcl => self.network_acls.contains_key(name),
            Kind::TargetGroup => self.target_groups.contains_key(name),
            Kind::LoadBalancer => self.load_balancers.contains_key(name),
        }
    }

    /// The names of all of a kind, in order.
    pub fn names(&self, kind: Kind) -> Box<dyn Iterator<Item = &Name> + '_> {
        match kind {
            Kind::Certificate => Box::new(self.certificates.keys()),
            Kind::SecurityGroup => Box::new(self.security_groups.keys()),
            Kind::NetworkAcl => Box::new(self.network_acls.keys()),
            Kind::TargetGroup => Box::new(self.target_groups.keys()),
            Kind::LoadBalancer => Box::new(self.load_balancers.keys()),
        }
    }

    /// A resource in its canonical form, secrets included.
    pub fn resource(&self, kind: Kind, name: &str) -> Option<Value> {
        match kind {
            Kind::Certificate => self.certificates.get(name).map(|resource| resource.write()),
            Kind::SecurityGroup => self.security_groups.get(name).map(|resource| resource.write()),
            Kind::NetworkAcl => self.network_acls.get(name).map(|resource| resource.write()),
            Kind::TargetGroup => self.target_groups.get(name).map(|resource| resource.write()),
            Kind::LoadBalancer => self.load_balancers.get(name).map(|resource| resource.write()),
        }
    }

    /// Takes a resource out.
    pub(crate) fn remove(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::Certificate => drop(self.certificates.remove(name)),
            Kind::SecurityGroup => drop(self.security_groups.remove(name)),
            Kind::NetworkAcl => drop(self.network_acls.remove(name)),
            Kind::TargetGroup => drop(self.target_groups.remove(name)),
            Kind::LoadBalancer => drop(self.load_balancers.remove(name)),
        }
    }
}
