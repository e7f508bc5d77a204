//! Who may connect, looked at as a whole: rules that say nothing, listeners and targets that nobody reaches. All of it may
//! be meant, so that it is warned of and no more.

use std::collections::HashMap;

use headworks_guard::{Fate, Networks, filter, overlaps};

use crate::action::{Action, Forward};
use crate::check::at;
use crate::config::Config;
use crate::declared::{Cx, Fields, Referable, Step};
use crate::guard::{AclRule, Carrier, NetworkAcl, SecurityGroup};
use crate::listener::Listener;
use crate::load_balancer::LoadBalancer;
use crate::primitive::{Address, Bind, Name};
use crate::target_group::{Fallback, HealthCheck, HealthProtocol, TargetGroup, TargetProtocol};
use crate::yaml::{Mark, Node};

/// Warns of what is there to no effect.
pub(crate) fn check_guards<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    check_network_acls(config, fields, cx);
    check_security_groups(config, fields, cx);
    check_listeners(config, fields, cx);
    check_lengths(config, fields, cx);
    check_targets(config, fields, cx);
}

fn entries<'a>(fields: &Fields<'a>, collection: &str) -> impl Iterator<Item = (&'a str, &'a Node<'a>)> {
    let entries = fields.get(collection).and_then(Node::as_map).unwrap_or_default();
    entries.iter().map(|entry| (&*entry.key, &entry.node))
}

/// Rules that never match, or that change nothing. They are looked for in the order of their numbers, and told where they
/// stand.
fn check_network_acls<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    for (name, node) in entries(fields, NetworkAcl::COLLECTION) {
        let Some(acl) = config.network_acls.get(name) else { continue };
        // rules are in the order of their numbers by now, nodes where they stand in the text
        let items = node.get("inbound").map(Node::items).unwrap_or_default().iter().enumerate();
        let items: HashMap<u64, (usize, &Node)> =
            items.filter_map(|(i, item)| Some((number(item)?, (i, item)))).collect();
        let place = |rule: &AclRule| items.get(&u64::from(rule.rule)).copied();
        for (rule, fate) in acl.inbound.iter().zip(acl.compile().fates) {
            let (others, why) = match fate {
                Fate::Unreachable(others) => (others, "never matches: all of it is taken by"),
                Fate::Redundant(others) => (others, "changes nothing: the same is done by"),
                Fate::Decides => continue,
            };
            let Some((index, item)) = place(rule) else { continue };
            let named = others.iter().take(NAMED).filter_map(|other| acl.inbound.get(*other));
            let named =
                named.map(|other| located(&format!("rule {}", other.rule), place(other).map(|(_, item)| item.mark)));
            let what = format!("rule {} {why} {}", rule.rule, listed(&named.collect::<Vec<_>>(), others.len()));
            within(NetworkAcl::COLLECTION, name, index, cx, |cx| cx.warn(item.mark, what));
        }
    }
}

fn number(item: &Node) -> Option<u64> {
    item.get("rule").and_then(Node::as_scalar).and_then(|scalar| scalar.as_whole())
}

/// Others that a warning names; more are counted.
const NAMED: usize = 3;

/// `rule 100 (line 7)`.
fn located(what: &str, mark: Option<Mark>) -> String {
    match mark.filter(|mark| mark.line > 0) {
        Some(mark) => format!("{what} (line {})", mark.line),
        None => what.to_owned(),
    }
}

