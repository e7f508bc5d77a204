//! Changing a part of a resource: a listener, a rule, a target. Every such change is one of the whole resource, so that the
//! whole is what is validated, recorded and compared.

use headworks_model::primitive::Address;
use serde_json::{Map, Value, json};

use crate::names::number;
use crate::problem::Problem;

/// Which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The resource itself.
    Whole,
    /// A listener of a load balancer.
    Listener(String),
    /// All rules of a listener.
    Rules(String),
    /// A rule of a listener: by its name, else by its number from 1.
    Rule(String, String),
    /// The targets of a target group.
    Targets,
}

/// What is done with it.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// It is this from now on.
    Put(Value),
    /// It is merged with this (RFC 7396).
    Patch(Value),
    /// It is gone.
    Delete,
    /// It is added, before the one at this number from 1, or last.
    Insert(Value, Option<usize>),
    /// These targets are there, in place of those of the same address.
    Register(Vec<Value>),
    /// Targets of these addresses are not.
    Deregister(Vec<String>),
}

impl Place {
    /// The path of the part below that of its resource.
    pub(crate) fn path(&self, whole: &Value) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Listener(listener) => format!(".listeners.{listener}"),
            Self::Rules(listener) => format!(".listeners.{listener}.rules"),
            Self::Rule(listener, rule) => {
                let index = self.index(whole).map_or_else(|| rule.clone(), |index| index.to_string());
                format!(".listeners.{listener}.rules[{index}]")
            }
            Self::Targets => ".targets".to_owned(),
        }
    }

    /// What the part is called when it is not there.
    pub(crate) fn called(&self) -> String {
        match self {
            Self::Whole => "resource".to_owned(),
            Self::Listener(listener) | Self::Rules(listener) => format!("listener {listener:?}"),
            Self::Rule(listener, rule) => format!("rule {rule:?} of a listener {listener:?}"),
            Self::Targets => "target".to_owned(),
        }
    }

    /// Where the part is afterwards: a rule may be given another name.
    pub(crate) fn after(&self, operation: &Operation) -> Self {
        match (self, operation) {
            (Self::Rule(listener, _), Operation::Put(body) | Operation::Patch(body)) => {
                let name = body.get("name").and_then(Value::as_str);
                name.map_or_else(|| self.clone(), |name| Self::Rule(listener.clone(), name.to_owned()))
            }
            _ => self.clone(),
        }
    }

    fn rules<'a>(&self, whole: &'a Value) -> Option<&'a Vec<Value>> {
        match self {
            Self::Rules(listener) | Self::Rule(listener, _) => {
                whole.get("listeners")?.get(listener)?.get("rules")?.as_array()
            }
            _ => None,
        }
    }

    /// Of a rule: how many are before it.
    pub(crate) fn index(&self, whole: &Value) -> Option<usize> {
        match self {
            Self::Rule(_, rule) => find_rule(self.rules(whole)?, rule),
            _ => None,
        }
    }

    /// The part as it is.
    pub(crate) fn find<'a>(&self, whole: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Whole => Some(whole),
            Self::Listener(listener) => whole.get("listeners")?.get(listener),
            Self::Rules(listener) => whole.get("listeners")?.get(listener)?.get("rules"),
            Self::Rule(..) => self.rules(whole)?.get(self.index(whole)?),
            Self::Targets => whole.get("targets"),
        }
    }
}

/// The resource after `operation` on a part of it; none when it is gone.
///
/// # Errors
/// When the part is not there, or the operation does not go with it.
pub(crate) fn rewrite(whole: Option<Value>, place: &Place, operation: Operation) -> Result<Option<Value>, Problem> {
    let absent = || Problem::not_found(place.called());
    match (place, operation) {
        (Place::Whole, Operation::Put(body)) => Ok(Some(body)),
        (Place::Whole, Operation::Patch(patch)) => {
            let mut whole = whole.ok_or_else(absent)?;
            merge(&mut whole, &patch);
            Ok(Some(whole))
        }
        (Place::Whole, Operation::Delete) => whole.ok_or_else(absent).map(|_| None),
        (place, operation) => {
            let mut whole = whole.ok_or_else(absent)?;
            part(&mut whole, place, operation)?;
            Ok(Some(whole))
        }
    }
}

fn part(whole: &mut Value, place: &Place, operation: Operation) -> Result<(), Problem> {
    let absent = || Problem::not_found(place.called());
    match place {
        Place::Whole => Err(Problem::bad_request("a whole resource is no part")),
        Place::Listener(name) => {
            let listeners = whole.as_object_mut().ok_or_else(absent)?.entry("listeners").or_insert_with(|| json!({}));
            let listeners = listeners.as_object_mut().ok_or_else(absent)?;
            match operation {
                Operation::Put(body) => drop(listeners.insert(name.clone(), body)),
                Operation::Patch(patch) => merge(listeners.get_mut(name).ok_or_else(absent)?, &patch),
                Operation::Delete => drop(listeners.shift_remove(name).ok_or_else(absent)?),
                _ => return Err(Problem::bad_request("a listener is put, patched or deleted")),
            }
            Ok(())
        }
        Place::Rules(listener) => {
            let rules = rules_of(whole, listener).ok_or_else(absent)?;
            match operation {
                Operation::Put(Value::Array(list)) => *rules = list,
                Operation::Put(_) => return Err(Problem::invalid("rules", "is no list, expected a list of rules")),
                Operation::Insert(rule, before) => {
                    let place = before.map_or(rules.len(), |number| number.saturating_sub(1)).min(rules.len());
                    rules.insert(place, rule);
                }
                _ => return Err(Problem::bad_request("rules are put, or one is added")),
            }
            Ok(())
        }
        Place::Rule(listener, rule) => {
            let rules = rules_of(whole, listener).ok_or_else(absent)?;
            let index = find_rule(rules, rule).ok_or_else(absent)?;
            match operation {
                Operation::Delete => drop(rules.remove(index)),
                Operation::Put(mut body) => {
                    let before = rules.get_mut(index).ok_or_else(absent)?;
                    // its name is in the path already; a rule that says another is renamed
                    if let (Some(body), Some(name)) = (body.as_object_mut(), before.get("name")) {
                        body.entry("name").or_insert_with(|| name.clone());
                    }
                    *before = body;
                }
                Operation::Patch(patch) => merge(rules.get_mut(index).ok_or_else(absent)?, &patch),
                _ => return Err(Problem::bad_request("a rule is put, patched or deleted")),
            }
            Ok(())
        }
        Place::Targets => {
            let targets = whole.as_object_mut().ok_or_else(absent)?.entry("targets").or_insert_with(|| json!([]));
            let targets = targets.as_array_mut().ok_or_else(absent)?;
            match operation {
                Operation::Register(list) => register(targets, list),
                Operation::Deregister(addresses) => deregister(targets, &addresses)?,
                _ => return Err(Problem::bad_request("targets are registered or deregistered")),
            }
            Ok(())
        }
    }
}

