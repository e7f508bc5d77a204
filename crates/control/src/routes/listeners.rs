//! Listeners of a load balancer and rules of a listener, each by itself. A change of one is a change of its load balancer.

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
use crate::sight::hrn_of_rule;

const LISTENERS: &str = "/v1/load-balancers/{name}/listeners";
const KIND: Kind = Kind::LoadBalancer;

pub(super) fn routes() -> Vec<Route> {
    let (listener, rule) = (schema("Listener"), schema("Rule"));
    let list = json!({ "type": "array", "items": rule });
    let of_listener = "load-balancer/{name}/listener/{listener}";
    let of_rule = "load-balancer/{name}/listener/{listener}/rule/{rule}";
    let one = format!("{LISTENERS}/{{listener}}");
    let rules = format!("{one}/rules");
    let one_rule = format!("{rules}/{{rule}}");
    vec![
        route(Method::GET, LISTENERS, "ListListeners", "load-balancer/{name}", |call| Box::pin(list_listeners(call)))
            .about("The listeners of a load balancer, by name.")
            .may_page("Those after this name.")
            .answers(200, json!({ "type": "object", "additionalProperties": listener })),
        route(Method::GET, &*one, "GetListener", of_listener, |call| Box::pin(get(call, of_call)))
            .about("One listener.")
            .answers(200, listener.clone()),
        route(Method::PUT, &*one, "PutListener", of_listener, |call| Box::pin(put(call, of_call)))
            .about("Creates or replaces a listener.")
            .changes()
            .takes(listener.clone())
            .answers(200, listener.clone())
            .answers(201, listener.clone()),
        route(Method::PATCH, &*one, "PutListener", of_listener, |call| Box::pin(patch(call, of_call)))
            .about("Merges into a listener (RFC 7396).")
            .changes()
            .takes(json!({ "type": "object" }))
            .answers(200, listener),
        route(Method::DELETE, &*one, "DeleteListener", of_listener, |call| Box::pin(delete(call, of_call)))
            .about("Deletes a listener.")
            .changes()
            .answers_nothing(204),
        route(Method::GET, &*rules, "ListRules", of_listener, |call| Box::pin(list_rules(call)))
            .about("The rules of a listener, in the order in which they are asked.")
            .asks(
                "limit",
                json!({ "type": "integer", "minimum": 1, "maximum": 500 }),
                "At most so many; default: all. Where others follow, `Link` says where.",
            )
            .asks("after", json!({ "type": "integer", "minimum": 0 }), "Those after the rule of this number.")
            .asks("prefix", json!({ "type": "string" }), "Those whose names begin so.")
            .answers(200, list.clone()),
        route(Method::PUT, &*rules, "PutRules", of_listener, |call| Box::pin(put(call, rules_of_call)))
            .about("Replaces all rules of a listener: to bring them into another order, all at once.")
            .changes()
            .takes(list.clone())
            .answers(200, list.clone()),
        route(Method::POST, &*rules, "PutRule", of_listener, |call| Box::pin(insert(call)))
            .about("Adds a rule.")
            .changes()
            .asks("before", json!({ "type": "integer", "minimum": 1 }), "Before the rule of this number; absent: last.")
            .takes(rule.clone())
            .answers(201, list),
        route(Method::GET, &*one_rule, "GetRule", of_rule, |call| Box::pin(get(call, rule_of_call)))
            .about("One rule, by its name or its number from 1.")
            .answers(200, rule.clone()),
        route(Method::PUT, &*one_rule, "PutRule", of_rule, |call| Box::pin(put(call, rule_of_call)))
            .about("Replaces a rule.")
            .changes()
            .takes(rule.clone())
            .answers(200, rule.clone()),
        route(Method::PATCH, &*one_rule, "PutRule", of_rule, |call| Box::pin(patch(call, rule_of_call)))
            .about("Merges into a rule (RFC 7396).")
            .changes()
            .takes(json!({ "type": "object" }))
            .answers(200, rule),
        route(Method::DELETE, &*one_rule, "DeleteRule", of_rule, |call| Box::pin(delete(call, rule_of_call)))
            .about("Deletes a rule.")
            .changes()
            .answers_nothing(204),
    ]
}

/// Which part a call is about.
type Part = fn(&Call) -> Result<Place, Problem>;

fn of_call(call: &Call) -> Result<Place, Problem> {
    Ok(Place::Listener(call.param("listener").to_owned()))
}

fn rules_of_call(call: &Call) -> Result<Place, Problem> {
    Ok(Place::Rules(call.param("listener").to_owned()))
}