/// `a, b and c`, or `a, b, c and 4 others`.
fn listed(named: &[String], count: usize) -> String {
    match named {
        [] => "others".to_owned(),
        _ if count > named.len() => format!("{} and {} others", named.join(", "), count - named.len()),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn within<'a>(collection: &'static str, name: &'a str, index: usize, cx: &mut Cx<'a>, then: impl FnOnce(&mut Cx<'a>)) {
    at(&[collection, name, "inbound"], cx, |cx| cx.within(Step::Index(index), then));
}

fn check_security_groups<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    for (name, node) in entries(fields, SecurityGroup::COLLECTION) {
        let Some(group) = config.security_groups.get(name) else { continue };
        let items = node.get("inbound").map(Node::items).unwrap_or_default();
        let allowances: Vec<_> = group.inbound.iter().map(|rule| rule.allowance()).collect();
        for overlap in overlaps(&allowances) {
            let (Some(item), Some(by)) = (items.get(overlap.place), items.get(overlap.by)) else { continue };
            let other = located(&format!("inbound[{}]", overlap.by), Some(by.mark));
            let what = format!("changes nothing: all of it is allowed by {other}");
            within(SecurityGroup::COLLECTION, name, overlap.place, cx, |cx| cx.warn(item.mark, what));
        }
    }
}

/// Listeners that the security groups of their load balancer close altogether.
fn check_listeners<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    for (balancer_name, node) in entries(fields, "load_balancers") {
        let Some(balancer) = config.load_balancers.get(balancer_name).filter(|b| !b.security_groups.is_empty()) else {
            continue;
        };
        for entry in node.get("listeners").and_then(Node::as_map).unwrap_or_default() {
            let Some(listener) = balancer.listeners.get(&*entry.key) else { continue };
            let port = listener.bind.port();
            if port > 0 && !is_open(config, balancer, listener, port) {
                at(&["load_balancers", balancer_name, "listeners", &entry.key], cx, |cx| {
                    let what = format!("nobody gets in: no rule of its security groups is about port {port}");
                    cx.warn(entry.mark, what);
                });
            }
        }
    }
}

/// Listeners whose lists are longer than the kernel takes: to a scanner, their ports are open.
fn check_lengths<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let mut lists = HashMap::new();
    for (balancer_name, node) in entries(fields, "load_balancers") {
        let Some(balancer) = config.load_balancers.get(balancer_name) else { continue };
        for entry in node.get("listeners").and_then(Node::as_map).unwrap_or_default() {
            let Some(listener) = balancer.listeners.get(&*entry.key) else { continue };
            let list = listener.network_acl.as_ref().and_then(|name| Some((name, config.network_acls.get(name)?)));
            let list = list.map(|(name, acl)| &*lists.entry(name).or_insert_with(|| acl.compile().allowed));
            let groups = config.allowed(balancer, listener.bind.port(), Carrier::Tcp).map(|allowed| allowed.networks);
            let Some(allowed) = both(list, groups) else { continue };
            let is_dropped = allowed.is_everything() || filter::of(&allowed).is_some();
            if is_dropped || !listener.carriers().contains(&Carrier::Tcp) {
                continue;
            }
            let what = format!(
                "{} ranges of addresses may connect, too many for others to be dropped before the handshake (about 240 of IPv4 or \
                 100 of IPv6 at most): their connections are accepted and reset; see `headworks firewall --nftables`",
                allowed.len()
            );
            at(&["load_balancers", balancer_name, "listeners", &entry.key], cx, |cx| {
                match entry.node.get("network_acl") {
                    Some(list) => cx.within(Step::Key("network_acl"), |cx| cx.warn(list.mark, what)),
                    None => cx.warn(entry.mark, what),
                }
            });
        }
    }
}

/// What gets past both an access list and security groups, where there are any.
fn both(list: Option<&Networks>, groups: Option<Networks>) -> Option<Networks> {
    match (list, groups) {
        (Some(list), Some(groups)) => Some(list.intersection(&groups)),
        (Some(list), None) => Some(list.clone()),
        (None, groups) => groups,
    }
}

fn is_open(config: &Config, balancer: &LoadBalancer, listener: &Listener, port: u16) -> bool {
    let groups = balancer.security_groups.iter().filter_map(|name| config.security_groups.get(name));
    let mut rules = groups.flat_map(|group| &group.inbound);
    rules.any(|rule| listener.carriers().iter().any(|carrier| rule.is_about(port, *carrier)))
}

/// Whether the security groups of a target group's targets let a load balancer reach one of their ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The load balancer.
    pub load_balancer: Name,
    /// The target group that it forwards to.
    pub target_group: Name,
    /// A port of its targets.
    pub port: u16,
    /// How it goes there.
    pub carrier: Carrier,
    /// What lets it in; none when nothing does.
    pub by: Option<String>,
}

impl Reach {
    /// The port, and for which of the two it is a port where that is not by connections.
    pub fn place(&self) -> String {
        match self.carrier {
            Carrier::Tcp => format!("port {}", self.port),
            Carrier::Udp => format!("UDP port {}", self.port),
        }
    }
}

