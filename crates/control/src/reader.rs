//! What somebody is told who changes something: it may be there what it may not see. Whoever may put or delete something learns
//! by that whether it is there; what is in it, or beside it, is told to those only who may get it, or are shown it in lists.

use headworks_model::{Config, Fault, Faults, Kind};
use serde_json::Value;

use crate::asker::Asker;
use crate::names::action;
use crate::plane::Plane;
use crate::problem::Problem;
use crate::rewrite::{Operation, Place};
use crate::sight::{Sight, hrn_of_listener, hrn_of_rule, name_of};

/// Who asks, as somebody to whom things are told.
pub(crate) struct Reader<'a> {
    asker: &'a Asker,
    plane: &'a Plane,
    sight: Sight,
}

/// What of a resource came with the call, and so is known to the caller.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// All that is at the place.
    All,
    /// What is in this, which was merged into it.
    Merged(Value),
    /// The rule at this index of the place.
    Rule(usize),
    /// These of the targets.
    Targets(Vec<Value>),
    /// Nothing.
    Nothing,
}

/// A resource before and after a change, as far as it matters for what is told of it.
pub(crate) struct Touched<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) before: Option<&'a Value>,
    pub(crate) after: Option<&'a Value>,
    pub(crate) place: &'a Place,
    /// The path of the place.
    pub(crate) base: &'a str,
    pub(crate) sent: &'a Sent,
}

impl Asker {
    /// What may be told to whoever asks.
    pub(crate) fn reader<'a>(&'a self, plane: &'a Plane) -> Reader<'a> {
        Reader { asker: self, plane, sight: self.sight(plane) }
    }
}

