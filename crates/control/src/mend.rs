//! What was right when it was kept and is not any more. A program that is newer starts with what an older one took: what it would
//! refuse now is made right, as little of it as can be, and said.

use std::collections::{HashMap, HashSet};

use headworks_model::{Edit, Kind};
use serde_json::Value;

use crate::sight::{hrn_of_rule, name_of, rules};

/// The longest name.
const LONGEST: usize = 64;

/// Makes a resource that was kept right. What was changed, in words.
pub(crate) fn mend(edit: &mut Edit) -> Vec<String> {
    match (edit.kind, &mut edit.body) {
        (Kind::LoadBalancer, Some(body)) => own_names(edit.name.as_str(), body),
        _ => Vec::new(),
    }
}

/// Two rules of a listener could have one name. The first keeps it.
fn own_names(balancer: &str, body: &mut Value) -> Vec<String> {
    let mut said = Vec::new();
    let listeners = body.get_mut("listeners").and_then(Value::as_object_mut);
    for (listener, body) in listeners.into_iter().flatten() {
        let mut taken: HashSet<String> = rules(body).filter_map(name_of).map(str::to_owned).collect();
        let mut met: HashMap<String, u64> = HashMap::new();
        for rule in body.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(name) = name_of(rule).map(str::to_owned) else { continue };
            let count = met.entry(name.clone()).or_insert(0);
            *count += 1;
            if *count == 1 {
                continue;
            }
            let new = loop {
                let end = format!("-{count}");
                // names are ASCII
                let begin = name.get(..LONGEST - end.len()).unwrap_or(&name).trim_end_matches(['-', '.']);
                let new = format!("{begin}{end}");
                if taken.insert(new.clone()) {
                    break new;
                }
                *count += 1;
            };
            let place = hrn_of_rule(balancer, listener, &name);
            said.push(format!("{place} is the name of one rule now: another that had it is {new}"));
            if let Some(own) = rule.get_mut("name") {
                *own = new.into();
            }
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use headworks_model::primitive::Name;
    use headworks_model::{Edit, Kind};
    use serde_json::{Value, json};

    use super::mend;

    fn check(before: &[&str], after: &[&str]) {
        let body = |names: &[&str]| {
            let rules: Vec<Value> = names
                .iter()
                .map(|name| if name.is_empty() { json!({ "then": 1 }) } else { json!({ "name": name, "then": 1 }) })
                .collect();
            Some(json!({ "listeners": { "http": { "rules": rules }, "none": {} } }))
        };
        let mut edit = Edit { kind: Kind::LoadBalancer, name: Name::new("edge").unwrap(), body: body(before) };
        let said = mend(&mut edit);
        assert_eq!(edit.body, body(after), "{before:?}");
        let changed = before.iter().zip(after).filter(|(before, after)| before != after).count();
        assert_eq!(said.len(), changed, "{said:?}");
        assert!(mend(&mut edit).is_empty(), "it is right then");
    }

    #[test]
    fn rules_that_shared_a_name_have_names_of_their_own() {
        check(&[], &[]);
        check(&["", "a", "", "b"], &["", "a", "", "b"]);
        check(&["a", "a"], &["a", "a-2"]);
        check(&["a", "", "a", "b", "a", "b"], &["a", "", "a-2", "b", "a-3", "b-2"]);
        // what others have already is not taken from them
        check(&["a", "a-2", "a", "a"], &["a", "a-2", "a-3", "a-4"]);
        check(&["a", "a", "a-2", "a-2"], &["a", "a-3", "a-2", "a-2-2"]);
        let long = "x".repeat(64);
        check(&[&long, &long], &[&long, &format!("{}-2", "x".repeat(62))]);
        let dots = format!("{}..", "x".repeat(61)) + "y";
        check(&[&dots, &dots], &[&dots, &format!("{}-2", "x".repeat(61))]);
    }

    #[test]
    fn others_stay_as_they_are() {
        let body = Some(json!({ "targets": [] }));
        let mut edit = Edit { kind: Kind::TargetGroup, name: Name::new("web").unwrap(), body: body.clone() };
        assert!(mend(&mut edit).is_empty());
        assert_eq!(edit.body, body);
    }
}
