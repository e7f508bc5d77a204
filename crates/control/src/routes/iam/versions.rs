//! Versions of a managed policy: what it said before, and may say again.

use axum::http::{Method, StatusCode};
use headworks_iam::managed::{Managed, Stays, Version};
use headworks_iam::seal::Sealer;
use headworks_iam::{Directory, time};
use serde_json::{Value, json};

use super::super::{Route, route, schema};
use super::body::Body;
use super::changed::changed;
use super::managed::{absent, not_built_in, read};
use super::owner::known;
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::action;
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let policy = "policy/{name}";
    let (all, one) = ("/v1/iam/policies/{name}/versions", "/v1/iam/policies/{name}/versions/{version}");
    let listed = json!({
        "type": "object",
        "properties": { "versions": { "type": "array", "items": schema("PolicyVersion") } },
        "required": ["versions"],
    });
    vec![
        route(Method::GET, all, "ListPolicyVersions", policy, |call| Box::pin(list(call)))
            .about("The versions of a managed policy, the oldest first.")
            .answers(200, listed),
        route(Method::POST, all, "CreatePolicyVersion", policy, |call| Box::pin(create(call)))
            .judges()
            .about("Adds a version, of which a policy has at most five. It holds only when it is made the default.")
            .takes(json!({
                "type": "object",
                "properties": { "document": schema("PolicyDocument"), "set_default": { "type": "boolean", "default": false } },
                "required": ["document"],
                "additionalProperties": false,
            }))
            .answers(201, schema("PolicyVersion")),
        route(Method::GET, one, "GetPolicyVersion", policy, |call| Box::pin(get(call)))
            .about("One version with its document.")
            .answers(200, schema("PolicyVersion")),
        route(Method::DELETE, one, "DeletePolicyVersion", policy, |call| Box::pin(delete(call)))
            .judges()
            .about("Deletes a version that is not the default.")
            .answers_nothing(204),
        route(Method::PUT, "/v1/iam/policies/{name}/default-version", "SetDefaultPolicyVersion", policy, |call| {
            Box::pin(set_default(call))
        })
        .judges()
            .about("Has another version hold.")
        .takes(json!({
            "type": "object",
            "properties": { "version": { "type": "string", "examples": ["v2"] } },
            "required": ["version"],
            "additionalProperties": false,
        }))
        .answers(200, schema("PolicyVersion")),
    ]
}

/// `v2`.
pub(super) fn word(number: u64) -> String {
    format!("v{number}")
}

fn number(word: &str) -> Option<u64> {
    word.strip_prefix('v')?.parse().ok()
}

/// A version of the path.
fn named(call: &Call) -> Result<u64, Problem> {
    number(call.param("version")).ok_or_else(|| no_version(call.param("version")))
}

fn no_version(word: &str) -> Problem {
    Problem::not_found(format_args!("version {word:?} of the policy"))
}

fn stays(stays: Stays, word: &str) -> Problem {
    match stays {
        Stays::Absent => no_version(word),
        Stays::Default => Problem::conflict(stays.to_string()),
        Stays::Full => Problem::limit(stays.to_string()),
    }
}

fn about(policy: &Managed, number: u64, version: &Version) -> Value {
    json!({
        "version": word(number),
        "default": number == policy.version,
        "created": time::iso(version.created),
        "document": version.document,
    })
}

fn shown(policy: &Managed, number: u64) -> Result<Value, Problem> {
    let found = policy.versions().find(|(found, _)| *found == number);
    found.map(|(_, version)| about(policy, number, &version)).ok_or_else(|| no_version(&word(number)))
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    let policy = directory.policies.get(name).ok_or_else(|| absent(name))?;
    let unseen = call.asker.denied(&call.plane, &action("GetPolicyVersion"));
    let seen = policy.versions().filter(|_| !unseen.has(&call.entry.resource));
    let versions: Vec<Value> = seen.map(|(number, version)| about(policy, number, &version)).collect();
    Ok(Reply::ok(&json!({ "versions": versions })))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    let policy = directory.policies.get(name).ok_or_else(|| absent(name))?;
    Ok(Reply::ok(&shown(policy, named(&call)?)?))
}

/// Changes a policy that the caller knows: `reply` makes the answer of what the change has brought.
async fn change<T: Send + 'static>(
    call: &Call,
    status: StatusCode,
    change: impl FnOnce(&mut Managed) -> Result<T, Problem>,
    reply: impl FnOnce(T) -> Reply,
) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    not_built_in(&name)?;
    let known = known(call);
    let change = move |directory: &mut Directory, _: &Sealer| {
        let policy = directory.policies.get_mut(&name).ok_or_else(|| absent(&name))?;
        known(Some(&policy.document))?;
        Ok((change(policy)?, vec![("policy", name)]))
    };
    changed(call, status, change, reply).await
}

async fn create(call: Call) -> Result<Reply, Problem> {
    let mut body = Body::of(call.json()?, &["document", "set_default"])?;
    let holds = body.flag("set_default").unwrap_or(false);
    let document = body.get("document").cloned();
    if document.is_none() {
        body.mistake("document", "is missing, expected a policy document");
    }
    body.check()?;
    let document = read(&document.unwrap_or_default())?;
    let add = move |policy: &mut Managed| {
        let number = policy.add(document, now(), holds).map_err(|why| stays(why, "new"))?;
        shown(policy, number)
    };
    change(&call, StatusCode::CREATED, add, |made| Reply::json(StatusCode::CREATED, &made)).await
}

async fn set_default(call: Call) -> Result<Reply, Problem> {
    let mut body = Body::of(call.json()?, &["version"])?;
    let version = body.required_text("version");
    body.check()?;
    let number = number(&version).ok_or_else(|| no_version(&version))?;
    let hold = move |policy: &mut Managed| {
        policy.hold(number).map_err(|why| stays(why, &version))?;
        shown(policy, number)
    };
    change(&call, StatusCode::OK, hold, |held| Reply::ok(&held)).await
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let (number, version) = (named(&call)?, call.param("version").to_owned());
    let forget = move |policy: &mut Managed| policy.forget(number).map_err(|why| stays(why, &version));
    change(&call, StatusCode::NO_CONTENT, forget, |()| Reply::nothing()).await
}