impl Reader<'_> {
    /// Whether it may be told that a resource is there, and what it says but for parts.
    pub(crate) fn knows(&self, kind: Kind, name: &str) -> bool {
        self.asker.knows(self.plane, kind, name)
    }

    /// Whether it may be told of all that is in a resource.
    pub(crate) fn knows_all_of(&self, kind: Kind, name: &str, config: &Config) -> bool {
        self.knows(kind, name) && self.sight.has_all_of(kind, name, config)
    }

    /// Whether it may be told of all that is at a place of a resource.
    pub(crate) fn reads(&self, kind: Kind, name: &str, place: &Place, whole: &Value) -> bool {
        self.sight.has_place(kind, name, place, whole) && (self.knows(kind, name) || self.may_get(name, place))
    }

    /// Whether a part may be got by itself.
    fn may_get(&self, balancer: &str, place: &Place) -> bool {
        let may = |of: &str, resource: String| self.asker.may(self.plane, &action(of), &resource).is_ok();
        match place {
            Place::Whole | Place::Targets => false,
            Place::Listener(listener) => may("GetListener", hrn_of_listener(balancer, listener)),
            Place::Rules(listener) => {
                ["ListRules", "GetListener"].into_iter().any(|of| may(of, hrn_of_listener(balancer, listener)))
            }
            Place::Rule(listener, rule) => {
                may("GetRule", hrn_of_rule(balancer, listener, rule))
                    || self.may_get(balancer, &Place::Rules(listener.clone()))
            }
        }
    }

    /// What it is told of the difference that a change makes.
    pub(crate) fn lines(&self, of: &Touched<'_>, lines: Vec<String>) -> Vec<String> {
        let Touched { kind, name, before, after, place, base, .. } = *of;
        if self.sight.has_both(kind, name, before, after) && (before.is_none() || self.knows(kind, name)) {
            return lines;
        }
        match before {
            Some(whole) if *place != Place::Whole && self.reads(kind, name, place, whole) => lines
                .into_iter()
                .filter(|line| line.get(2..).is_some_and(|path| within(path, base).is_some()))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is told of a fault, or a warning, that a change brings with it.
    pub(crate) fn is_told(&self, fault: &Fault, touched: &[Touched<'_>], config: &Config) -> bool {
        let owner = fault.path.split_once('.').and_then(|(of, rest)| Some((Kind::of_collection(of)?, rest)));
        owner.is_none_or(|(kind, rest)| {
            // a name may have dots in it
            let ends = rest.match_indices(['.', '[']).map(|(end, _)| end).chain([rest.len()]);
            ends.filter_map(|end| rest.get(..end)).all(|name| {
                match touched.iter().find(|of| of.kind == kind && of.name == name) {
                    Some(of) => self.is_told_of(&fault.path, of),
                    None => !config.has(kind, name) || self.knows_all_of(kind, name, config),
                }
            })
        })
    }

    fn is_told_of(&self, path: &str, of: &Touched<'_>) -> bool {
        let reads = |place: &Place| match of.before {
            Some(whole) => self.reads(of.kind, of.name, place, whole),
            None => self.knows(of.kind, of.name),
        };
        let inside = within(path, of.base);
        inside.is_some_and(|inside| of.came(inside)) || reads(&Place::Whole) || inside.is_some() && reads(of.place)
    }

    /// A fault as it is told: what is not, is one of what was changed, at `base`.
    pub(crate) fn told(&self, fault: &Fault, base: &str, touched: &[Touched<'_>], config: &Config) -> Fault {
        if self.is_told(fault, touched, config) {
            return fault.clone();
        }
        let what = "does not go with something that is not shown to whoever asks".to_owned();
        Fault { path: base.to_owned(), what, expected: None, ..fault.clone() }
    }

    /// That no other rule of its listener has the name that a rule is given.
    ///
    /// # Errors
    /// When there is one; which it is, is told to whoever may see it.
    pub(crate) fn has_own_name(&self, of: &Touched<'_>) -> Result<(), Problem> {
        let index = match (of.place, of.sent) {
            (Place::Rule(..), _) => of.before.and_then(|whole| of.place.index(whole)),
            (_, Sent::Rule(index)) => Some(*index),
            _ => None,
        };
        let (Some(index), Place::Rule(listener, _) | Place::Rules(listener), Some(after)) = (index, of.place, of.after)
        else {
            return Ok(());
        };
        let all = Place::Rules(listener.clone());
        let names: Vec<Option<&str>> =
            all.find(after).into_iter().flat_map(Value::as_array).flatten().map(name_of).collect();
        let Some(own) = names.get(index).copied().flatten() else { return Ok(()) };
        let other = names.iter().enumerate().find(|(other, name)| *other != index && **name == Some(own));
        let Some((other, _)) = other else { return Ok(()) };
        let what = match self.reads(of.kind, of.name, &all, after) {
            true => format!("rules[{other}] has the name {own} as well"),
            false => format!("another rule of the listener has the name {own}"),
        };
        let base =
            if matches!(of.place, Place::Rule(..)) { of.base.to_owned() } else { format!("{}[{index}]", of.base) };
        let expected = Some("a name of its own in its listener".to_owned());
        let fault = Fault { file: "".into(), line: 0, column: 0, path: format!("{base}.name"), what, expected };
        Err(Problem::of_faults(&Faults(vec![fault]), of.base))
    }
}

impl Sent {
    /// What came with an operation.
    pub(crate) fn with(operation: &Operation, rules_before: usize) -> Self {
        match operation {
            Operation::Put(_) => Self::All,
            Operation::Patch(patch) => Self::Merged(patch.clone()),
            Operation::Insert(_, before) => {
                Self::Rule(before.map_or(rules_before, |number| number.saturating_sub(1)).min(rules_before))
            }
            Operation::Register(list) => Self::Targets(list.clone()),
            Operation::Deregister(_) | Operation::Delete => Self::Nothing,
        }
    }
}

impl Touched<'_> {
    /// Whether what is at `inside` of the place came with the call.
    fn came(&self, inside: &str) -> bool {
        match self.sent {
            Sent::All => true,
            Sent::Nothing => false,
            Sent::Rule(index) => within(inside, &format!("[{index}]")).is_some(),
            Sent::Targets(sent) => {
                let index = inside.strip_prefix('[').and_then(|rest| rest.split_once(']')?.0.parse::<usize>().ok());
                let target = index.and_then(|index| self.place.find(self.after?)?.get(index));
                target.is_some_and(|target| sent.contains(target))
            }
            Sent::Merged(patch) => {
                let mut at = patch;
                for step in inside.split('.').filter(|step| !step.is_empty()) {
                    let key = step.split('[').next().unwrap_or(step);
                    match at {
                        Value::Object(entries) => match entries.get(key) {
                            Some(value) => at = value,
                            None => return false,
                        },
                        // below what replaced all that was there
                        _ => return true,
                    }
                }
                !at.is_object()
            }
        }
    }
}

/// What follows `base` in a path that is there, or below it.
fn within<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(['.', '[', ':', ' ']))
}

#[cfg(test)]
mod tests {
    use headworks_model::Kind;
    use serde_json::{Value, json};

    use super::{Sent, Touched};
    use crate::rewrite::Place;

    #[test]
    fn what_came_with_the_call() {
        let after = json!({ "targets": ["a:1", { "address": "b:1", "weight": 2 }] });
        let check = |sent: &Sent, rows: &[(&str, bool)]| {
            let (kind, name, base) = (Kind::TargetGroup, "web", "");
            let touched = Touched { kind, name, before: None, after: Some(&after), place: &Place::Targets, base, sent };
            for (inside, came) in rows {
                assert_eq!(touched.came(inside), *came, "{sent:?} {inside}");
            }
        };
        let rules: Value = json!([{ "then": {} }]);
        check(
            &Sent::Merged(json!({ "port": 1, "limits": { "connections": 2 }, "rules": rules })),
            &[
                ("", false),
                (".port", true),
                (".protocol", false),
                (".limits", false),
                (".limits.connections", true),
                (".limits.handshakes", false),
                (".rules[0].then", true),
            ],
        );
        check(&Sent::Rule(1), &[("[1]", true), ("[1].then", true), ("[10]", false), ("[0].then", false), ("", false)]);
        let sent = Sent::Targets(vec![json!({ "address": "b:1", "weight": 2 })]);
        check(&sent, &[("[0]", false), ("[1]", true), ("[1].weight", true), ("[2]", false), ("", false)]);
    }
}
