//! Managed policies: written once, attached to many.

use axum::http::{Method, StatusCode};
use headworks_iam::document::Attached;
use headworks_iam::managed::Managed;
use headworks_iam::seal::Sealer;
use headworks_iam::{Directory, Document, time};
use serde_json::{Value, json};

use super::super::{Route, route, schema};
use super::body::{checked, document};
use super::changed::{changed, done};
use super::owner::known;
use super::versions::word;
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::hrn;
use crate::page::{Page, listed};
use crate::problem::Problem;

/// The longest managed policy, in characters.
const LONGEST: usize = 6144;

pub(super) fn routes() -> Vec<Route> {
    let one = "policy/{name}";
    let path = "/v1/iam/policies/{name}";
    vec![
        route(Method::GET, "/v1/iam/policies", "ListPolicies", "policy/*", |call| Box::pin(list(call)))
            .about("All managed policies, by name.")
            .pages_by_name()
            .asks("built_in", json!({ "type": "boolean" }), "Those that are always there, or those that are not.")
            .answers(200, listed("policies", &json!({ "type": "object" }))),
        route(Method::GET, path, "GetPolicy", one, |call| Box::pin(get(call)))
            .about("The document of a managed policy.")
            .answers(200, schema("PolicyDocument")),
        route(Method::PUT, path, "PutPolicy", one, |call| Box::pin(put(call)))
            .judges()
            .about(
                "Creates a managed policy, or has it say something else from now on: that is a version of its own, and where there \
                 would be six, the oldest leaves.",
            )
            .takes(schema("PolicyDocument"))
            .answers(200, schema("PolicyDocument"))
            .answers(201, schema("PolicyDocument")),
        route(Method::DELETE, path, "DeletePolicy", one, |call| Box::pin(delete(call)))
            .judges()
            .about("Deletes a managed policy that is attached to nobody.")
            .answers_nothing(204),
    ]
}

pub(super) fn absent(name: &str) -> Problem {
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
    let built_in = call.query.get("built_in").map(|_| call.query.flag("built_in")).transpose()?;
    let wanted = directory
        .policies
        .iter()
        .filter(|(name, _)| built_in.is_none_or(|wanted| Directory::is_built_in(name) == wanted));
    let found = Page::of(&call)?.take(wanted, |name, policy| {
        json!({
            "name": name,
            "hrn": hrn(&format!("policy/{name}")),
            "created": time::iso(policy.created),
            "version": word(policy.version),
            "built_in": Directory::is_built_in(name),
            "attached_to": holders(&directory, name),
        })
    });
    Ok(Reply::ok(&found.answer("policies")))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let directory = call.plane.directory();
    let policy = directory.policies.get(name).ok_or_else(|| absent(name))?;
    let document = policy.document.json();
    call.represented(&call.plane.tag(document), || Reply::ok(document))
}

pub(super) fn not_built_in(name: &str) -> Result<(), Problem> {
    if Directory::is_built_in(name) {
        return Err(Problem::conflict(format!("managed policy {name:?} is always there, and cannot be changed")));
    }
    Ok(())
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let name = checked(call.param("name"))?;
    not_built_in(&name)?;
    let document = read(&call.json()?)?;
    let is_new = !call.plane.directory().policies.contains_key(&name);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let known = known(&call);
    let put = move |directory: &mut Directory, _: &Sealer| {
        known(directory.policies.get(&name).map(|policy| &policy.document))?;
        let answer = document.json().clone();
        match directory.policies.get_mut(&name) {
            Some(policy) => policy.say(document, now()),
            None => drop(directory.policies.insert(name.clone(), Managed::new(document, now()))),
        }
        Ok((answer, vec![("policy", name)]))
    };
    let reply = |answer: Value| Reply::json(status, &answer).with("etag", &call.plane.tag(&answer));
    changed(&call, status, put, reply).await
}

/// A document that may be a managed policy.
pub(super) fn read(value: &Value) -> Result<Document, Problem> {
    let document = document(value, Attached::Identity).map_err(|mistakes| Problem::of_mistakes(&mistakes))?;
    if document.size() > LONGEST {
        return Err(Problem::limit(format!("the document is longer than {LONGEST} characters")));
    }
    Ok(document)
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    not_built_in(&name)?;
    let known = known(&call);
    done(&call, move |directory, _| {
        known(directory.policies.get(&name).map(|policy| &policy.document))?;
        let holders = holders(directory, &name);
        if !holders.is_empty() {
            return Err(Problem::in_use(format_args!("managed policy {name:?}"), &holders));
        }
        directory.policies.remove(&name).ok_or_else(|| absent(&name))?;
        Ok(vec![("policy", name)])
    })
    .await
}
