//! Changing some resources of a configuration that is right already: what changes is read with the file's own eyes and held
//! against all the rest, and what does not change is not read again. The cost is that of the change, not of the whole.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use crate::certificate::Certificate;
use crate::check::check_between;
use crate::config::Config;
use crate::declared::{Cx, Declared, Fields, Group, Referable, Step, capped};
use crate::fault::{Fault, Faults};
use crate::guard::{NetworkAcl, SecurityGroup};
use crate::load_balancer::LoadBalancer;
use crate::primitive::Name;
use crate::resource::Kind;
use crate::target_group::TargetGroup;
use crate::yaml::{Entry, Mark, Node, NodeValue};

/// One resource as it should be.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// What it says, in the words and shapes of the file; none: it is gone.
    pub body: Option<Value>,
}

/// A configuration after edits.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The whole.
    pub config: Config,
    /// What is right, but likely not what was meant, of the resources that were edited.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// The configuration with these edits, the last of two of one resource. Paths in faults are those of the file:
    /// `target_groups.web.protocol`.
    ///
    /// # Errors
    /// All that is wrong: in what was edited, and in what depends on it.
    pub fn edited(&self, edits: &[Edit]) -> Result<Edited, Faults> {
        self.edited_for(edits, &|_, _| true)
    }

    /// The same, asked for by somebody who may be told of some resources only, by the keys under which they are declared and their
    /// names: nothing that is said of what was edited names others.
    ///
    /// # Errors
    /// As of [`Config::edited`]; what is wrong with others then is at their places.
    pub fn edited_for(&self, edits: &[Edit], tells: &dyn Fn(&str, &str) -> bool) -> Result<Edited, Faults> {
        let edits: BTreeMap<(Kind, &Name), &Edit> = edits.iter().map(|edit| ((edit.kind, &edit.name), edit)).collect();
        let again = self.to_read_again(&edits);
        let bodies: Vec<Option<Value>> = again.iter().map(|(kind, name)| self.resource(*kind, name.as_str())).collect();
        let nodes: Vec<(Kind, &Name, Option<Node>, Purpose)> = edits
            .values()
            .map(|edit| (edit.kind, &edit.name, edit.body.as_ref().map(Node::from_json), Purpose::Take))
            .chain(
                again
                    .iter()
                    .zip(&bodies)
                    .map(|((kind, name), body)| (*kind, name, body.as_ref().map(Node::from_json), Purpose::Check)),
            )
            .collect();
        let root = self.skeleton(&edits);
        let mut cx = Cx::telling("", tells);
        Kind::ALL.into_iter().for_each(|kind| cx.declare(kind.collection(), &root));
        for (name, group) in &self.target_groups {
            let (protocol, version, stickiness) = (Some(group.protocol), group.version, group.stickiness.clone());
            cx.groups.insert(name.clone(), Group { protocol, version, stickiness });
        }
        let mut config = self.clone();
        for kind in Kind::ALL {
            for (_, name, node, purpose) in nodes.iter().filter(|(of, ..)| *of == kind) {
                match node {
                    Some(node) => config.take(kind, name, node, *purpose, &mut cx),
                    None => config.remove(kind, name.as_str()),
                }
            }
        }
        check_names(&edits, &root, &mut cx);
        if let Some(fields) = Fields::of(&root, &KEYS, None, String::new, &mut cx) {
            check_between(&config, &fields, &mut cx);
        }
        let (faults, warnings) = cx.finish();
        if faults.is_empty() { Ok(Edited { config, warnings }) } else { Err(Faults(faults)) }
    }

    /// What is not edited and refers to something that is gone, or that is another kind of thing now.
    fn to_read_again(&self, edits: &BTreeMap<(Kind, &Name), &Edit>) -> BTreeSet<(Kind, Name)> {
        let matters = |edit: &Edit| match edit.body.as_ref() {
            None => true,
            Some(body) => edit.kind == Kind::TargetGroup && !self.is_met_as_before(&edit.name, body),
        };
        let moved: BTreeSet<(Kind, Name)> =
            edits.values().filter(|edit| matters(edit)).map(|edit| (edit.kind, edit.name.clone())).collect();
        if moved.is_empty() {
            return moved;
        }
        let mut found = self.dependents(&moved);
        found.retain(|(kind, name)| !edits.contains_key(&(*kind, name)));
        found
    }

    /// Whether a target group is, to those that forward to it, what it was. A new one has nobody that does.
    fn is_met_as_before(&self, name: &Name, body: &Value) -> bool {
        let Some(before) = self.target_groups.get(name) else { return true };
        let before = before.write();
        let same = |key: &str| match (before.get(key), body.get(key)) {
            (before, Some(now)) => before == Some(now),
            // absent from the body is the default, which is what was written if it was the default before
            (Some(before), None) => key == "protocol" && before == "http",
            (None, None) => true,
        };
        same("protocol") && same("stickiness")
    }

    /// Names without what they stand for, as far as checks between resources look for places.
    fn skeleton(&self, edits: &BTreeMap<(Kind, &Name), &Edit>) -> Node<'static> {
        let collections = Kind::ALL.into_iter().map(|kind| {
            let mut names: BTreeSet<&Name> = self.names(kind).collect();
            for ((_, name), edit) in edits.iter().filter(|((of, _), _)| *of == kind) {
                if edit.body.is_some() {
                    names.insert(name)
                } else {
                    names.remove(name)
                };
            }
            let entries = names.into_iter().map(|name| entry(name.as_str(), self.bones(kind, name, edits)));
            entry(kind.collection(), map(entries.collect()))
        });
        map(collections.collect())
    }

    /// Of a load balancer, the names of its listeners.
    fn bones(&self, kind: Kind, name: &Name, edits: &BTreeMap<(Kind, &Name), &Edit>) -> Node<'static> {
        if kind != Kind::LoadBalancer {
            return Node::empty_map();
        }
        let listeners: Vec<&str> = match edits.get(&(kind, name)).and_then(|edit| edit.body.as_ref()) {
            Some(body) => {
                let listeners = body.get("listeners").and_then(Value::as_object);
                listeners.map(|listeners| listeners.keys().map(String::as_str).collect()).unwrap_or_default()
            }
            None => {
                let balancer = self.load_balancers.get(name);
                balancer.map(|b| b.listeners.keys().map(Name::as_str).collect()).unwrap_or_default()
            }
        };
        let listeners = listeners.into_iter().map(|name| entry(name, Node::empty_map())).collect();
        map(vec![entry("listeners", map(listeners))])
    }

    /// Reads one resource, and keeps it if that is what it was read for.
    fn take<'a>(&mut self, kind: Kind, name: &'a Name, node: &'a Node, purpose: Purpose, cx: &mut Cx<'a>) {
        match kind {
            Kind::Certificate => keep::<Certificate>(&mut self.certificates, name, node, purpose, cx),
            Kind::SecurityGroup => keep::<SecurityGroup>(&mut self.security_groups, name, node, purpose, cx),
            Kind::NetworkAcl => keep::<NetworkAcl>(&mut self.network_acls, name, node, purpose, cx),
            Kind::TargetGroup => keep::<TargetGroup>(&mut self.target_groups, name, node, purpose, cx),
            Kind::LoadBalancer => keep::<LoadBalancer>(&mut self.load_balancers, name, node, purpose, cx),
        }
    }
}

