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
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::action;
use crate::page::{Page, listed_unnamed};
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let policy = "policy/{name}";
    let (all, one) = ("/v1/iam/policies/{name}/versions", "/v1/iam/policies/{name}/versions/{version}");
    let holds = "/v1/iam/policies/{name}/default-version";
    vec![
        route(Method::GET, all, "ListPolicyVersions", policy, |call| Box::pin(list(call)))
            .about("The versions of a managed policy, the oldest first.")
            .pages_by_name()
            .answers(200, listed_unnamed("versions", &schema("PolicyVersion"))),
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
        route(Method::GET, holds, "GetPolicyVersion", policy, |call| Box::pin(get_default(call)))
            .about("The version that holds, with its document.")
            .answers(200, schema("PolicyVersion")),
        route(Method::PUT, holds, "SetDefaultPolicyVersion", policy, |call| {
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
    let unseen = call.asker.denied(&call.plane, &action("GetPolicyVersion")).has(&call.entry.resource);
    let tag = call.plane.tag(&if unseen { json!([]) } else { all(policy) });
    let seen = policy.versions().filter(|_| !unseen).map(|(number, version)| (word(number), (number, version)));
    let by_number = |one: &str, other: &str| number(one).cmp(&number(other));
    let found = Page::of(&call)?.take_by(by_number, seen, |_, (number, version)| about(policy, number, &version));
    call.represented(&tag, || Reply::ok(&found.unnamed("versions")))
}

fn all(policy: &Managed) -> Value {
    policy.versions().map(|(number, version)| about(policy, number, &version)).collect()
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    let policy = directory.policies.get(name).ok_or_else(|| absent(name))?;
    represented(&call, policy, named(&call)?)
}

async fn get_default(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    let policy = directory.policies.get(name).ok_or_else(|| absent(name))?;
    represented(&call, policy, policy.version)
}

fn represented(call: &Call, policy: &Managed, number: u64) -> Result<Reply, Problem> {
    let version = shown(policy, number)?;
    call.represented(&call.plane.tag(&version), || Reply::ok(&version))
}

/// Changes a policy: `part` is what of it the caller may say it knew, `reply` makes the answer of what the change has brought.
async fn change<T: Send + 'static>(
    call: &Call,
    status: StatusCode,
    part: impl FnOnce(&Managed) -> Result<Value, Problem>,
    change: impl FnOnce(&mut Managed) -> Result<T, Problem>,
    reply: impl FnOnce(T) -> Reply,
) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    not_built_in(&name)?;
    let knows = call.knows("the policy, or the version of it,".to_owned());
    let change = move |directory: &mut Directory, _: &Sealer| {
        let policy = directory.policies.get_mut(&name).ok_or_else(|| absent(&name))?;
        knows(Some(&part(policy)?))?;
        Ok((change(policy)?, vec![("policy", name)]))
    };
    changed(call, status, change, reply).await
}

fn tagged(call: &Call, reply: Reply, version: &Value) -> Reply {
    reply.with("etag", &call.plane.tag(version))
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
    let reply = |made: Value| tagged(&call, Reply::json(StatusCode::CREATED, &made), &made);
    change(&call, StatusCode::CREATED, |policy| Ok(all(policy)), add, reply).await
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
    let default = |policy: &Managed| shown(policy, policy.version);
    change(&call, StatusCode::OK, default, hold, |held| tagged(&call, Reply::ok(&held), &held)).await
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let (number, version) = (named(&call)?, call.param("version").to_owned());
    let forget = move |policy: &mut Managed| policy.forget(number).map_err(|why| stays(why, &version));
    let one = move |policy: &Managed| shown(policy, number);
    change(&call, StatusCode::NO_CONTENT, one, forget, |()| Reply::nothing()).await
}
