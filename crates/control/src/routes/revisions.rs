//! Revisions: listed, shown, compared, restored.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use headworks_model::primitive::Name;
use headworks_model::{Edit, Kind};
use headworks_store::{Revision, Stored};
use serde_json::{Map, Value, json};

use super::batch::{Said, done};
use super::{Route, route, schema};
use crate::call::{Call, Reply};
use crate::change::{Condition, Step};
use crate::desired::Desired;
use crate::difference::{lines, shown};
use crate::keep::unsealed;
use crate::mend::mend;
use crate::names::{self, hrn};
use crate::problem::Problem;
use crate::rewrite::{Operation, Place};
use crate::sight::Sight;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/v1/revisions", "ListRevisions", "revision/*", |call| Box::pin(list(call)))
            .about("Revisions, the newest first: who, when, why, and which resources.")
            .pages()
            .asks("before", json!({ "type": "integer", "minimum": 1 }), "Those below this number.")
            .asks("resource", json!({ "type": "string" }), "Those of one resource, as target_groups.web.")
            .answers(200, json!({ "type": "object", "properties": {
                "revisions": { "type": "array", "items": schema("Revision") },
                "next": { "type": "integer", "description": "Given as `before`, the page that follows." },
            }, "required": ["revisions"] })),
        route(Method::GET, "/v1/revisions/{revision}", "GetRevision", "revision/{revision}", |call| Box::pin(get(call)))
            .about("A revision and what it changed; with `against`, what is different between two.")
            .asks("against", json!({ "type": "integer", "minimum": 0 }), "The other revision; 0 is the beginning.")
            .answers(200, schema("Revision")),
        route(
            Method::GET,
            "/v1/revisions/{revision}/resources",
            "GetRevision",
            "revision/{revision}",
            |call| Box::pin(resources(call)),
        )
        .about("All that had come by the API when this revision had been made, in the shape of the file, without secrets.")
        .answers(200, json!({ "type": "object" })),
        route(
            Method::POST,
            "/v1/revisions/{revision}/restore",
            "RestoreRevision",
            "revision/{revision}",
            |call| Box::pin(restore(call)),
        )
        .about("Makes all that comes by the API what it was; that is a revision too. Each resource is permitted as if it came alone.")
        .changes()
        .answers(200, json!({ "type": "object" })),
    ]
}

fn number(call: &Call) -> Result<u64, Problem> {
    let text = call.param("revision");
    names::number(text).ok_or_else(|| Problem::not_found(format_args!("revision {text:?}")))
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let limit = call.query.number("limit", 1, 500)?.unwrap_or(100);
    let limit = usize::try_from(limit).unwrap_or(100);
    let before = call.query.number("before", 1, u64::MAX >> 1)?;
    let sight = call.sight();
    let of = match call.query.get("resource") {
        None => None,
        Some(text) => {
            let wrong = || Problem::invalid("?resource", "names no resource, expected one such as target_groups.web");
            let (kind, name) = text.split_once('.').ok_or_else(wrong)?;
            let kind = Kind::of_collection(kind).ok_or_else(wrong)?;
            call.sees(sight.has(kind, name))?;
            Some((kind.collection(), name.to_owned()))
        }
    };
    let found = call.plane.blocking(move |kept| {
        let of = of.as_ref().map(|(kind, name)| (*kind, name.as_str()));
        Ok(kept.store.revisions(before, of, limit)?)
    });
    let found = found.await?;
    let next = found.last().map(|last| last.number).filter(|last| found.len() == limit && *last > 1);
    let mut answer = Map::new();
    answer.insert("revisions".to_owned(), found.iter().map(|one| revision_json(one, &sight)).collect());
    answer.extend(next.map(|next| ("next".to_owned(), next.into())));
    Ok(Reply::ok(&answer.into()))
}

/// A revision, with those of its resources that are seen.
pub(super) fn revision_json(revision: &Revision, sight: &Sight) -> Value {
    let seen = revision.resources.iter().filter(|(kind, name)| has(sight, kind, name));
    let resources: Vec<String> = seen.map(|(kind, name)| format!("{kind}.{name}")).collect();
    json!({
        "revision": revision.number,
        "at": headworks_iam::time::iso(revision.at / 1000),
        "principal": revision.principal,
        "reason": revision.reason,
        "resources": resources,
    })
}

/// Whether a resource of a collection is seen.
pub(super) fn has(sight: &Sight, collection: &str, name: &str) -> bool {
    Kind::of_collection(collection).is_none_or(|kind| sight.has(kind, name))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let number = number(&call)?;
    let against = call.query.number("against", 0, u64::MAX >> 1)?;
    if let Some(other) = against {
        call.may_this(&hrn(&format!("revision/{other}")))?;
    }
    let sight = call.sight();
    let answer = call.plane.blocking(move |kept| {
        let absent = |number: u64| Problem::not_found(format_args!("revision {number}"));
        let (revision, differences) = kept.store.revision(number)?.ok_or_else(|| absent(number))?;
        let mut answer = revision_json(&revision, &sight);
        let open = |kind: &str, name: &str, body: &Option<String>| {
            let opened = body.as_ref().map(|body| unsealed(&kept.sealer, kind, name, body)).transpose()?;
            Ok::<Option<Value>, Problem>(opened.and_then(|edit| edit.body))
        };
        let mut changes: Vec<String> = Vec::new();
        match against {
            None => {
                for one in &differences {
                    let (before, after) =
                        (open(&one.kind, &one.name, &one.before)?, open(&one.kind, &one.name, &one.after)?);
                    changes.extend(line(&sight, &one.kind, &one.name, before.as_ref(), after.as_ref()));
                }
            }
            Some(other) => {
                // one that was not written between the two is the same: of those that were, one is opened at a time
                let mut turned: BTreeMap<(String, String), [Option<Stored>; 2]> = BTreeMap::new();
                let old = kept.store.resources_at(other)?.ok_or_else(|| absent(other))?;
                for stored in old {
                    let key = (stored.kind.clone(), stored.name.clone());
                    turned.insert(key, [Some(stored), None]);
                }
                for stored in kept.store.resources_at(number)?.unwrap_or_default() {
                    let key = (stored.kind.clone(), stored.name.clone());
                    let before = turned.remove(&key).and_then(|[before, _]| before);
                    if before.as_ref().is_none_or(|before| before.revision != stored.revision) {
                        turned.insert(key, [before, Some(stored)]);
                    }
                }
                for ((kind, name), [before, after]) in turned {
                    let of = |stored: Option<Stored>| open(&kind, &name, &stored.map(|stored| stored.body));
                    changes.extend(line(&sight, &kind, &name, of(before)?.as_ref(), of(after)?.as_ref()));
                }
            }
        }
        if let Some(answer) = answer.as_object_mut() {
            answer.insert("changes".to_owned(), json!(changes));
        }
        Ok(answer)
    });
    let answer = answer.await?;
    call.represented(&call.plane.tag(&answer), || Reply::ok(&answer))
}

fn line(sight: &Sight, kind: &str, name: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    match (Kind::of_collection(kind), Name::new(name)) {
        (Some(kind), Ok(name)) if sight.has_both(kind, name.as_str(), before, after) => {
            lines(kind, &name, before, after)
        }
        _ => Vec::new(),
    }
}

/// All that came by the API at a revision.
async fn at(call: &Call) -> Result<Vec<Edit>, Problem> {
    let number = number(call)?;
    let edits = call.plane.blocking(move |kept| {
        let absent = || Problem::not_found(format_args!("revision {number}"));
        let stored = kept.store.resources_at(number)?.ok_or_else(absent)?;
        stored.iter().map(|one| unsealed(&kept.sealer, &one.kind, &one.name, &one.body)).collect()
    });
    edits.await
}

async fn resources(call: Call) -> Result<Reply, Problem> {
    let mut answer = Map::new();
    let sight = call.sight();
    for edit in at(&call).await? {
        if !sight.has_both(edit.kind, edit.name.as_str(), edit.body.as_ref(), None) {
            continue;
        }
        let of = answer.entry(edit.kind.collection()).or_insert_with(|| json!({}));
        if let (Some(of), Some(body)) = (of.as_object_mut(), edit.body) {
            of.insert(edit.name.as_str().to_owned(), shown(edit.kind, body));
        }
    }
    Ok(Reply::ok(&answer.into()))
}

async fn restore(call: Call) -> Result<Reply, Problem> {
    let mut then = at(&call).await?;
    then.iter_mut().for_each(|edit| drop(mend(edit)));
    let steps = steps_to(&then, &call.plane.desired());
    done(call, steps, Said::Before).await
}

/// What leads from what should be to what came by the API then.
pub(super) fn steps_to(then: &[Edit], desired: &Desired) -> Vec<Step> {
    let mut steps = Vec::new();
    let step = |kind, name: &Name, operation| Step {
        kind,
        name: name.clone(),
        place: Place::Whole,
        operation,
        condition: Condition::default(),
    };
    for edit in then {
        let now = desired.config().resource(edit.kind, edit.name.as_str());
        if let Some(body) = edit.body.clone().filter(|body| now.as_ref() != Some(body)) {
            steps.push(step(edit.kind, &edit.name, Operation::Put(body)));
        }
    }
    let there: BTreeSet<(Kind, &Name)> = then.iter().map(|edit| (edit.kind, &edit.name)).collect();
    let gone = desired.ours().filter(|one| !there.contains(one));
    steps.extend(gone.map(|(kind, name)| step(kind, name, Operation::Delete)));
    steps
}
