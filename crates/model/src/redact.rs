//! Keeping secrets out of what is shown.

use serde_json::Value;

use crate::yaml::{Node, NodeValue};

/// What stands in place of a secret.
const SHOWN: &str = "***";

/// Replaces the values at the paths of `secrets` ([`crate::Parsed::secrets`]). Where the canonical form has another shape
/// than the text had, the nearest value around is replaced: too much rather than too little.
pub fn redact(json: &mut Value, secrets: &[String]) {
    for secret in secrets {
        if !cover(json, secret) {
            *json = SHOWN.into();
        }
    }
}

/// Replaces what `rest` leads to below `value`; false when it leads nowhere.
fn cover(value: &mut Value, rest: &str) -> bool {
    let mut covered = false;
    match value {
        Value::Object(entries) => {
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            // Names have dots in them: every key that could be meant is followed.
            for (key, inner) in entries.iter_mut() {
                if let Some(tail) = rest.strip_prefix(key.as_str())
                    && (tail.is_empty() || tail.starts_with(['.', '[']))
                {
                    if tail.is_empty() || !cover(inner, tail) {
                        *inner = SHOWN.into();
                    }
                    covered = true;
                }
            }
        }
        Value::Array(items) => {
            let inside = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            if let Some((index, tail)) = inside
                && let Some(inner) = index.parse::<usize>().ok().and_then(|index| items.get_mut(index))
            {
                if tail.is_empty() || !cover(inner, tail) {
                    *inner = SHOWN.into();
                }
                covered = true;
            }
        }
        _ => {}
    }
    covered
}

/// The paths of all scalars that something secret was put into.
pub(crate) fn secret_paths(root: &Node) -> Vec<String> {
    let mut found = Vec::new();
    collect(root, &mut String::new(), &mut found);
    found
}

fn collect(node: &Node, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match &node.value {
        NodeValue::Scalar(scalar) if scalar.secret => found.push(path.clone()),
        NodeValue::Scalar(_) => {}
        NodeValue::List(nodes) => {
            for (index, inner) in nodes.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                collect(inner, path, found);
                path.truncate(length);
            }
        }
        NodeValue::Map(entries) => {
            for entry in entries {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(&entry.key);
                collect(&entry.node, path, found);
                path.truncate(length);
            }
        }
    }
}
