//! Declared resources by kind and name: listed, read, put, patched, deleted. One way for all kinds.

use axum::http::{Method, StatusCode};
use headworks_model::Kind;
use headworks_model::primitive::Name;
use serde_json::{Map, Value, json};

use super::{Route, route, schema};
use crate::call::{Call, Reply};
use crate::change::{Answered, Change, Condition, Outcome, Run, Step};
use crate::clock::now_ms;
use crate::desired::{Desired, Origin};
use crate::difference::shown;
use crate::names::{noun, segment, word};
use crate::page::Page;
use crate::problem::Problem;
use crate::rewrite::{Operation, Place};

/// The handlers of one kind: the kind is in their type, because a route's handler is a plain function.
macro_rules! of_kind {
    ($kind:expr, [$list:literal, $get:literal, $put:literal, $delete:literal]) => {{
        let (kind, one) = ($kind, format!("{}/{{name}}", word($kind)));
        let (all, path) = (format!("/v1/{}", segment(kind)), format!("/v1/{}/{{name}}", segment(kind)));
        let of = schema(noun(kind));
        let listed = json!({
            "type": "object",
            "required": [kind.collection(), "meta"],
            "properties": {
                kind.collection(): { "type": "object", "additionalProperties": of },
                "meta": { "type": "object", "additionalProperties": schema("Meta") },
                "next": { "type": "string", "description": "Given as `after`, the page that follows." },
            },
        });
        vec![
            route(Method::GET, &*all, $list, format!("{}/*", word(kind)), |call| Box::pin(list(call, $kind)))
                .about(format!("Every {}, by name.", kind.called()))
                .pages_by_name()
                .asks("origin", json!({ "enum": ["file", "api"] }), "Those that are declared there.")
                .answers(200, listed),
            route(Method::GET, &*path, $get, &*one, |call| Box::pin(get(call, $kind)))
                .about(format!("One {}.", kind.called()))
                .answers(200, of.clone()),
            route(Method::PUT, &*path, $put, &*one, |call| Box::pin(put(call, $kind)))
                .about(format!("Creates or replaces a {}.", kind.called()))
                .changes()
                .takes(of.clone())
                .answers(200, of.clone())
                .answers(201, of.clone()),
            route(Method::PATCH, &*path, $put, &*one, |call| Box::pin(patch(call, $kind)))
                .about(format!("Merges into a {} (RFC 7396).", kind.called()))
                .changes()
                .takes(json!({ "type": "object" }))
                .answers(200, of),
            route(Method::DELETE, &*path, $delete, &*one, |call| Box::pin(delete(call, $kind)))
                .about(format!("Deletes a {} that nothing refers to.", kind.called()))
                .changes()
                .answers_nothing(204),
        ]
    }};
}

pub(super) fn routes() -> Vec<Route> {
    [
        of_kind!(Kind::LoadBalancer, ["ListLoadBalancers", "GetLoadBalancer", "PutLoadBalancer", "DeleteLoadBalancer"]),
        of_kind!(Kind::TargetGroup, ["ListTargetGroups", "GetTargetGroup", "PutTargetGroup", "DeleteTargetGroup"]),
        of_kind!(Kind::Certificate, ["ListCertificates", "GetCertificate", "PutCertificate", "DeleteCertificate"]),
        of_kind!(
            Kind::SecurityGroup,
            ["ListSecurityGroups", "GetSecurityGroup", "PutSecurityGroup", "DeleteSecurityGroup"]
        ),
        of_kind!(Kind::NetworkAcl, ["ListNetworkAcls", "GetNetworkAcl", "PutNetworkAcl", "DeleteNetworkAcl"]),
    ]
    .concat()
}

async fn list(call: Call, kind: Kind) -> Result<Reply, Problem> {
    let (page, origin) = (Page::of(&call)?, call.query.get("origin"));
    if origin.is_some_and(|origin| !["file", "api"].contains(&origin)) {
        return Err(Problem::invalid("?origin", "is neither file nor api"));
    }
    let (desired, sight) = (call.plane.desired(), call.sight());
    let wanted = desired.config().names(kind).filter_map(|name| {
        let name = name.as_str();
        let from = desired.origin(kind, name).filter(|from| origin.is_none_or(|wanted| from.word() == wanted))?;
        sight.has_all_of(kind, name, desired.config()).then(|| (name.to_owned(), from))
    });
    let mut metas = Map::new();
    let found = page.take(wanted, |name, from| {
        let body = desired.config().resource(kind, name).unwrap_or_default();
        metas.insert(name.to_owned(), meta(from, &call.plane.tag(&body)));
        shown(kind, body)
    });
    let mut answer = found.answer(kind.collection());
    if let Some(answer) = answer.as_object_mut() {
        answer.insert("meta".to_owned(), metas.into());
    }
    Ok(Reply::ok(&answer))
}

fn meta(origin: Origin, tag: &str) -> Value {
    match origin {
        Origin::File => json!({ "origin": origin.word(), "etag": tag }),
        Origin::Api { revision } => json!({ "origin": origin.word(), "etag": tag, "revision": revision }),
    }
}

