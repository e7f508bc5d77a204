//! What reading knows besides the node at hand: the path to it, what surrounds it, what may be referred to.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value;

use super::{Codec, Declared, Defs, nearest};
use crate::fault::Fault;
use crate::listener::ListenerProtocol;
use crate::load_balancer::LoadBalancerKind;
use crate::primitive::Name;
use crate::target_group::{HealthProtocol, HttpVersion, Stickiness, TargetProtocol};
use crate::yaml::{Mark, Node, NodeValue, Style};

/// The state of one reading.
pub(crate) struct Cx<'a> {
    file: Arc<str>,
    path: Vec<Step<'a>>,
    known: HashMap<&'static str, HashSet<&'a str>>,
    used: HashSet<(&'static str, &'a str)>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
    /// Of which resources whoever wrote this may be told that they are there; none: of all.
    tells: Option<Tells<'a>>,
    /// The protocol of the target group that is being read.
    pub(crate) group_protocol: Option<TargetProtocol>,
    /// What the health check that is being read speaks.
    pub(crate) probe: Option<HealthProtocol>,
    /// The type of the load balancer that is being read.
    pub(crate) load_balancer: Option<LoadBalancerKind>,
    /// The protocol of the listener that is being read.
    pub(crate) listener: Option<ListenerProtocol>,
    /// The target groups, as far as they could be read.
    pub(crate) groups: HashMap<Name, Group>,
}

/// Whether somebody may be told that a resource is there, by the key under which it is declared and its name.
pub(crate) type Tells<'a> = &'a dyn Fn(&str, &str) -> bool;

/// What a forward has to know of a target group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Absent when it is not known what it was meant to be.
    pub(crate) protocol: Option<TargetProtocol>,
    pub(crate) version: HttpVersion,
    pub(crate) stickiness: Option<Stickiness>,
}

/// A step on the way from the root to a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Cx<'a> {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.into(),
            path: Vec::new(),
            known: HashMap::new(),
            used: HashSet::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
            tells: None,
            group_protocol: None,
            probe: None,
            load_balancer: None,
            listener: None,
            groups: HashMap::new(),
        }
    }

    /// The same for somebody who may not be told of everything.
    pub(crate) fn telling(file: &str, tells: Tells<'a>) -> Self {
        Self { tells: Some(tells), ..Self::new(file) }
    }

    /// Whether a fault may name a resource that it is not about.
    pub(crate) fn may_tell_of(&self, collection: &str, name: &str) -> bool {
        self.tells.is_none_or(|tells| tells(collection, name))
    }

    /// The keys under `collection` may be referred to, right or wrong as what they stand for may be.
    pub(crate) fn declare(&mut self, collection: &'static str, root: &'a Node) {
        let entries = root.get(collection).and_then(Node::as_map).unwrap_or_default();
        self.known.insert(collection, entries.iter().map(|entry| &*entry.key).collect());
    }

    /// Whether something refers to it.
    pub(crate) fn is_used(&self, collection: &'static str, name: &'a str) -> bool {
        self.used.contains(&(collection, name))
    }

    /// Takes a step for as long as `inside` runs.
    pub(crate) fn within<T>(&mut self, step: Step<'a>, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = inside(self);
        self.path.pop();
        value
    }

    /// `node` is wrong: `what` says how ("is not a duration").
    pub(crate) fn wrong(&mut self, node: &Node, what: impl Into<String>, expected: impl Into<String>) {
        let broken = node.as_scalar().is_some_and(|scalar| scalar.style == Style::Broken);
        if !broken {
            self.fault(node.mark, what, Some(expected.into()));
        }
    }

    /// `node` is of another kind than what is expected.
    pub(crate) fn wrong_kind(&mut self, node: &Node, expected: impl Into<String>) {
        self.wrong(node, node.kind(), expected);
    }

    /// Something is wrong at `mark`, where the path now leads.
    pub(crate) fn fault(&mut self, mark: Mark, what: impl Into<String>, expected: Option<String>) {
        let fault = self.at(mark, what.into(), expected);
        self.faults.push(fault);
    }

    /// Something is right, but likely not what was meant.
    pub(crate) fn warn(&mut self, mark: Mark, what: impl Into<String>) {
        let warning = self.at(mark, what.into(), None);
        self.warnings.push(warning);
    }

    /// A mistake that was found before reading began.
    pub(crate) fn mistake(&mut self, mark: Mark, path: String, what: String) {
        let file = Arc::clone(&self.file);
        self.faults.push(Fault { file, line: mark.line, column: mark.column, path, what, expected: None });
    }

    /// How many faults there are by now.
    pub(crate) fn fault_count(&self) -> usize {
        self.faults.len()
    }

    /// The target group that was just read is this one, under the name the path ends with.
    pub(crate) fn note_group(&mut self, stickiness: Option<Stickiness>, version: HttpVersion) {
        if let Some(Step::Key(name)) = self.path.last()
            && let Ok(name) = Name::new(name)
        {
            self.groups.insert(name, Group { protocol: self.group_protocol, version, stickiness });
        }
    }

    /// Faults and warnings, each by place.
    pub(crate) fn finish(mut self) -> (Vec<Fault>, Vec<Fault>) {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        self.warnings.sort_by_key(|fault| (fault.line, fault.column));
        (self.faults, self.warnings)
    }

    fn at(&self, mark: Mark, what: String, expected: Option<String>) -> Fault {
        let mut path = String::new();
        for step in &self.path {
            // Writing to a String cannot fail.
            let _ = match step {
                Step::Key(key) if path.is_empty() => write!(path, "{key}"),
                Step::Key(key) => write!(path, ".{key}"),
                Step::Index(index) => write!(path, "[{index}]"),
            };
        }
        Fault { file: Arc::clone(&self.file), line: mark.line, column: mark.column, path, what, expected }
    }
}