fn rules_of<'a>(whole: &'a mut Value, listener: &str) -> Option<&'a mut Vec<Value>> {
    let listener = whole.get_mut("listeners")?.get_mut(listener)?.as_object_mut()?;
    listener.entry("rules").or_insert_with(|| json!([])).as_array_mut()
}

/// By name, else by number from 1.
fn find_rule(rules: &[Value], rule: &str) -> Option<usize> {
    let named = rules.iter().position(|known| known.get("name").and_then(Value::as_str) == Some(rule));
    let index = || usize::try_from(number(rule)?.checked_sub(1)?).ok().filter(|index| *index < rules.len());
    named.or_else(index)
}

fn address_of(target: &Value) -> Option<Address> {
    target.get("address").unwrap_or(target).as_str()?.parse().ok()
}

fn register(targets: &mut Vec<Value>, list: Vec<Value>) {
    for target in list {
        let address = address_of(&target);
        let known = targets.iter_mut().find(|known| address.is_some() && address_of(known) == address);
        match known {
            Some(known) => *known = target,
            None => targets.push(target),
        }
    }
}

fn deregister(targets: &mut Vec<Value>, addresses: &[String]) -> Result<(), Problem> {
    for text in addresses {
        let address = text.parse::<Address>().ok();
        let before = targets.len();
        targets.retain(|known| address.is_none() || address_of(known) != address);
        if targets.len() == before {
            return Err(Problem::not_found(format_args!("target {text:?}")));
        }
    }
    Ok(())
}

/// RFC 7396, section 2.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.shift_remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Operation, Place, merge, rewrite};

    /// RFC 7396, appendix A.
    #[test]
    fn patches_merge_as_the_rfc_has_it() {
        for (target, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), Value::Null, Value::Null),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} {patch}");
        }
    }

    #[test]
    fn parts_are_found_by_name_and_by_number() {
        let shop = json!({ "listeners": { "http": { "rules": [{ "then": 1 }, { "name": "two", "then": 2 }] } } });
        let rule = |rule: &str| Place::Rule("http".to_owned(), rule.to_owned());
        let then = |rule: &Place| rule.find(&shop).map(|found| found["then"].clone());
        assert_eq!(then(&rule("1")), Some(json!(1)));
        assert_eq!(then(&rule("two")), Some(json!(2)));
        assert_eq!(then(&rule("3")), None);
        let insert = Operation::Insert(json!({ "then": 0 }), Some(1));
        let changed = rewrite(Some(shop.clone()), &Place::Rules("http".to_owned()), insert).unwrap().unwrap();
        assert_eq!(changed["listeners"]["http"]["rules"][0], json!({ "then": 0 }));
        // a rule keeps its name, unless it is given another
        for (body, name, then) in
            [(json!({ "then": 3 }), "two", 3), (json!({ "name": "three", "then": 3 }), "three", 3)]
        {
            let operation = Operation::Put(body);
            let after = rule("2").after(&operation);
            let changed = rewrite(Some(shop.clone()), &rule("2"), operation).unwrap().unwrap();
            assert_eq!(changed["listeners"]["http"]["rules"][1], json!({ "name": name, "then": then }));
            assert_eq!(after.find(&changed).map(|found| &found["then"]), Some(&json!(3)));
        }
        let gone = rewrite(Some(shop), &rule("two"), Operation::Delete).unwrap().unwrap();
        assert_eq!(gone["listeners"]["http"]["rules"], json!([{ "then": 1 }]));
    }

    #[test]
    fn targets_come_and_go_by_address() {
        let group = json!({ "targets": [{ "address": "127.0.0.1:1", "weight": 1 }] });
        let register =
            Operation::Register(vec![json!("127.0.0.1:2"), json!({ "address": "127.0.0.1:1", "weight": 5 })]);
        let more = rewrite(Some(group), &Place::Targets, register).unwrap().unwrap();
        assert_eq!(more, json!({ "targets": [{ "address": "127.0.0.1:1", "weight": 5 }, "127.0.0.1:2"] }));
        let less = Operation::Deregister(vec!["127.0.0.1:1".to_owned()]);
        let less = rewrite(Some(more), &Place::Targets, less).unwrap().unwrap();
        assert_eq!(less, json!({ "targets": ["127.0.0.1:2"] }));
        let unknown = Operation::Deregister(vec!["127.0.0.1:9".to_owned()]);
        assert_eq!(rewrite(Some(less), &Place::Targets, unknown).unwrap_err().status(), 404);
    }
}
