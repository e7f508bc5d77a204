//! Who may change which part of a whole. Whoever may put a load balancer may put what is in it, but for the parts of which that is
//! denied explicitly: or else a denial on a rule would hold against who may put rules alone.

use std::collections::HashMap;

use headworks_iam::Denials;
use headworks_model::{Config, Kind};
use serde_json::{Map, Value};

use crate::asker::Asker;
use crate::names::{action, hrn_of};
use crate::plane::{Access, Plane};
use crate::problem::Problem;
use crate::sight::{hrn_of_listener, hrn_of_rule, name_of, rules};

/// What is done to a part: an action, the names that it goes by, and where it is.
struct Touched {
    action: &'static str,
    resources: Vec<String>,
}

/// A rule, and its place in its listener.
type Placed<'a> = (usize, &'a Value);

impl Asker {
    /// Asks of each part of a resource that is added, changed or removed whether that is denied.
    ///
    /// # Errors
    /// When it is.
    pub(crate) fn may_change_parts(
        &self,
        plane: &Plane,
        (kind, name): (Kind, &str),
        before: &Config,
        after: &Config,
    ) -> Result<(), Problem> {
        let actions: &[&'static str] = match kind {
            Kind::LoadBalancer => &["PutListener", "DeleteListener", "PutRules", "PutRule", "DeleteRule"],
            Kind::TargetGroup => &["RegisterTargets", "DeregisterTargets"],
            Kind::Certificate | Kind::SecurityGroup | Kind::NetworkAcl => &[],
        };
        if plane.access == Access::Open || actions.is_empty() {
            return Ok(());
        }
        let whole = hrn_of(kind, name);
        let denied: Vec<(&str, Denials)> = actions
            .iter()
            .map(|of| (*of, self.denied(plane, &action(of))))
            .filter(|(_, of)| of.may_have(&whole))
            .collect();
        if denied.is_empty() {
            return Ok(());
        }
        let [before, after] = [before, after].map(|config| config.resource(kind, name).unwrap_or_default());
        let touched = match kind {
            Kind::LoadBalancer => of_balancer(name, &before, &after),
            _ => of_targets(&whole, &before, &after),
        };
        for Touched { action: of, resources } in touched {
            let is_denied = |resource: &&String| denied.iter().any(|(on, denials)| *on == of && denials.has(resource));
            if let Some(resource) = resources.iter().find(is_denied) {
                return Err(self.refused_part(plane, &action(of), resource));
            }
        }
        Ok(())
    }

    /// What is answered: the part by its name, to whom it is not hidden.
    fn refused_part(&self, plane: &Plane, action: &str, resource: &str) -> Problem {
        if self.sight(plane).has_part(resource) {
            return self.is_not_denied(plane, action, resource).err().unwrap_or_else(|| {
                Problem::denied(format!(
                    "User: {} is denied to perform: {action} on resource: {resource}",
                    self.principal
                ))
            });
        }
        let principal = &self.principal;
        Problem::denied(format!(
            "User: {principal} is not authorized to perform: {action} on a part of it that is not shown to it, because a policy \
             denies it explicitly"
        ))
    }
}

fn of_targets(whole: &str, before: &Value, after: &Value) -> Vec<Touched> {
    let [before, after] = [before, after].map(targets);
    let is_new = after.iter().any(|(address, target)| before.get(address) != Some(target));
    let is_less = before.keys().any(|address| !after.contains_key(address));
    let touched = |action, is_touched: bool| is_touched.then(|| Touched { action, resources: vec![whole.to_owned()] });
    [touched("RegisterTargets", is_new), touched("DeregisterTargets", is_less)].into_iter().flatten().collect()
}

fn targets(group: &Value) -> HashMap<&str, &Value> {
    let targets = group.get("targets").and_then(Value::as_array).into_iter().flatten();
    targets.filter_map(|target| Some((target.get("address").unwrap_or(target).as_str()?, target))).collect()
}

fn of_balancer(balancer: &str, before: &Value, after: &Value) -> Vec<Touched> {
    let none = Map::new();
    let [was, is] = [before, after].map(|of| of.get("listeners").and_then(Value::as_object).unwrap_or(&none));
    let mut touched = Vec::new();
    for (listener, body) in is {
        let before = was.get(listener);
        if before.map(bare) != Some(bare(body)) {
            touched.push(Touched { action: "PutListener", resources: vec![hrn_of_listener(balancer, listener)] });
        }
        of_rules((balancer, listener), before.unwrap_or(&Value::Null), body, &mut touched);
    }
    for (listener, body) in was.iter().filter(|(listener, _)| !is.contains_key(*listener)) {
        touched.push(Touched { action: "DeleteListener", resources: vec![hrn_of_listener(balancer, listener)] });
        of_rules((balancer, listener), body, &Value::Null, &mut touched);
    }
    touched
}

/// A listener without its rules, which are parts by themselves.
fn bare(listener: &Value) -> Map<String, Value> {
    let mut bare = listener.as_object().cloned().unwrap_or_default();
    bare.shift_remove("rules");
    bare
}

