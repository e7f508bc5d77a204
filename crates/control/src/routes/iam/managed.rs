//! Managed policies: written once, attached to many.

use axum::http::{Method, StatusCode};
use headworks_iam::directory::Managed;
use headworks_iam::document::Attached;
use headworks_iam::{Directory, time};
use serde_json::{Map, Value, json};

use super::super::{Route, route, schema};
use super::body::{checked, document};
use super::owner::{is_known, tagged};
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::hrn;
use crate::problem::Problem;

/// The longest managed policy, in characters.
const LONGEST: usize = 6144;

pub(super) fn routes() -> Vec<Route> {
    let one = "policy/{name}";
    let path = "/v1/iam/policies/{name}";
    vec![
        route(Method::GET, "/v1/iam/policies", "ListPolicies", "policy/*", |call| Box::pin(list(call)))
            .about("All managed policies, by name.")
            .answers(200, json!({ "type": "object" })),
        route(Method::GET, path, "GetPolicy", one, |call| Box::pin(get(call)))
            .about("The document of a managed policy.")
            .answers(200, schema("PolicyDocument")),
        route(Method::PUT, path, "PutPolicy", one, |call| Box::pin(put(call)))
            .about("Creates or replaces a managed policy.")
            .takes(schema("PolicyDocument"))
            .answers(200, schema("PolicyDocument"))
            .answers(201, schema("PolicyDocument")),
        route(Method::DELETE, path, "DeletePolicy", one, |call| Box::pin(delete(call)))
            .about("Deletes a managed policy that is attached to nobody.")
            .answers_nothing(204),
    ]
}

fn absent(name: &str) -> Problem {
    Problem::not_found(format_args!("managed policy {name:?}"))
}

/// Where a managed policy is attached.
fn holders(directory: &Directory, name: &str) -> Vec<String> {
    let users = directory
        .users
        .iter()
        .filter(|(_, user)| user.attached.contains(name) || user.boundary.as_deref() == Some(name));
    let groups = directory.groups.iter().filter(|(_, group)| group.attached.contains(name));
    let roles = directory
        .roles
        .iter()
        .filter(|(_, role)| role.attached.contains(name) || role.boundary.as_deref() == Some(name));
    let users = users.map(|(name, _)| format!("user/{name}"));
    let groups = groups.map(|(name, _)| format!("group/{name}"));
    let roles = roles.map(|(name, _)| format!("role/{name}"));
    users.chain(groups).chain(roles).collect()
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let policies: Map<String, Value> = directory
        .policies
        .iter()
        .map(|(name, policy)| {
            let about = json!({
                "name": name,
                "hrn": hrn(&format!("policy/{name}")),
                "created": time::iso(policy.created),
                "built_in": Directory::is_built_in(name),
                "attached_to": holders(&directory, name),
            });
            (name.clone(), about)
        })
        .collect();
    Ok(Reply::ok(&json!({ "policies": policies })))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let directory = call.plane.directory();
    let policy = directory.policies.get(name).ok_or_else(|| absent(name))?;
    Ok(tagged(&call, Reply::ok(policy.document.json()), &policy.document))
}

fn not_built_in(name: &str) -> Result<(), Problem> {
    if Directory::is_built_in(name) {
        return Err(Problem::conflict(format!("managed policy {name:?} is always there, and cannot be changed")));
    }
    Ok(())
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let name = checked(call.param("name"))?;
    not_built_in(&name)?;
    let document = document(&call.json()?, Attached::Identity).map_err(|mistakes| Problem::of_mistakes(&mistakes))?;
    if document.size() > LONGEST {
        return Err(Problem::limit(format!("the document is longer than {LONGEST} characters")));
    }
    let directory = call.plane.directory();
    let before = directory.policies.get(&name).map(|policy| &policy.document);
    is_known(&call, before)?;
    let is_new = before.is_none();
    let mut entry = call.entry.clone();
    entry.status = if is_new { 201 } else { 200 };
    let answer = document.json().clone();
    call.plane
        .identities(entry, move |directory, _| {
            let created = directory.policies.get(&name).map_or_else(now, |policy| policy.created);
            directory.policies.insert(name.clone(), Managed { created, document });
            Ok(((), vec![("policy", name)]))
        })
        .await?;
    Ok(Reply::json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &answer).noted())
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    not_built_in(&name)?;
    let mut entry = call.entry.clone();
    entry.status = 204;
    call.plane
        .identities(entry, move |directory, _| {
            let holders = holders(directory, &name);
            if !holders.is_empty() {
                return Err(Problem::in_use(format_args!("managed policy {name:?}"), &holders));
            }
            directory.policies.remove(&name).ok_or_else(|| absent(&name))?;
            Ok(((), vec![("policy", name)]))
        })
        .await?;
    Ok(Reply::nothing().noted())
}
