//! Roles: permissions that somebody takes on for a while.

use std::collections::BTreeMap;

use axum::http::Method;
use headworks_iam::directory::Role;
use headworks_iam::document::Attached;
use headworks_iam::session::{LONGEST, USUAL};
use headworks_iam::{Directory, time};
use serde_json::{Value, json};

use super::super::{Route, route, schema};
use super::body::Body;
use super::identity::{Grants, Identity, MOST, delete, get, list, put};
use crate::clock::now;
use crate::names::hrn;
use crate::page::listed;
use crate::plane::Plane;
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let one = "role/{name}";
    let path = "/v1/iam/roles/{name}";
    vec![
        route(Method::GET, "/v1/iam/roles", "ListRoles", "role/*", |call| Box::pin(list::<Role>(call)))
            .about("All roles, by name.")
            .pages_by_name()
            .answers(200, listed("roles", &schema("Role"))),
        route(Method::GET, path, "GetRole", one, |call| Box::pin(get::<Role>(call)))
            .about("One role.")
            .answers(200, schema("Role")),
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

    fn read(mut body: Body, before: Option<Self>) -> Result<Self, Problem> {
        if body.get("trust").is_none() {
            body.mistake("trust", "is missing, expected a policy document that says who may assume the role");
        }
        let trust = body.document("trust", Attached::Trust);
        let longest_session = body.number("longest_session", USUAL, LONGEST).unwrap_or(USUAL);
        let (attached, boundary) = (body.names("attached", MOST), body.text("boundary"));
        body.check()?;
        let Some(trust) = trust else { return Err(Problem::invalid("trust", "is missing")) };
        let before = before.map(|role| (role.created, role.inline, role.accessed));
        let (created, inline, accessed) = before.unwrap_or_else(|| (now(), BTreeMap::new(), BTreeMap::new()));
        Ok(Self { created, trust, inline, attached, boundary, longest_session, accessed })
    }
}
