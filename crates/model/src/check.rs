//! What resources must be to each other beyond references: fallbacks that end, listeners that do not collide.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::certificate::Certificate;
use crate::check_guards::check_guards;
use crate::config::Config;
use crate::declared::{Cx, Fields, Referable, Step};
use crate::guard::{Carrier, NetworkAcl, SecurityGroup};
use crate::listener::Listener;
use crate::load_balancer::LoadBalancer;
use crate::primitive::{Bind, Name};
use crate::target_group::{Fallback, TargetGroup};
use crate::yaml::{Entry, Mark, Node};

/// Checks the whole after its parts.
pub(crate) fn check_config<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    check_between(config, fields, cx);
    check_guards(config, fields, cx);
    warn_unused::<TargetGroup>("no listener", fields, cx);
    warn_unused::<Certificate>("no listener", fields, cx);
    warn_unused::<NetworkAcl>("no listener", fields, cx);
    warn_unused::<SecurityGroup>("nothing", fields, cx);
}

/// What of this is wrong rather than odd. Of `fields`, the names of resources and of listeners are needed; what more is there
/// gives places.
pub(crate) fn check_between<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    check_fallbacks(config, fields, cx);
    check_binds(config, fields, cx);
}

/// Fallbacks lead to groups of the same kind, and never back.
fn check_fallbacks<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let mut ends: HashSet<&Name> = HashSet::new();
    for (name, group) in &config.target_groups {
        let Fallback::Forward(next) = &group.fallback else { continue };
        if let Some(other) = config.target_groups.get(next)
            && other.protocol.is_http() != group.protocol.is_http()
        {
            let what = format!("{next} speaks {}, this group {}", other.protocol.word(), group.protocol.word());
            fallback_fault(name, what, "a target group of a protocol that goes with it", fields, cx);
        }
        let mut way = HashSet::from([name]);
        let mut at = next;
        let loops = loop {
            if ends.contains(at) {
                break false;
            }
            if !way.insert(at) {
                break true;
            }
            match config.target_groups.get(at).map(|group| &group.fallback) {
                Some(Fallback::Forward(next)) => at = next,
                _ => break false,
            }
        };
        if loops && at == name {
            let what = format!("leads back to {name} in the end");
            fallback_fault(name, what, "fallbacks that do not go round in a circle", fields, cx);
        }
        ends.extend(way);
    }
}

fn fallback_fault<'a>(name: &Name, what: String, expected: &str, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let groups = fields.get(TargetGroup::COLLECTION).and_then(Node::as_map).unwrap_or_default();
    let Some(entry) = groups.iter().find(|entry| entry.key == name.as_str()) else { return };
    let mark = entry.node.get("fallback").map_or(entry.mark, |node| node.mark);
    at(&[TargetGroup::COLLECTION, &entry.key, "fallback"], cx, |cx| cx.fault(mark, what, Some(expected.to_owned())));
}

/// Who has a port.
#[derive(Clone)]
struct Holder {
    /// None: the admin address.
    load_balancer: Option<String>,
    /// As a path.
    place: String,
}

/// Who has taken a port already.
#[derive(Default)]
struct Taken {
    /// By carrier and address.
    by: HashMap<(Carrier, SocketAddr), Holder>,
}

impl Taken {
    /// Takes it, or says who has it. A port of all addresses and the same port of one are different: the narrower wins.
    fn take(&mut self, carrier: Carrier, bind: Bind, who: &Holder) -> Option<Holder> {
        if bind.port() == 0 {
            return None;
        }
        let address = match bind {
            Bind::Any(port) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
            Bind::Address(address) if address.ip().is_unspecified() => {
                let other = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), address.port());
                if address.is_ipv4()
                    && let Some(who) = self.by.get(&(carrier, other))
                {
                    return Some(who.clone());
                }
                address
            }
            Bind::Address(address) => address,
        };
        if let Bind::Any(port) = bind {
            let other = SocketAddr::from(([0, 0, 0, 0], port));
            if let Some(who) = self.by.get(&(carrier, other)) {
                return Some(who.clone());
            }
        }
        let before = self.by.get(&(carrier, address)).cloned();
        if before.is_none() {
            self.by.insert((carrier, address), who.clone());
        }
        before
    }
}

fn check_binds<'a>(config: &Config, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    let mut taken = Taken::default();
    let admin = Holder { load_balancer: None, place: "admin".to_owned() };
    taken.take(Carrier::Tcp, Bind::Address(config.admin.address), &admin);
    // In the order of the file, so that the second of two is the one that is wrong.
    for balancer in fields.get("load_balancers").and_then(Node::as_map).unwrap_or_default() {
        let Some(read) = config.load_balancers.get(&*balancer.key) else { continue };
        for entry in balancer.node.get("listeners").and_then(Node::as_map).unwrap_or_default() {
            let Some(listener) = read.listeners.get(&*entry.key) else { continue };
            let place = format!("load_balancers.{}.listeners.{}", balancer.key, entry.key);
            let who = Holder { load_balancer: Some(balancer.key.clone().into_owned()), place };
            let before = listener.carriers().iter().find_map(|carrier| taken.take(*carrier, listener.bind, &who));
            if let Some(before) = before {
                collision(balancer, entry, listener, &before, cx);
            }
        }
    }
}

fn collision<'a>(balancer: &'a Entry, entry: &'a Entry, listener: &Listener, before: &Holder, cx: &mut Cx<'a>) {
    let key = if matches!(listener.bind, Bind::Any(_)) { "port" } else { "address" };
    let mark = entry.node.get(key).map_or(entry.mark, |node| node.mark);
    at(&["load_balancers", &balancer.key, "listeners", &entry.key, key], cx, |cx| {
        let is_told = before.load_balancer.as_ref().is_none_or(|name| cx.may_tell_of(LoadBalancer::COLLECTION, name));
        let by = if is_told { format!(" by {}", before.place) } else { String::new() };
        cx.fault(mark, format!("{} is taken{by}", listener.bind), Some("another port or address".to_owned()));
    });
}

fn warn_unused<'a, T: Referable>(who: &str, fields: &Fields<'a>, cx: &mut Cx<'a>) {
    for entry in fields.get(T::COLLECTION).and_then(Node::as_map).unwrap_or_default() {
        if !cx.is_used(T::COLLECTION, &entry.key) {
            let mark: Mark = entry.mark;
            at(&[T::COLLECTION, &entry.key], cx, |cx| cx.warn(mark, format!("{who} uses this {}", T::CALLED)));
        }
    }
}

pub(crate) fn at<'a>(steps: &[&'a str], cx: &mut Cx<'a>, then: impl FnOnce(&mut Cx<'a>)) {
    match steps {
        [] => then(cx),
        [step, rest @ ..] => cx.within(Step::Key(step), |cx| at(rest, cx, then)),
    }
}
