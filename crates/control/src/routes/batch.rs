//! Many changes as one: all of them, or none.

use std::collections::HashSet;

use axum::http::Method;
use headworks_model::Kind;
use headworks_model::primitive::Name;
use serde_json::{Value, json};

use super::resources::{change_of, judged};
use super::{Door, Route, route};
use crate::call::{Call, Reply};
use crate::change::{Answered, Change, Condition, Outcome, Run, Step};
use crate::desired::state;
use crate::names::{hrn_of, noun};
use crate::problem::Problem;
use crate::rewrite::{Operation, Place};

/// The most resources of one change.
const MOST: usize = 10_000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/changes", "GetRevision", "revision/*", |call| Box::pin(newest(call)))
            .about(
                "The newest revision, with the tag of all resources that come by the API: `If-Match` of a change of many of them, \
                 and of what restores a revision, is held against it.",
            )
            .answers(200, json!({ "type": "object", "properties": { "revision": { "type": "integer" } }, "required": ["revision"] })),
        route(Method::POST, "/v1/changes", "ChangeResources", "changes", |call| Box::pin(apply(call)))
            .behind(Door::Known)
            .about(
                "Puts and deletes resources of any kind as one change. Each is permitted as if it came alone. `put` has the \
                 shape of the file; `delete` has lists of names in place of resources.",
            )
            .changes()
            .takes(json!({
                "type": "object",
                "properties": {
                    "put": { "type": "object", "additionalProperties": { "type": "object" } },
                    "delete": { "type": "object", "additionalProperties": { "type": "array", "items": { "type": "string" } } },
                },
                "additionalProperties": false,
            }))
            .answers(200, json!({ "type": "object" })),
    ]
}

async fn newest(call: Call) -> Result<Reply, Problem> {
    let state = call.plane.desired().state();
    call.represented(&call.plane.tag(&state), || Reply::ok(&state))
}

async fn apply(call: Call) -> Result<Reply, Problem> {
    let body = call.json()?;
    let Some(entries) = body.as_object() else {
        return Err(Problem::bad_request("the body is no mapping, expected { put: ..., delete: ... }"));
    };
    let mut steps = Vec::new();
    for (key, given) in entries {
        let shape =
            || Problem::invalid(key, "is no mapping, expected one by kinds of resources, such as target_groups");
        if !["put", "delete"].contains(&key.as_str()) {
            return Err(Problem::invalid(key, "unknown key, expected one of put, delete"));
        }
        for (collection, resources) in given.as_object().ok_or_else(shape)? {
            let at = format!("{key}.{collection}");
            let Some(kind) = Kind::of_collection(collection) else {
                let all: Vec<&str> = Kind::ALL.into_iter().map(Kind::collection).collect();
                return Err(Problem::invalid(&at, format!("unknown key, expected one of {}", all.join(", "))));
            };
            match (key.as_str(), resources) {
                ("put", Value::Object(resources)) => {
                    for (name, body) in resources {
                        steps.push(step(kind, name, &at, Operation::Put(body.clone()))?);
                    }
                }
                ("delete", Value::Array(names)) => {
                    for name in names {
                        let name = name.as_str().ok_or_else(|| Problem::invalid(&at, "has what is no name"))?;
                        steps.push(step(kind, name, &at, Operation::Delete)?);
                    }
                }
                ("put", _) => return Err(Problem::invalid(&at, "is no mapping, expected one of resources by name")),
                _ => return Err(Problem::invalid(&at, "is no list, expected one of names")),
            }
        }
    }
    let mut known = HashSet::new();
    if let Some(twice) = steps.iter().find(|step| !known.insert((step.kind, &step.name))) {
        let path = format!("{}.{}", twice.kind.collection(), twice.name);
        return Err(Problem::invalid(&path, "is put or deleted more than once in one change"));
    }
    if steps.len() > MOST {
        return Err(Problem::bad_request(format!("more than {MOST} resources at once")));
    }
    done(call, steps, Said::Here).await
}

fn step(kind: Kind, name: &str, at: &str, operation: Operation) -> Result<Step, Problem> {
    let name = Name::new(name).map_err(|error| Problem::invalid(&format!("{at}.{name}"), error.to_string()))?;
    Ok(Step { kind, name, place: Place::Whole, operation, condition: Condition::default() })
}

/// Whether whoever asks for a change has said what is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// In this call.
    Here,
    /// It was said before, perhaps by others.
    Before,
}

/// Asks for each, does all, and says what changed.
pub(super) async fn done(call: Call, steps: Vec<Step>, said: Said) -> Result<Reply, Problem> {
    let change = permitted(&call, steps, said)?;
    let run = change.run;
    let outcome = call.plane.change(change).await?;
    Ok(told(&call, run, &outcome))
}

/// Asks for each of the steps as if it came alone. They are one change, on condition that all is what the caller knew.
pub(super) fn permitted(call: &Call, steps: Vec<Step>, said: Said) -> Result<Change, Problem> {
    let reader = call.asker.reader(&call.plane);
    steps.iter().try_for_each(|Step { kind, name, operation, .. }| {
        let verb = if matches!(operation, Operation::Delete) { "Delete" } else { "Put" };
        let asked = call.may(&format!("{verb}{}", noun(*kind)), &hrn_of(*kind, name.as_str()));
        let is_told = said == Said::Here || reader.knows(*kind, name.as_str());
        asked.map_err(|refused| if is_told { refused } else { call.asker.refused_unshown() })
    })?;
    let change = change_of(call, steps, Answered::Summary)?;
    Ok(Change { condition: call.condition(), is_sent: said == Said::Here, ..change })
}

/// What changed, or would.
pub(super) fn told(call: &Call, run: Run, outcome: &Outcome) -> Reply {
    if run == Run::Dry {
        return judged(outcome);
    }
    let body = json!({ "revision": outcome.revision, "changes": outcome.changes, "warnings": outcome.warnings });
    let reply = Reply::ok(&body).noted_if(outcome.revision.is_some());
    match outcome.revision {
        Some(revision) => reply.with("etag", &call.plane.tag(&state(revision))),
        None => reply,
    }
}
