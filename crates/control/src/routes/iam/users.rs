//! Users.

use axum::http::{Method, StatusCode};
use headworks_iam::directory::User;
use headworks_iam::{Directory, time};
use serde_json::{Map, Value, json};

use super::super::{Route, route, schema};
use super::body::{Body, checked};
use super::keys::key_json;
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::hrn;
use crate::plane::Plane;
use crate::problem::Problem;

/// Groups and managed policies of one identity.
pub(super) const MOST: usize = 10;

pub(super) fn routes() -> Vec<Route> {
    let one = "user/{name}";
    let path = "/v1/iam/users/{name}";
    vec![
        route(Method::GET, "/v1/iam/users", "ListUsers", "user/*", |call| Box::pin(list(call)))
            .about("All users, by name.")
            .answers(200, json!({ "type": "object" })),
        route(Method::GET, path, "GetUser", one, |call| Box::pin(get(call))).about("One user.").answers(200, schema("User")),
        route(Method::PUT, path, "PutUser", one, |call| Box::pin(put(call)))
            .about("Creates a user, or says anew which groups, managed policies and boundary it has. Its keys and own policies stay.")
            .may_take(schema("UserSettings"))
            .answers(200, schema("User"))
            .answers(201, schema("User")),
        route(Method::DELETE, path, "DeleteUser", one, |call| Box::pin(delete(call)))
            .about("Deletes a user with its keys and its own policies.")
            .answers_nothing(204),
    ]
}

pub(super) fn absent(name: &str) -> Problem {
    Problem::not_found(format_args!("user {name:?}"))
}

fn user_json(plane: &Plane, name: &str, user: &User) -> Value {
    json!({
        "name": name,
        "hrn": hrn(&format!("user/{name}")),
        "created": time::iso(user.created),
        "groups": user.groups,
        "attached": user.attached,
        "boundary": user.boundary,
        "policies": user.inline.keys().collect::<Vec<_>>(),
        "console": {
            "password": user.login.is_some(),
            "must_change": user.login.as_ref().is_some_and(|login| login.is_expired(&plane.directory().password_policy, now())),
            "mfa": user.mfa.active.is_some(),
            "locked": plane.guesses.is_locked(name, now()),
        },
        "access_keys": user.keys.iter().map(|key| key_json(plane, key)).collect::<Vec<_>>(),
    })
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let users: Map<String, Value> =
        directory.users.iter().map(|(name, user)| (name.clone(), user_json(&call.plane, name, user))).collect();
    Ok(Reply::ok(&json!({ "users": users })))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let directory = call.plane.directory();
    let user = directory.users.get(name).ok_or_else(|| absent(name))?;
    Ok(Reply::ok(&user_json(&call.plane, name, user)))
}

/// The managed policies and the boundary that a body names.
pub(super) fn permissions(
    body: &mut Body,
    directory: &Directory,
) -> (std::collections::BTreeSet<String>, Option<String>) {
    let is_known = |name: &str| directory.policies.contains_key(name);
    let attached = body.names("attached", "managed policy", MOST, is_known);
    let boundary = body.text("boundary");
    if let Some(boundary) = boundary.as_ref().filter(|boundary| !is_known(boundary)) {
        body.mistake("boundary", format!("there is no managed policy {boundary:?}"));
    }
    (attached, boundary)
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let name = checked(call.param("name"))?;
    let mut body = Body::of(call.json_or_empty()?, &["groups", "attached", "boundary"])?;
    let plane = call.plane.clone();
    let mut entry = call.entry.clone();
    let is_new = !plane.directory().users.contains_key(&name);
    entry.status = if is_new { 201 } else { 200 };
    let of = name.clone();
    plane
        .identities(entry, move |directory, _| {
            let groups = body.names("groups", "group", MOST, |group| directory.groups.contains_key(group));
            let (attached, boundary) = permissions(&mut body, directory);
            body.check()?;
            let user = directory.users.entry(of.clone()).or_insert_with(|| User { created: now(), ..User::default() });
            (user.groups, user.attached, user.boundary) = (groups, attached, boundary);
            Ok(((), vec![("user", of)]))
        })
        .await?;
    let directory = plane.directory();
    let user = directory.users.get(&name).ok_or_else(|| absent(&name))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Reply::json(status, &user_json(&plane, &name, user)).noted())
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let mut entry = call.entry.clone();
    entry.status = 204;
    call.plane
        .identities(entry, move |directory, _| {
            directory.users.remove(&name).ok_or_else(|| absent(&name))?;
            Ok(((), vec![("user", name)]))
        })
        .await?;
    Ok(Reply::nothing().noted())
}