/// What a resource is read for.
#[derive(Clone, Copy)]
enum Purpose {
    Take,
    Check,
}

fn keep<'a, T: Declared + Referable>(
    into: &mut BTreeMap<Name, T>,
    name: &'a Name,
    node: &'a Node,
    purpose: Purpose,
    cx: &mut Cx<'a>,
) {
    let read = cx.within(Step::Key(T::COLLECTION), |cx| cx.within(Step::Key(name.as_str()), |cx| T::read(node, cx)));
    if let (Some(read), Purpose::Take) = (read, purpose) {
        into.insert(name.clone(), read);
    }
}

/// The keys of the skeleton.
const KEYS: [&str; 5] = [
    Certificate::COLLECTION,
    SecurityGroup::COLLECTION,
    NetworkAcl::COLLECTION,
    TargetGroup::COLLECTION,
    LoadBalancer::COLLECTION,
];

/// More of a kind than the program can carry.
fn check_names<'a>(edits: &BTreeMap<(Kind, &'a Name), &'a Edit>, root: &'a Node, cx: &mut Cx<'a>) {
    let kinds: HashSet<Kind> = edits.keys().map(|(kind, _)| *kind).collect();
    for kind in kinds {
        if let Some(node) = root.get(kind.collection()) {
            let count = node.as_map().map_or(0, <[Entry]>::len);
            cx.within(Step::Key(kind.collection()), |cx| capped(node, count, cx));
        }
    }
}

fn entry(key: &str, node: Node<'static>) -> Entry<'static> {
    Entry { key: key.to_owned().into(), mark: Mark::default(), node }
}

fn map(entries: Vec<Entry<'static>>) -> Node<'static> {
    Node { mark: Mark::default(), value: NodeValue::Map(entries) }
}
