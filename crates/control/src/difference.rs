//! What changes, in the words of the file and without secrets: for answers, revisions and the audit trail.

use headworks_model::primitive::Name;
use headworks_model::{Kind, difference_of_json, redact};
use serde_json::{Map, Value};

/// The most lines that are told of one change.
const MOST: usize = 200;

/// A resource without what is secret in it.
pub(crate) fn shown(kind: Kind, mut body: Value) -> Value {
    let present: Vec<String> = kind
        .secrets()
        .iter()
        .filter(|path| path.split('.').try_fold(&body, |value, key| value.get(key)).is_some())
        .map(|path| (*path).to_owned())
        .collect();
    redact(&mut body, &present);
    body
}

/// Lines such as `~ target_groups.web.algorithm: round_robin -> weighted_random`.
pub(crate) fn lines(kind: Kind, name: &Name, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    let whole = |body: Option<&Value>| {
        let mut entries = Map::new();
        if let Some(body) = body {
            entries.insert(name.as_str().to_owned(), shown(kind, body.clone()));
        }
        Value::Object([(kind.collection().to_owned(), Value::Object(entries))].into_iter().collect())
    };
    let is_same = before == after;
    let mut lines = between(&whole(before), &whole(after));
    if lines.is_empty() && !is_same {
        lines.push(format!("~ {}.{name}: a secret", kind.collection()));
    }
    lines
}

/// What is different between two that have no secrets in them.
pub(crate) fn between(before: &Value, after: &Value) -> Vec<String> {
    let mut lines: Vec<String> = difference_of_json(before, after).iter().map(ToString::to_string).collect();
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// A line of the audit trail, which is read by the page; a revision has all of it.
pub(crate) fn shortened(line: &str) -> String {
    let mut short: String = line.chars().take(300).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}
