//! Where traffic goes: targets that come and go, weights that shift.

use headworks_iam::percent::encoded;
use headworks_model::Kind;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::command::{TargetList, Targets, Weights};
use super::connect::json_of;
use super::output::{Format, row, show};
use super::resources::{Doing, changed, path_of};
use super::{Connection, Failed};
use crate::check::say;

pub(super) fn targets(command: &Targets) -> Result<(), Failed> {
    let (list, method, body) = match command {
        Targets::Register(list) => {
            let targets: Result<Vec<Value>, Failed> = list.targets.iter().map(|text| weighted(text)).collect();
            (list, Method::POST, json!(targets?))
        }
        Targets::Deregister(list) => (list, Method::DELETE, json!(list.targets)),
        Targets::Drain(list) => {
            let idle = |text: &String| json!({ "address": text, "weight": 0 });
            (list, Method::POST, list.targets.iter().map(idle).collect())
        }
    };
    let TargetList { group, asking, targets, dry_run, reason } = list;
    let connection = Connection::of(asking)?;
    let path = format!("{}/targets", path_of(Kind::TargetGroup, group));
    if let Targets::Drain(_) = command {
        registered(&connection, &path, targets)?;
    }
    let doing = Doing::of(*dry_run);
    let now = connection.json(method, &format!("{path}{}", doing.query(reason)), Some(&body))?;
    if doing == Doing::Look {
        changed(asking.output, &now, doing);
        return Ok(());
    }
    if now.is_null() && asking.output == Format::Table {
        // whoever may change targets need not see them
        say(format_args!("target group {group} is changed"));
        return Ok(());
    }
    show(asking.output, &now, || {
        let mut rows = vec![row(["TARGET", "WEIGHT"])];
        rows.extend(now.as_array().into_iter().flatten().map(|target| {
            let weight = target.get("weight").map_or("1".to_owned(), ToString::to_string);
            let address = target.get("address").unwrap_or(target).as_str().unwrap_or_default();
            row([address, &weight])
        }));
        rows
    });
    Ok(())
}

/// What is drained is there: it is not to be registered by that.
fn registered(connection: &Connection, path: &str, targets: &[String]) -> Result<(), Failed> {
    let known = connection.json(Method::GET, path, None)?;
    let known: Vec<&str> = known
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|target| target.get("address").unwrap_or(target).as_str())
        .collect();
    match targets.iter().find(|target| !known.contains(&target.as_str())) {
        Some(target) => {
            Err(Failed::wrong(format!("there is no target {target:?}, expected one of {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

/// `ip:port` or `ip:port=weight`.
fn weighted(text: &str) -> Result<Value, Failed> {
    let Some((address, weight)) = text.rsplit_once('=') else { return Ok(text.into()) };
    let weight: u16 =
        weight.parse().map_err(|_| Failed::wrong(format!("{text}: {weight:?} is no weight, expected 0 to 999")))?;
    Ok(json!({ "address": address, "weight": weight }))
}

pub(super) fn weights(args: &Weights) -> Result<(), Failed> {
    let mut groups = Map::new();
    for text in &args.weights {
        let wrong = || Failed::wrong(format!("{text}: expected group=weight, the weight from 0 to 999"));
        let (group, weight) = text.rsplit_once('=').ok_or_else(wrong)?;
        let weight: u16 = weight.parse().map_err(|_| wrong())?;
        groups.insert(group.to_owned(), weight.into());
    }
    let parts: Vec<&str> = args.rule.split('/').collect();
    let [balancer, listener, rule] = parts.as_slice() else {
        let what = "expected load-balancer/listener/rule, the rule by its name or number, or default";
        return Err(Failed::wrong(format!("{}: {what}", args.rule)));
    };
    let connection = Connection::of(&args.asking)?;
    let at = format!("{}/listeners/{}", path_of(Kind::LoadBalancer, balancer), encoded(listener));
    let (path, key) = match *rule {
        "default" => (at, "default"),
        rule => (format!("{at}/rules/{}", encoded(rule)), "then"),
    };
    let answer = connection.ask(Method::GET, &path, &[], None)?;
    let mut found = json_of(&answer)?;
    let forward = found.get_mut(key).and_then(|action| action.get_mut("forward"));
    let Some(Value::Object(forward)) = forward else {
        return Err(Failed::wrong(format!("{} does not forward", args.rule)));
    };
    let before = forward.insert("groups".to_owned(), groups.into()).unwrap_or_default();
    let after = forward.get("groups").cloned().unwrap_or_default();
    // what was read is what is changed: if somebody was faster, nothing is
    let tag = answer.fields.get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or("*").to_owned();
    let doing = Doing::of(args.dry_run);
    let path = format!("{path}{}", doing.query(&args.reason));
    let judged = connection.ask(Method::PUT, &path, &[("if-match", tag)], Some(&found))?;
    if doing == Doing::Look {
        changed(args.asking.output, &json_of(&judged)?, doing);
        return Ok(());
    }
    let answer = json!({ "rule": args.rule, "before": before, "after": after });
    show(args.asking.output, &answer, || {
        let mut rows = vec![row(["TARGET GROUP", "BEFORE", "AFTER"])];
        let mut names: Vec<&String> =
            [&before, &after].iter().filter_map(|w| w.as_object()).flat_map(Map::keys).collect();
        names.sort_unstable();
        names.dedup();
        let weight = |of: &Value, name: &String| of.get(name).map_or("-".to_owned(), ToString::to_string);
        rows.extend(names.into_iter().map(|name| row([name, &weight(&before, name), &weight(&after, name)])));
        rows
    });
    Ok(())
}