async fn get(call: Call, kind: Kind) -> Result<Reply, Problem> {
    read(&call, kind, &Place::Whole)
}

/// A resource, or a part of one.
pub(super) fn read(call: &Call, kind: Kind, place: &Place) -> Result<Reply, Problem> {
    let name = call.param("name");
    let desired = call.plane.desired();
    let absent = || Problem::not_found(format_args!("{kind} {name:?}"));
    let whole = desired.config().resource(kind, name).ok_or_else(absent)?;
    let part = place.find(&whole).ok_or_else(|| Problem::not_found(place.called()))?;
    call.sees(call.sight().has_place(kind, name, place, &whole))?;
    let tag = call.plane.tag(part);
    call.represented(&tag, || {
        let body = place.find(&shown(kind, whole.clone())).cloned().unwrap_or_default();
        described(Reply::ok(&body), &desired, kind, name)
    })
}

fn described(reply: Reply, desired: &Desired, kind: Kind, name: &str) -> Reply {
    match desired.origin(kind, name) {
        Some(origin @ Origin::Api { revision }) => {
            reply.with("headworks-origin", origin.word()).with("headworks-revision", &revision.to_string())
        }
        Some(origin) => reply.with("headworks-origin", origin.word()),
        None => reply,
    }
}

async fn put(call: Call, kind: Kind) -> Result<Reply, Problem> {
    let operation = Operation::Put(call.json()?);
    change(call, kind, Place::Whole, operation).await
}

async fn patch(call: Call, kind: Kind) -> Result<Reply, Problem> {
    let operation = Operation::Patch(call.json()?);
    change(call, kind, Place::Whole, operation).await
}

async fn delete(call: Call, kind: Kind) -> Result<Reply, Problem> {
    change(call, kind, Place::Whole, Operation::Delete).await
}

/// Changes one resource, or a part of one, and answers with what it is then.
pub(super) async fn change(call: Call, kind: Kind, place: Place, operation: Operation) -> Result<Reply, Problem> {
    let is_delete = matches!(operation, Operation::Delete);
    let is_insert = matches!(operation, Operation::Insert(..));
    let name: Name = match &operation {
        Operation::Put(_) if place == Place::Whole => call.name("name")?,
        _ => call.name("name").map_err(|_| Problem::not_found(format_args!("{kind} {:?}", call.param("name"))))?,
    };
    let before = call.plane.desired().config().resource(kind, name.as_str());
    let is_new_part = before.is_some_and(|whole| place.find(&whole).is_none());
    let (condition, then) = (call.condition(), place.after(&operation));
    let is_own = matches!(operation, Operation::Put(_));
    let step = Step { kind, name: name.clone(), place: place.clone(), operation, condition };
    let answered = match (is_delete, is_insert || (is_new_part && place != Place::Whole)) {
        (true, _) => Answered::Nothing,
        (_, true) => Answered::NewPart,
        _ => Answered::Resource,
    };
    let (run, outcome) = carry_out(&call, vec![step], answered).await?;
    if run == Run::Dry {
        return Ok(judged(&outcome));
    }
    if is_delete {
        return Ok(Reply::nothing().noted_if(outcome.revision.is_some()));
    }
    let whole = outcome.body.clone().unwrap_or_default();
    // of a list of rules to which one was added, the list is what is answered
    let part = then.find(&whole).cloned().unwrap_or(Value::Null);
    let tag = call.plane.tag(&part);
    let is_created = outcome.created || answered == Answered::NewPart;
    let status = if is_created { StatusCode::CREATED } else { StatusCode::OK };
    // what was put is known to whoever put it
    let is_shown = match is_own {
        true => call.sight().has_place(kind, name.as_str(), &then, &whole),
        false => call.asker.reader(&call.plane).reads(kind, name.as_str(), &then, &whole),
    };
    let reply = match is_shown {
        true => Reply::json(status, &then.find(&shown(kind, whole)).cloned().unwrap_or(Value::Null)),
        // what may be put need not be what may be got
        false => Reply::empty(status),
    };
    let reply = described(reply, &call.plane.desired(), kind, name.as_str());
    Ok(reply.with("etag", &tag).noted_if(outcome.revision.is_some()))
}

/// Has steps carried out as one change.
pub(super) async fn carry_out(call: &Call, steps: Vec<Step>, answered: Answered) -> Result<(Run, Outcome), Problem> {
    let change = change_of(call, steps, answered)?;
    Ok((change.run, call.plane.change(change).await?))
}

/// Steps as one change, each with a condition of its own.
pub(super) fn change_of(call: &Call, steps: Vec<Step>, answered: Answered) -> Result<Change, Problem> {
    let (run, reason, entry, asker) = (call.run()?, call.reason()?, call.entry.clone(), call.asker.clone());
    let condition = Condition::default();
    let identities = Vec::new();
    Ok(Change { steps, condition, identities, reason, run, answered, is_sent: true, entry, asker, at: now_ms() })
}

/// What a change would do.
pub(super) fn judged(outcome: &Outcome) -> Reply {
    Reply::ok(&json!({ "dry_run": true, "changes": outcome.changes, "warnings": outcome.warnings }))
}