/// What is done to rules. One that has a name is the same wherever it stands; one that has none is, where it says the same, or
/// stands at the place where another was that is gone.
fn of_rules((balancer, listener): (&str, &str), before: &Value, after: &Value, touched: &mut Vec<Touched>) {
    let by_number = |index: usize| hrn_of_rule(balancer, listener, &(index + 1).to_string());
    let named = |(index, rule): Placed<'_>| {
        let name = name_of(rule).map(|name| hrn_of_rule(balancer, listener, name));
        name.into_iter().chain([by_number(index)]).collect::<Vec<String>>()
    };
    let mut touch = |action, resources| touched.push(Touched { action, resources });
    let was: Vec<&Value> = rules(before).collect();
    let mut gone: HashMap<String, Vec<usize>> = HashMap::new();
    let key = |rule: &Value| name_of(rule).map_or_else(|| rule.to_string(), |name| format!("name {name}"));
    for (index, rule) in was.iter().enumerate().rev() {
        gone.entry(key(rule)).or_default().push(index);
    }
    let (mut new, mut stays) = (Vec::new(), Vec::new());
    for (index, rule) in rules(after).enumerate() {
        match gone.get_mut(&key(rule)).and_then(Vec::pop) {
            None => new.push((index, rule)),
            Some(place) => {
                stays.push(place);
                let before = was.get(place).copied().unwrap_or(&Value::Null);
                if before != rule {
                    touch("PutRule", [named((place, before)), named((index, rule))].concat());
                }
            }
        }
    }
    if !stays.is_sorted() {
        touch("PutRules", vec![hrn_of_listener(balancer, listener)]);
    }
    let mut gone: Vec<usize> = gone.into_values().flatten().collect();
    gone.sort_unstable();
    for (index, rule) in new {
        let mut resources = named((index, rule));
        // one without a name that is replaced is changed
        let replaced = |place: &usize| *place == index && was.get(*place).is_some_and(|rule| name_of(rule).is_none());
        if let Some(at) = gone.iter().position(replaced) {
            resources.push(by_number(gone.remove(at)));
        }
        touch("PutRule", resources);
    }
    for place in gone {
        touch("DeleteRule", named((place, was.get(place).copied().unwrap_or(&Value::Null))));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{of_balancer, of_targets};

    /// What is done to parts, as `PutRule 1 a`.
    fn check(before: &Value, after: &Value, expected: &[&str]) {
        let listeners = |of: &Value| json!({ "listeners": of });
        let told: Vec<String> = of_balancer("edge", &listeners(before), &listeners(after))
            .iter()
            .map(|touched| {
                let mut short: Vec<&str> =
                    touched.resources.iter().filter_map(|resource| resource.rsplit('/').next()).collect();
                short.sort_unstable();
                format!("{} {}", touched.action, short.join(" "))
            })
            .collect();
        assert_eq!(told, expected, "{before} {after}");
    }

    #[test]
    fn parts_of_a_load_balancer() {
        let rule = |name: &str, then: u64| json!({ "name": name, "then": then });
        let bare = |then: u64| json!({ "then": then });
        let rules = |before: &[&Value], after: &[&Value], expected: &[&str]| {
            check(&json!({ "l": { "rules": before } }), &json!({ "l": { "rules": after } }), expected);
        };
        let [a, b, x, y] = [rule("a", 1), rule("b", 1), bare(1), bare(2)];
        rules(&[], &[], &[]);
        rules(&[&a, &x], &[&a, &x], &[]);
        rules(&[&a], &[&rule("a", 2)], &["PutRule 1 1 a a"]);
        rules(&[&a], &[], &["DeleteRule 1 a"]);
        rules(&[], &[&a, &x], &["PutRule 1 a", "PutRule 2"]);
        // what is only moved is in the hands of who may put rules
        rules(&[&a, &b], &[&b, &a], &["PutRules l"]);
        rules(&[&x, &y], &[&y, &x], &["PutRules l"]);
        rules(&[&a, &b], &[&x, &a, &b], &["PutRule 1"]);
        rules(&[&a, &x, &b], &[&a, &b], &["DeleteRule 2"]);
        // without a name: changed where it stands, and given a name
        rules(&[&x], &[&y], &["PutRule 1 1"]);
        rules(&[&a, &x], &[&a, &b], &["PutRule 2 2 b"]);
        // another name is another rule
        rules(&[&a], &[&b], &["PutRule 1 b", "DeleteRule 1 a"]);
        rules(&[&a], &[&x], &["PutRule 1", "DeleteRule 1 a"]);
        rules(&[&x, &x], &[&x], &["DeleteRule 2"]);
        let listener = |port: u64, rules: &[&Value]| json!({ "port": port, "rules": rules });
        check(&json!({ "l": listener(1, &[]) }), &json!({ "l": listener(2, &[]) }), &["PutListener l"]);
        check(&json!({ "l": listener(1, &[]) }), &json!({ "l": listener(1, &[&x]) }), &["PutRule 1"]);
        check(&json!({ "l": listener(1, &[&a]) }), &json!({}), &["DeleteListener l", "DeleteRule 1 a"]);
        check(&json!({}), &json!({ "l": listener(1, &[&a]) }), &["PutListener l", "PutRule 1 a"]);
    }

    #[test]
    fn targets_of_a_group() {
        let group = |targets: &Value| json!({ "targets": targets });
        for (before, after, expected) in [
            (json!(["a:1"]), json!(["a:1"]), &[][..]),
            (json!(["a:1"]), json!(["a:1", "b:1"]), &["RegisterTargets"]),
            (json!(["a:1"]), json!([{ "address": "a:1", "weight": 2 }]), &["RegisterTargets"]),
            (json!(["a:1", "b:1"]), json!(["b:1"]), &["DeregisterTargets"]),
            (json!(["a:1"]), json!(["b:1"]), &["RegisterTargets", "DeregisterTargets"]),
            (json!(["a:1", "b:1"]), json!(["b:1", "a:1"]), &[]),
            (Value::Null, json!(["a:1"]), &["RegisterTargets"]),
            (json!(["a:1"]), Value::Null, &["DeregisterTargets"]),
        ] {
            let touched = of_targets("g", &group(&before), &group(&after));
            let actions: Vec<&str> = touched.iter().map(|touched| touched.action).collect();
            assert_eq!(actions, expected, "{before} {after}");
        }
    }
}