impl Config {
    /// How load balancers reach the targets of groups that have security groups.
    pub fn reaches(&self) -> Vec<Reach> {
        let mut found = Vec::new();
        for (load_balancer, balancer) in &self.load_balancers {
            for target_group in self.forwarded_to(balancer) {
                let group = self.target_groups.get(target_group).filter(|group| !group.security_groups.is_empty());
                let Some(group) = group else { continue };
                found.extend(ways_to(group).into_iter().map(|(port, carrier)| Reach {
                    load_balancer: load_balancer.clone(),
                    target_group: target_group.clone(),
                    port,
                    carrier,
                    by: self.lets_in(group, balancer, port, carrier),
                }));
            }
        }
        found
    }

    /// The target groups that a load balancer may forward to, fallbacks and mirrors included.
    pub fn forwarded_to<'a>(&'a self, balancer: &'a LoadBalancer) -> Vec<&'a Name> {
        let listeners = balancer.listeners.values();
        let actions = listeners.flat_map(|listener| listener.actions());
        let forwards = actions.filter_map(|action| match action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        });
        let mut groups: Vec<&Name> = Vec::new();
        for name in forwards.flat_map(Forward::all_groups) {
            // thousands of rules often forward to the same
            if groups.last() != Some(&name) {
                groups.push(name);
            }
        }
        let mut next = 0;
        groups.sort_unstable();
        groups.dedup();
        while let Some(name) = groups.get(next) {
            next += 1;
            if let Some(Fallback::Forward(other)) = self.target_groups.get(*name).map(|group| &group.fallback)
                && !groups.contains(&other)
            {
                groups.push(other);
            }
        }
        groups
    }

    /// What of the security groups of `group` lets `balancer` reach `port`.
    fn lets_in(&self, group: &TargetGroup, balancer: &LoadBalancer, port: u16, carrier: Carrier) -> Option<String> {
        let named = group.security_groups.iter().filter_map(|name| Some((name, self.security_groups.get(name)?)));
        let rules = named.flat_map(|(name, group)| group.inbound.iter().map(move |rule| (name, rule)));
        rules.filter(|(_, rule)| rule.is_about(port, carrier)).find_map(|(name, rule)| {
            let allowance = rule.allowance();
            let mine = balancer.security_groups.iter().find(|mine| allowance.groups.iter().any(|g| g == mine.as_str()));
            match mine {
                Some(mine) => Some(format!("{name} allows members of {mine}")),
                None => may_come_from(balancer, &allowance.from).then(|| format!("{name} allows its network")),
            }
        })
    }
}

/// Where a load balancer has to get to for what it carries, and by connections for health checks; each once, in order.
fn ways_to(group: &TargetGroup) -> Vec<(u16, Carrier)> {
    let carried = if group.protocol == TargetProtocol::Udp { Carrier::Udp } else { Carrier::Tcp };
    let HealthCheck { protocol: probe, port: probed, .. } = group.health_check;
    let ports = group.targets.iter().filter_map(|target| port_of(&target.address));
    let ways = ports.flat_map(|port| {
        let check = (probe != HealthProtocol::None).then_some((probed.unwrap_or(port), Carrier::Tcp));
        check.into_iter().chain([(port, carried)])
    });
    let mut ways: Vec<_> = ways.collect();
    ways.sort_unstable();
    ways.dedup();
    ways
}

/// Whether a load balancer may have an address of these networks. One that listens everywhere has those of the machine,
/// which are not known here.
fn may_come_from(balancer: &LoadBalancer, networks: &Networks) -> bool {
    balancer.listeners.values().any(|listener| match listener.bind {
        Bind::Address(address) if !address.ip().is_unspecified() => networks.contain(address.ip()),
        _ => !networks.is_empty(),
    })
}

fn port_of(address: &Address) -> Option<u16> {
    match address {
        Address::Ip(address) => Some(address.port()),
        Address::Host { port, .. } => Some(*port),
        Address::Unix(_) => None,
    }
}

fn check_targets<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let reaches = config.reaches();
    for (name, node) in entries(fields, TargetGroup::COLLECTION) {
        let Some(declared) = node.get("security_groups") else { continue };
        for reach in reaches.iter().filter(|reach| reach.target_group.as_str() == name && reach.by.is_none()) {
            let is_told = cx.may_tell_of(LoadBalancer::COLLECTION, reach.load_balancer.as_str());
            let who =
                if is_told { format!("load balancer {}", reach.load_balancer) } else { "a load balancer".to_owned() };
            let what = format!("no rule lets {who} reach {}", reach.place());
            at(&[TargetGroup::COLLECTION, name, "security_groups"], cx, |cx| cx.warn(declared.mark, what));
        }
    }
}
