//! What refers to what: asked before something is deleted, and when a change may matter to what it does not touch.

use std::collections::BTreeSet;

use crate::action::{Action, Forward};
use crate::config::Config;
use crate::guard::SecurityGroup;
use crate::listener::CertificateRef;
use crate::load_balancer::LoadBalancer;
use crate::primitive::Name;
use crate::resource::Kind;
use crate::target_group::{Fallback, TargetGroup};

/// A reference: where it stands, as a path of the file, and what it names.
type Reference<'a> = (String, Kind, &'a Name);

impl Config {
    /// The resources that refer to one, and the places where they do, as `load_balancers.shop.listeners.http.default`.
    pub fn referrers(&self, kind: Kind, name: &str) -> Vec<(Kind, Name, String)> {
        let mut found = Vec::new();
        self.each_reference(|from, owner, (path, to, target)| {
            if to == kind && target.as_str() == name && !(from == kind && owner.as_str() == name) {
                found.push((from, owner.clone(), path));
            }
        });
        found
    }

    /// The resources that refer to any of these, each once.
    pub(crate) fn dependents(&self, of: &BTreeSet<(Kind, Name)>) -> BTreeSet<(Kind, Name)> {
        let mut found = BTreeSet::new();
        self.each_reference(|from, owner, (_, to, target)| {
            if of.contains(&(to, target.clone())) {
                found.insert((from, owner.clone()));
            }
        });
        found
    }

    fn each_reference(&self, mut tell: impl FnMut(Kind, &Name, Reference<'_>)) {
        for (name, group) in &self.security_groups {
            members_of(name, group, &mut |reference| tell(Kind::SecurityGroup, name, reference));
        }
        for (name, group) in &self.target_groups {
            of_target_group(name, group, &mut |reference| tell(Kind::TargetGroup, name, reference));
        }
        for (name, balancer) in &self.load_balancers {
            of_load_balancer(name, balancer, &mut |reference| tell(Kind::LoadBalancer, name, reference));
        }
    }
}

fn members_of<'a>(name: &Name, group: &'a SecurityGroup, tell: &mut impl FnMut(Reference<'a>)) {
    for (index, rule) in group.inbound.iter().enumerate() {
        rule.groups()
            .for_each(|to| tell((format!("security_groups.{name}.inbound[{index}].from"), Kind::SecurityGroup, to)));
    }
}

fn of_target_group<'a>(name: &Name, group: &'a TargetGroup, tell: &mut impl FnMut(Reference<'a>)) {
    if let Some(certificate) = group.tls.as_ref().and_then(|tls| tls.certificate.as_ref()) {
        tell((format!("target_groups.{name}.tls.certificate"), Kind::Certificate, certificate));
    }
    if let Fallback::Forward(to) = &group.fallback {
        tell((format!("target_groups.{name}.fallback"), Kind::TargetGroup, to));
    }
    group
        .security_groups
        .iter()
        .for_each(|to| tell((format!("target_groups.{name}.security_groups"), Kind::SecurityGroup, to)));
}

fn of_load_balancer<'a>(name: &Name, balancer: &'a LoadBalancer, tell: &mut impl FnMut(Reference<'a>)) {
    balancer
        .security_groups
        .iter()
        .for_each(|to| tell((format!("load_balancers.{name}.security_groups"), Kind::SecurityGroup, to)));
    for (listener_name, listener) in &balancer.listeners {
        let at = format!("load_balancers.{name}.listeners.{listener_name}");
        for (index, certificate) in listener.certificates.iter().enumerate() {
            if let CertificateRef::Named(to) = certificate {
                tell((format!("{at}.certificates[{index}]"), Kind::Certificate, to));
            }
        }
        if let Some(to) = &listener.network_acl {
            tell((format!("{at}.network_acl"), Kind::NetworkAcl, to));
        }
        for (index, rule) in listener.rules.iter().enumerate() {
            forwarded(&rule.action).for_each(|to| tell((format!("{at}.rules[{index}]"), Kind::TargetGroup, to)));
        }
        forwarded(&listener.default.action).for_each(|to| tell((format!("{at}.default"), Kind::TargetGroup, to)));
    }
}

/// Each group once: one that has a share may also stand in, or be sent copies by another name.
fn forwarded(action: &Action) -> impl Iterator<Item = &Name> {
    let forward = match action {
        Action::Forward(forward) => Some(forward),
        _ => None,
    };
    let mut groups: Vec<&Name> = forward.map(Forward::all_groups).into_iter().flatten().collect();
    groups.sort_unstable();
    groups.dedup();
    groups.into_iter()
}
