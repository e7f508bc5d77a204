//! Roles: permissions that somebody takes on for a while.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use headworks_iam::directory::Role;
use headworks_iam::document::Attached;
use headworks_iam::session::{LONGEST, SHORTEST, Session, USUAL};
use headworks_iam::{Directory, key, time};
use serde_json::{Value, json};

use super::super::{Door, Route, route, schema};
use super::body::Body;
use super::identity::{Grants, Identity, attached, boundary, delete, find, get, list, put};
use crate::asker::refusal;
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::keyfile::random;
use crate::names::hrn;
use crate::page::listed;
use crate::plane::{Access, Plane};
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let one = "role/{name}";
    let path = "/v1/iam/roles/{name}";
    vec![
        route(Method::GET, "/v1/iam/roles", "ListRoles", "role/*", |call| Box::pin(list::<Role>(call)))
            .about("All roles, by name.")
            .pages_by_name()
            .answers(200, listed("roles", &schema("Role"))),
        route(Method::GET, path, "GetRole", one, |call| Box::pin(get::<Role>(call))).about("One role.").answers(200, schema("Role")),
        route(Method::PUT, path, "PutRole", one, |call| Box::pin(put::<Role>(call)))
            .judges()
            .about("Creates a role, or says anew who may assume it, and what it has.")
            .takes(schema("RoleSettings"))
            .answers(200, schema("Role"))
            .answers(201, schema("Role")),
        route(Method::DELETE, path, "DeleteRole", one, |call| Box::pin(delete::<Role>(call)))
            .judges()
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

impl Identity for Role {
    const WORD: &'static str = "role";
    const NOUN: &'static str = "Role";
    const KEYS: &'static [&'static str] = &["trust", "attached", "boundary", "longest_session"];

    fn all(directory: &Directory) -> &BTreeMap<String, Self> {
        &directory.roles
    }

    fn all_mut(directory: &mut Directory) -> &mut BTreeMap<String, Self> {
        &mut directory.roles
    }

    fn shown(&self, name: &str, _directory: &Directory, _plane: &Plane) -> Value {
        json!({
            "name": name,
            "hrn": hrn(&format!("role/{name}")),
            "created": time::iso(self.created),
            "trust": self.trust,
            "attached": self.attached,
            "boundary": self.boundary,
            "policies": self.inline.keys().collect::<Vec<_>>(),
            "longest_session": self.longest_session,
        })
    }

    fn grants(&self) -> Grants<'_> {
        Grants { attached: Some(&self.attached), boundary: self.boundary.as_deref(), ..Grants::default() }
    }

    fn read(mut body: Body, directory: &Directory, before: Option<Self>) -> Result<Self, Problem> {
        if body.get("trust").is_none() {
            body.mistake("trust", "is missing, expected a policy document that says who may assume the role");
        }
        let trust = body.document("trust", Attached::Trust);
        let longest_session = body.number("longest_session", USUAL, LONGEST).unwrap_or(USUAL);
        let (attached, boundary) = (attached(&mut body, directory), boundary(&mut body, directory));
        body.check()?;
        let Some(trust) = trust else { return Err(Problem::invalid("trust", "is missing")) };
        let before = before.map(|role| (role.created, role.inline, role.accessed));
        let (created, inline, accessed) = before.unwrap_or_else(|| (now(), BTreeMap::new(), BTreeMap::new()));
        Ok(Self { created, trust, inline, attached, boundary, longest_session, accessed })
    }
}

async fn assume(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let directory = call.plane.directory();
    if call.plane.access == Access::Required {
        let decision = directory.may_assume(&call.asker.principal, &name, call.asker.circumstances.clone());
        if !decision.allowed {
            return Err(refusal(&call.asker.principal, &call.entry.action, &call.entry.resource, &decision));
        }
    }
    let role = find::<Role>(&directory, &name)?;
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