/// A resource that others refer to by name.
pub(crate) trait Referable {
    /// The key of the file under which it is declared.
    const COLLECTION: &'static str;
    /// What one of it is called.
    const CALLED: &'static str;
}

/// A name that must be declared as a `T`.
pub(crate) struct To<T>(PhantomData<T>);

impl<T: Referable> To<T> {
    /// Faults, unless `name` is declared.
    pub(crate) fn check<'a>(name: &'a str, mark: Mark, cx: &mut Cx<'a>) -> bool {
        let Some(known) = cx.known.get(T::COLLECTION).filter(|known| !known.contains(name)) else {
            cx.used.insert((T::COLLECTION, name));
            return true;
        };
        // Comparing with thousands for each of thousands of mistakes would take minutes.
        let told = known.iter().copied().filter(|name| cx.may_tell_of(T::COLLECTION, name));
        let few = if known.len() <= 1000 { Some(told) } else { None };
        let hint = few.and_then(|known| nearest(name, known)).map(|near| format!(" (did you mean {near}?)"));
        let shown: String = name.chars().take(64).collect();
        let what = format!("there is no {} {shown:?}", T::CALLED);
        cx.fault(mark, what, Some(format!("a name under {}{}", T::COLLECTION, hint.unwrap_or_default())));
        false
    }
}

impl<T: Referable> Codec<Name> for To<T> {
    fn expected() -> String {
        format!("the name of a {}", T::CALLED)
    }

    fn read<'a>(node: &'a Node, cx: &mut Cx<'a>) -> Option<Name> {
        let name = Name::read(node, cx)?;
        if let NodeValue::Scalar(scalar) = &node.value
            && scalar.style != Style::Broken
        {
            Self::check(&scalar.text, node.mark, cx);
        }
        Some(name)
    }

    fn write(value: &Name) -> Value {
        value.write()
    }

    fn schema(_defs: &mut Defs) -> Value {
        serde_json::json!({ "type": "string" })
    }
}