/// A rule that has a name is that rule by its number too: what is permitted of it is, and it is it that is changed, even when
/// others have come before it by then.
fn rule_of_call(call: &Call) -> Result<Place, Problem> {
    let (name, listener, rule) = (call.param("name"), call.param("listener"), call.param("rule"));
    let place = Place::Rule(listener.to_owned(), rule.to_owned());
    let whole = call.plane.desired().config().resource(KIND, name);
    let found = whole.as_ref().and_then(|whole| place.find(whole));
    match found.and_then(|found| found.get("name")).and_then(Value::as_str) {
        Some(own) if own != rule => {
            let place = Place::Rule(listener.to_owned(), own.to_owned());
            let reads = |whole| call.asker.reader(&call.plane).reads(KIND, name, &place, whole);
            call.may_this(&hrn_of_rule(name, listener, own))
                .map_err(|refused| if whole.as_ref().is_some_and(reads) { refused } else { call.by_another_name() })?;
            Ok(place)
        }
        _ => Ok(place),
    }
}

/// Whether a rule may have the name that it is given: whoever may not put a rule of that name does not learn whether there is one.
fn may_be_named(call: &Call, place: &Place, rule: &Value) -> Result<(), Problem> {
    let (Some(new), Place::Rule(listener, _) | Place::Rules(listener)) =
        (rule.get("name").and_then(Value::as_str), place)
    else {
        return Ok(());
    };
    let resource = hrn_of_rule(call.param("name"), listener, new);
    match place {
        Place::Rule(_, rule) if rule == new => Ok(()),
        Place::Rule(..) => call.may_this(&resource),
        // whoever may add rules may add any but those that are denied
        _ => call.asker.is_not_denied(&call.plane, &call.entry.action, &resource),
    }
}

async fn list_listeners(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let absent = || Problem::not_found(format_args!("{KIND} {name:?}"));
    let whole = call.plane.desired().config().resource(KIND, name).ok_or_else(absent)?;
    let sight = call.sight();
    call.sees(sight.has(KIND, name))?;
    let none = json!({});
    let all = whole.get("listeners").unwrap_or(&none);
    let listeners = all.as_object().into_iter().flatten();
    let seen: BTreeMap<&String, &Value> =
        listeners.filter(|(listener, body)| sight.has_listener(name, listener, body)).collect();
    let Found { entries, next } = Page::of_whole(&call)?.take(seen, |_, listener| listener.clone());
    call.represented(&call.plane.tag(all), || Found::linked(next.as_deref(), &call, &entries.into()))
}

async fn list_rules(call: Call) -> Result<Reply, Problem> {
    let after = call.query.number("after", 0, 100_000)?.and_then(|after| usize::try_from(after).ok());
    let limit = call.query.number("limit", 1, 500)?.and_then(|limit| usize::try_from(limit).ok());
    let prefix = call.query.get("prefix").unwrap_or_default();
    if after.or(limit).is_none() && prefix.is_empty() {
        return get(call, rules_of_call).await;
    }
    let (name, place) = (call.param("name"), rules_of_call(&call)?);
    let absent = || Problem::not_found(format_args!("{KIND} {name:?}"));
    let whole = call.plane.desired().config().resource(KIND, name).ok_or_else(absent)?;
    let all = place.find(&whole).ok_or_else(|| Problem::not_found(place.called()))?;
    call.sees(call.sight().has_place(KIND, name, &place, &whole))?;
    let rules = all.as_array().map_or(&[][..], Vec::as_slice);
    let is_wanted = |rule: &Value| {
        prefix.is_empty() || rule.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with(prefix))
    };
    let mut wanted = rules.iter().zip(1_usize..).skip(after.unwrap_or(0)).filter(|(rule, _)| is_wanted(rule));
    let page: Vec<(&Value, usize)> = wanted.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
    let next = wanted.next().and(page.last()).map(|(_, number)| number.to_string());
    let page: Vec<Value> = page.into_iter().map(|(rule, _)| rule.clone()).collect();
    call.represented(&call.plane.tag(all), || Found::linked(next.as_deref(), &call, &page.into()))
}

async fn get(call: Call, part: Part) -> Result<Reply, Problem> {
    read(&call, KIND, &part(&call)?)
}

async fn put(call: Call, part: Part) -> Result<Reply, Problem> {
    let (place, body) = (part(&call)?, call.json()?);
    may_be_named(&call, &place, &body)?;
    change(call, KIND, place, Operation::Put(body)).await
}

async fn patch(call: Call, part: Part) -> Result<Reply, Problem> {
    let (place, body) = (part(&call)?, call.json()?);
    may_be_named(&call, &place, &body)?;
    change(call, KIND, place, Operation::Patch(body)).await
}

async fn delete(call: Call, part: Part) -> Result<Reply, Problem> {
    let place = part(&call)?;
    change(call, KIND, place, Operation::Delete).await
}

async fn insert(call: Call) -> Result<Reply, Problem> {
    let before = call.query.number("before", 1, 100_000)?.and_then(|number| usize::try_from(number).ok());
    let (place, rule) = (rules_of_call(&call)?, call.json()?);
    may_be_named(&call, &place, &rule)?;
    change(call, KIND, place, Operation::Insert(rule, before)).await
}
