//! What changes between two configurations, in the words of the file.

use std::fmt;

use serde_json::Value;

use crate::config::Config;

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
    difference_of_json(&old.to_json(), &new.to_json())
}

/// The same for configurations in their canonical JSON form, from which secrets may have been taken.
pub fn difference_of_json(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(old, new, &mut String::new(), &mut changes);
    changes
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
