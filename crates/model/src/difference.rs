//! What changes between two configurations, in the words of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::Config;
use crate::declared::Declared;
use crate::listener::Listener;
use crate::load_balancer::LoadBalancer;
use crate::primitive::Name;
use crate::redact::redact;
use crate::target_group::TargetGroup;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Dotted path, as in faults.
    pub path: String,
    /// Absent: added.
    pub old: Option<Value>,
    /// Absent: removed.
    pub new: Option<Value>,
}

/// All changes that make `new` out of `old`, in the order of the canonical form.
///
/// In a list, what is the same at both ends is set apart; of the rest, places are compared.
pub fn difference(old: &Config, new: &Config) -> Vec<Change> {
    difference_of_shown((old, &[]), (new, &[]))
}

/// The same of configurations from which secrets are taken, each behind the paths of its own.
pub fn difference_of_shown(old: (&Config, &[String]), new: (&Config, &[String])) -> Vec<Change> {
    let (mut was, mut is) = match old.1 == new.1 {
        true => unlike(old.0, new.0),
        // what is the same may be shown in the one and not in the other
        false => (old.0.to_json(), new.0.to_json()),
    };
    redact(&mut was, old.1);
    redact(&mut is, new.1);
    difference_of_json(&was, &is)
}

/// The same for configurations in their canonical JSON form, from which secrets may have been taken.
pub fn difference_of_json(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(old, new, &mut String::new(), &mut changes);
    changes
}

/// The canonical forms of both, with null in the place of what is the same. Of many thousand rules and targets, writing all to
/// find the one that has changed would be most of the work.
fn unlike(old: &Config, new: &Config) -> (Value, Value) {
    let bare = |config: &Config| {
        let mut config = config.clone();
        config.target_groups.clear();
        config.load_balancers.clear();
        config.write()
    };
    let (mut was, mut is) = (bare(old), bare(new));
    let groups = each(&old.target_groups, &new.target_groups, unlike_groups);
    let balancers = each(&old.load_balancers, &new.load_balancers, |old, new| {
        let bare = |balancer: &LoadBalancer| LoadBalancer { listeners: BTreeMap::new(), ..balancer.clone() }.write();
        let (mut was, mut is) = (bare(old), bare(new));
        put("listeners", each(&old.listeners, &new.listeners, unlike_listeners), &mut was, &mut is);
        (was, is)
    });
    put("target_groups", groups, &mut was, &mut is);
    put("load_balancers", balancers, &mut was, &mut is);
    (was, is)
}

fn unlike_groups(old: &TargetGroup, new: &TargetGroup) -> (Value, Value) {
    let bare = |group: &TargetGroup| TargetGroup { targets: Arc::default(), ..group.clone() }.write();
    let (mut was, mut is) = (bare(old), bare(new));
    put("targets", items(&old.targets, &new.targets), &mut was, &mut is);
    (was, is)
}

fn unlike_listeners(old: &Listener, new: &Listener) -> (Value, Value) {
    let bare = |listener: &Listener| Listener { rules: Arc::default(), ..listener.clone() }.write();
    let (mut was, mut is) = (bare(old), bare(new));
    put("rules", items(&old.rules, &new.rules), &mut was, &mut is);
    (was, is)
}

/// Puts the two parts where what was written without them has an empty one.
fn put(key: &str, (was, is): (Value, Value), old: &mut Value, new: &mut Value) {
    for (part, whole) in [(was, old), (is, new)] {
        if let Some(place) = whole.get_mut(key) {
            *place = part;
        }
    }
}

/// Both mappings; `unlike` writes two of the same name that are not the same.
fn each<T: Declared + PartialEq>(
    old: &BTreeMap<Name, T>,
    new: &BTreeMap<Name, T>,
    unlike: impl Fn(&T, &T) -> (Value, Value),
) -> (Value, Value) {
    let (mut was, mut is) = (Map::new(), Map::new());
    for (name, old) in old {
        let written = match new.get(name) {
            None => old.write(),
            Some(new) if old == new => Value::Null,
            Some(new) => {
                let (old, new) = unlike(old, new);
                is.insert(name.as_str().to_owned(), new);
                old
            }
        };
        was.insert(name.as_str().to_owned(), written);
    }
    // in their own order
    let is = new.iter().map(|(name, new)| {
        let written =
            is.remove(name.as_str()).unwrap_or_else(|| if old.contains_key(name) { Value::Null } else { new.write() });
        (name.as_str().to_owned(), written)
    });
    (Value::Object(was), Value::Object(is.collect()))
}

