//! Targets of a target group: registered, deregistered, which drains them, and their health.

use std::collections::BTreeMap;

use axum::http::Method;
use headworks_model::Kind;
use serde_json::{Value, json};

use super::resources::{change, read};
use super::{Route, route, schema};
use crate::call::{Call, Reply};
use crate::page::{Found, Page};
use crate::problem::Problem;
use crate::rewrite::{Operation, Place};

const KIND: Kind = Kind::TargetGroup;

pub(super) fn routes() -> Vec<Route> {
    let target = schema("Target");
    let list = json!({ "type": "array", "items": target });
    let one = "target-group/{name}";
    let path = "/v1/target-groups/{name}/targets";
    let given = json!({ "anyOf": [
        target,
        list,
        { "type": "object", "properties": { "targets": list }, "required": ["targets"], "additionalProperties": false },
    ] });
    vec![
        route(Method::GET, path, "GetTargetGroup", one, |call| Box::pin(get(call)))
            .about("The targets that are registered; in pages, those are by address.")
            .may_page("Those after this address.")
            .answers(200, list.clone()),
        route(Method::POST, path, "RegisterTargets", one, |call| Box::pin(register(call)))
            .about("Registers targets; one of an address that is there already gets the weight that is given.")
            .changes()
            .takes(given.clone())
            .answers(200, list.clone()),
        route(Method::DELETE, path, "DeregisterTargets", one, |call| Box::pin(deregister(call)))
            .about("Deregisters targets: they finish what they have, for as long as the group's deregistration delay.")
            .changes()
            .asks("target", json!({ "type": "string" }), "An address; may be given more than once, in place of a body.")
            .may_take(given)
            .answers(200, list),
        route(Method::DELETE, "/v1/target-groups/{name}/targets/{target}", "DeregisterTargets", one, |call| {
            Box::pin(deregister_one(call))
        })
        .about("Deregisters one target.")
        .changes()
        .answers(200, json!({ "type": "array", "items": schema("Target") })),
        route(Method::GET, "/v1/target-groups/{name}/health", "GetTargetHealth", one, |call| Box::pin(health(call)))
            .about("Each target's state and the reason for it; those that drain are among them.")
            .answers(200, json!({ "type": "object" })),
    ]
}

async fn get(call: Call) -> Result<Reply, Problem> {
    if !["limit", "after", "prefix"].iter().any(|name| call.query.get(name).is_some()) {
        return read(&call, KIND, &Place::Targets);
    }
    let name = call.param("name");
    let absent = || Problem::not_found(format_args!("{KIND} {name:?}"));
    let whole = call.plane.desired().config().resource(KIND, name).ok_or_else(absent)?;
    let none = json!([]);
    let all = Place::Targets.find(&whole).unwrap_or(&none);
    let address = |target: &Value| target.get("address").unwrap_or(target).as_str().map(str::to_owned);
    let by_address: BTreeMap<String, &Value> =
        all.as_array().into_iter().flatten().filter_map(|target| Some((address(target)?, target))).collect();
    let Found { entries, next } = Page::of_whole(&call)?.take(by_address, |_, target| target.clone());
    let page = entries.into_iter().map(|(_, target)| target).collect();
    call.represented(&call.plane.tag(all), || Found::linked(next.as_deref(), &call, &page))
}

/// One target, a list of them, or a mapping with such a list.
fn given(call: &Call) -> Result<Vec<Value>, Problem> {
    Ok(match call.json()? {
        Value::Array(list) => list,
        Value::Object(mut entries) if entries.contains_key("targets") => {
            if let Some(key) = entries.keys().find(|key| *key != "targets") {
                return Err(Problem::invalid(key, "unknown key, expected targets"));
            }
            match entries.remove("targets") {
                Some(Value::Array(list)) => list,
                _ => return Err(Problem::invalid("targets", "is no list, expected a list of targets")),
            }
        }
        one => vec![one],
    })
}

async fn register(call: Call) -> Result<Reply, Problem> {
    let operation = Operation::Register(given(&call)?);
    change(call, KIND, Place::Targets, operation).await
}

async fn deregister(call: Call) -> Result<Reply, Problem> {
    let mut addresses = call.query.all("target");
    if addresses.is_empty() && call.body.is_empty() {
        return Err(Problem::invalid(
            "?target",
            "is missing, expected the address of a target, or a body with targets",
        ));
    }
    if addresses.is_empty() {
        for (index, target) in given(&call)?.iter().enumerate() {
            let address = target.get("address").unwrap_or(target).as_str();
            let wrong = || Problem::invalid(&format!("targets[{index}]"), "is no address of a target");
            addresses.push(address.ok_or_else(wrong)?.to_owned());
        }
    }
    change(call, KIND, Place::Targets, Operation::Deregister(addresses)).await
}

async fn deregister_one(call: Call) -> Result<Reply, Problem> {
    let operation = Operation::Deregister(vec![call.param("target").to_owned()]);
    change(call, KIND, Place::Targets, operation).await
}

async fn health(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let absent = || Problem::not_found(format_args!("{KIND} {name:?}"));
    Ok(Reply::ok(&(call.plane.around.health)(name.to_owned()).ok_or_else(absent)?))
}
