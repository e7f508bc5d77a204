//! Roles: permissions that somebody takes on for a while.

use axum::http::{Method, StatusCode};
use headworks_iam::directory::Role;
use headworks_iam::document::Attached;
use headworks_iam::session::{LONGEST, SHORTEST, Session, USUAL};
use headworks_iam::{key, time};
use serde_json::{Map, Value, json};

use super::super::{Door, Route, route, schema};
use super::body::{Body, checked};
use super::users::permissions;
use crate::call::{Call, Reply, refusal};
use crate::clock::now;
use crate::keyfile::random;
use crate::names::hrn;
use crate::plane::Access;
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let one = "role/{name}";
    let path = "/v1/iam/roles/{name}";
    vec![
        route(Method::GET, "/v1/iam/roles", "ListRoles", "role/*", |call| Box::pin(list(call)))
            .about("All roles, by name.")
            .answers(200, json!({ "type": "object" })),
        route(Method::GET, path, "GetRole", one, |call| Box::pin(get(call))).about("One role.").answers(200, schema("Role")),
        route(Method::PUT, path, "PutRole", one, |call| Box::pin(put(call)))
            .about("Creates a role, or says anew who may assume it, and what it has.")
            .takes(schema("RoleSettings"))
            .answers(200, schema("Role"))
            .answers(201, schema("Role")),
        route(Method::DELETE, path, "DeleteRole", one, |call| Box::pin(delete(call)))
            .about("Deletes a role; its sessions end at once.")
            .answers_nothing(204),
        route(Method::POST, "/v1/iam/roles/{name}/sessions", "AssumeRole", one, |call| Box::pin(assume(call)))
            .behind(Door::Known)
            .about("Gives credentials of the role for a while, to whom its trust policy allows it.")
            .takes(json!({
                "type": "object",
                "properties": {
                    "session_name": { "type": "string", "minLength": 1, "maxLength": 64 },
                    "duration_seconds": { "type": "integer", "minimum": SHORTEST, "maximum": LONGEST, "default": USUAL },
                    "policy": schema("PolicyDocument"),
                },
                "required": ["session_name"],
                "additionalProperties": false,
            }))
            .answers(201, schema("Credentials")),
    ]
}

fn absent(name: &str) -> Problem {
    Problem::not_found(format_args!("role {name:?}"))
}

fn role_json(name: &str, role: &Role) -> Value {
    json!({
        "name": name,
        "hrn": hrn(&format!("role/{name}")),
        "created": time::iso(role.created),
        "trust": role.trust,
        "attached": role.attached,
        "boundary": role.boundary,
        "policies": role.inline.keys().collect::<Vec<_>>(),
        "longest_session": role.longest_session,
    })
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let roles: Map<String, Value> =
        directory.roles.iter().map(|(name, role)| (name.clone(), role_json(name, role))).collect();
    Ok(Reply::ok(&json!({ "roles": roles })))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let directory = call.plane.directory();
    Ok(Reply::ok(&role_json(name, directory.roles.get(name).ok_or_else(|| absent(name))?)))
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let name = checked(call.param("name"))?;
    let mut body = Body::of(call.json()?, &["trust", "attached", "boundary", "longest_session"])?;
    if body.get("trust").is_none() {
        body.mistake("trust", "is missing, expected a policy document that says who may assume the role");
    }
    let trust = body.document("trust", Attached::Trust);
    let longest = body.number("longest_session", USUAL, LONGEST).unwrap_or(USUAL);
    let is_new = !call.plane.directory().roles.contains_key(&name);
    let mut entry = call.entry.clone();
    entry.status = if is_new { 201 } else { 200 };
    let of = name.clone();
    call.plane
        .identities(entry, move |directory, _| {
            let (attached, boundary) = permissions(&mut body, directory);
            body.check()?;
            let Some(trust) = trust else { return Err(Problem::invalid("trust", "is missing")) };
            let before = directory.roles.remove(&of);
            let (created, inline) =
                before.map_or_else(|| (now(), Default::default()), |role| (role.created, role.inline));
            let role = Role { created, trust, inline, attached, boundary, longest_session: longest };
            directory.roles.insert(of.clone(), role);
            Ok(((), vec![("role", of)]))
        })
        .await?;
    let directory = call.plane.directory();
    let role = directory.roles.get(&name).ok_or_else(|| absent(&name))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Reply::json(status, &role_json(&name, role)).noted())
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let mut entry = call.entry.clone();
    entry.status = 204;
    call.plane
        .identities(entry, move |directory, _| {
            directory.roles.remove(&name).ok_or_else(|| absent(&name))?;
            Ok(((), vec![("role", name)]))
        })
        .await?;
    Ok(Reply::nothing().noted())
}

async fn assume(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let directory = call.plane.directory();
    if call.plane.access == Access::Required {
        let decision = directory.may_assume(&call.principal, &name, call.circumstances.clone());
        if !decision.allowed {
            return Err(refusal(&call.principal, &call.entry.action, &call.entry.resource, &decision));
        }
    }
    let role = directory.roles.get(&name).ok_or_else(|| absent(&name))?;
    let mut body = Body::of(call.json()?, &["session_name", "duration_seconds", "policy"])?;
    let session = body.required_text("session_name");
    if let Err(mistake) = headworks_iam::directory::check_name(&session)
        && !session.is_empty()
    {
        body.mistake("session_name", mistake.what);
    }
    let lasts =
        body.number("duration_seconds", SHORTEST, role.longest_session).unwrap_or(USUAL.min(role.longest_session));
    let policy = body.document("policy", Attached::Identity);
    body.check()?;
    let unavailable = |error: &dyn std::fmt::Display| Problem::unavailable(error.to_string());
    let made = key::make(key::For::Session, &random().map_err(|error| unavailable(&error))?);
    let session = Session {
        role: name,
        of: role.created,
        name: session,
        key: made.id,
        secret: made.secret,
        expires: now() + lasts,
        policy,
    };
    let nonce = random().map_err(|error| unavailable(&error))?;
    let token = session.token(&call.plane.kept()?.sealer, nonce).map_err(|error| unavailable(&error))?;
    Ok(Reply::json(
        StatusCode::CREATED,
        &json!({
            "principal": session.principal().to_string(),
            "access_key_id": session.key,
            "secret_access_key": session.secret,
            "session_token": token,
            "expires": time::iso(session.expires),
        }),
    ))
}