/// Both lists. What is the same at both ends is null; between them, what is the same at the same place, where as many are left of
/// both, so that comparing them finds the ends where it would find them in the whole.
fn items<T: Declared + PartialEq>(olds: &[T], news: &[T]) -> (Value, Value) {
    let head = olds.iter().zip(news).take_while(|(old, new)| old == new).count();
    let (left, right) = (olds.get(head..).unwrap_or_default(), news.get(head..).unwrap_or_default());
    let tail = left.iter().rev().zip(right.iter().rev()).take_while(|(old, new)| old == new).count();
    let (left, right) = (left.get(..left.len() - tail), right.get(..right.len() - tail));
    let (left, right) = (left.unwrap_or_default(), right.unwrap_or_default());
    let beside = |index: usize, other: &[T], own: &T| left.len() == right.len() && other.get(index) == Some(own);
    let list = |own: &[T], other: &[T]| {
        let middle = own
            .iter()
            .enumerate()
            .map(|(index, one)| if beside(index, other, one) { Value::Null } else { one.write() });
        let same = |count| std::iter::repeat_n(Value::Null, count);
        same(head).chain(middle).chain(same(tail)).collect()
    };
    (list(left, right), list(right, left))
}

fn compare(old: &Value, new: &Value, path: &mut String, changes: &mut Vec<Change>) {
    match (old, new) {
        // not looked at as a whole first: that would be done again on each level below
        (Value::Object(olds), Value::Object(news)) => {
            let mut in_order = news.iter();
            for (key, old) in olds {
                // nearly always both have the same keys in the same order
                let beside = in_order.next().filter(|(other, _)| *other == key).map(|(_, new)| new);
                at_key(path, key, |path| step(Some(old), beside.or_else(|| news.get(key)), path, changes));
            }
            for (key, new) in news.iter().filter(|(key, _)| !olds.contains_key(*key)) {
                at_key(path, key, |path| step(None, Some(new), path, changes));
            }
        }
        (Value::Array(olds), Value::Array(news)) => {
            let same = olds.iter().zip(news).take_while(|(old, new)| is_same(old, new)).count();
            let (olds, news) = (olds.get(same..).unwrap_or_default(), news.get(same..).unwrap_or_default());
            let tail = olds.iter().rev().zip(news.iter().rev()).take_while(|(old, new)| is_same(old, new)).count();
            let (olds, news) =
                (olds.get(..olds.len() - tail).unwrap_or_default(), news.get(..news.len() - tail).unwrap_or_default());
            for index in 0..olds.len().max(news.len()) {
                let length = path.len();
                path.push_str(&format!("[{}]", same + index));
                step(olds.get(index), news.get(index), path, changes);
                path.truncate(length);
            }
        }
        (old, new) if old == new => {}
        (old, new) => {
            changes.push(Change { path: path.clone(), old: Some(old.clone()), new: Some(new.clone()) });
        }
    }
}

/// Equality, without looking keys up while they come in the same order.
fn is_same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(olds), Value::Object(news)) if olds.len() == news.len() => {
            let in_order = olds.iter().zip(news).all(|((a, old), (b, new))| a == b && is_same(old, new));
            in_order || old == new
        }
        (Value::Array(olds), Value::Array(news)) => {
            olds.len() == news.len() && olds.iter().zip(news).all(|(old, new)| is_same(old, new))
        }
        _ => old == new,
    }
}

fn step(old: Option<&Value>, new: Option<&Value>, path: &mut String, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(old), Some(new)) => compare(old, new, path, changes),
        (old, new) => changes.push(Change { path: path.clone(), old: old.cloned(), new: new.cloned() }),
    }
}

fn at_key(path: &mut String, key: &str, then: impl FnOnce(&mut String)) {
    let length = path.len();
    if length > 0 {
        path.push('.');
    }
    path.push_str(key);
    then(path);
    path.truncate(length);
}

/// Text without quotes, the rest as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl fmt::Display for Change {
    /// `~ path: old -> new`, `+ path: new` or `- path: old`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "~ {}: {} -> {}", self.path, shown(old), shown(new)),
            (None, Some(new)) => write!(f, "+ {}: {}", self.path, shown(new)),
            (Some(old), None) => write!(f, "- {}: {}", self.path, shown(old)),
            (None, None) => Ok(()),
        }
    }
}
