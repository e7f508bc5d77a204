//! Users.

use std::collections::BTreeMap;

use axum::http::Method;
use headworks_iam::directory::User;
use headworks_iam::{Directory, time};
use serde_json::{Value, json};

use super::super::{Route, route, schema};
use super::body::Body;
use super::identity::{Grants, Identity, MOST, delete, get, list, put};
use super::keys::key_json;
use crate::clock::now;
use crate::names::hrn;
use crate::page::listed;
use crate::plane::Plane;
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let one = "user/{name}";
    let path = "/v1/iam/users/{name}";
    vec![
        route(Method::GET, "/v1/iam/users", "ListUsers", "user/*", |call| Box::pin(list::<User>(call)))
            .about("All users, by name.")
            .pages_by_name()
            .answers(200, listed("users", &schema("User"))),
        route(Method::GET, path, "GetUser", one, |call| Box::pin(get::<User>(call))).about("One user.").answers(200, schema("User")),
        route(Method::PUT, path, "PutUser", one, |call| Box::pin(put::<User>(call)))
            .judges()
            .about("Creates a user, or says anew which groups, managed policies and boundary it has. Its keys and own policies stay.")
            .may_take(schema("UserSettings"))
            .answers(200, schema("User"))
            .answers(201, schema("User")),
        route(Method::DELETE, path, "DeleteUser", one, |call| Box::pin(delete::<User>(call)))
            .judges()
            .about("Deletes a user with its keys and its own policies.")
            .answers_nothing(204),
    ]
}

impl Identity for User {
    const WORD: &'static str = "user";
    const NOUN: &'static str = "User";
    const KEYS: &'static [&'static str] = &["groups", "attached", "boundary"];

    fn all(directory: &Directory) -> &BTreeMap<String, Self> {
        &directory.users
    }

    fn all_mut(directory: &mut Directory) -> &mut BTreeMap<String, Self> {
        &mut directory.users
    }

    fn shown(&self, name: &str, directory: &Directory, plane: &Plane) -> Value {
        json!({
            "name": name,
            "hrn": hrn(&format!("user/{name}")),
            "created": time::iso(self.created),
            "groups": self.groups,
            "attached": self.attached,
            "boundary": self.boundary,
            "policies": self.inline.keys().collect::<Vec<_>>(),
            "console": {
                "password": self.login.is_some(),
                "must_change": self.login.as_ref().is_some_and(|login| login.is_expired(&directory.password_policy, now())),
                "mfa": self.mfa.active.is_some(),
                "locked": plane.guesses.is_locked(name, now()),
            },
            "access_keys": self.keys.iter().map(|key| key_json(plane, key)).collect::<Vec<_>>(),
        })
    }

    /// That somebody uses it, or tries to, does not change it.
    fn tagged(mut shown: Value) -> Value {
        let mut forget = |pointer: &str, key: &str| {
            let entries = shown.pointer_mut(pointer).and_then(Value::as_object_mut);
            entries.and_then(|entries| entries.remove(key)).is_some()
        };
        forget("/console", "locked");
        forget("/console", "must_change");
        let mut index = 0;
        while forget(&format!("/access_keys/{index}"), "last_used") {
            index += 1;
        }
        shown
    }

    fn grants(&self) -> Grants<'_> {
        Grants { groups: Some(&self.groups), attached: Some(&self.attached), boundary: self.boundary.as_deref() }
    }

    fn read(mut body: Body, before: Option<Self>) -> Result<Self, Problem> {
        let mut user = before.unwrap_or_else(|| Self { created: now(), ..Self::default() });
        user.groups = body.names("groups", MOST);
        user.attached = body.names("attached", MOST);
        user.boundary = body.text("boundary");
        body.check().map(|()| user)
    }
}
