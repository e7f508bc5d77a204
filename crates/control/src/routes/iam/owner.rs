//! Policies of an identity's own: of users, groups and roles, all in one way.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use headworks_iam::document::Attached;
use headworks_iam::{Directory, Document};
use serde_json::{Map, Value, json};

use super::super::{Route, route, schema};
use super::body::{checked, document};
use crate::call::{Call, Reply};
use crate::problem::Problem;

/// Whose policies.
#[derive(Clone, Copy)]
enum Owner {
    User,
    Group,
    Role,
}

/// The routes of one kind of owner: the kind is in their handlers, because a route's handler is a plain function.
macro_rules! of_owner {
    ($owner:expr, $plural:literal, $one:literal, [$list:literal, $get:literal, $put:literal, $delete:literal]) => {{
        let resource = concat!($one, "/{name}");
        let all = concat!("/v1/iam/", $plural, "/{name}/policies");
        let path = concat!("/v1/iam/", $plural, "/{name}/policies/{policy}");
        vec![
            route(Method::GET, all, $list, resource, |call| Box::pin(list(call, $owner)))
                .about(concat!("The policies of a ", $one, "'s own, by name."))
                .answers(200, json!({ "type": "object" })),
            route(Method::GET, path, $get, resource, |call| Box::pin(get(call, $owner)))
                .about(concat!("One policy of a ", $one, "."))
                .answers(200, schema("PolicyDocument")),
            route(Method::PUT, path, $put, resource, |call| Box::pin(put(call, $owner)))
                .about(concat!("Creates or replaces a policy of a ", $one, "."))
                .takes(schema("PolicyDocument"))
                .answers(200, schema("PolicyDocument"))
                .answers(201, schema("PolicyDocument")),
            route(Method::DELETE, path, $delete, resource, |call| Box::pin(delete(call, $owner)))
                .about(concat!("Deletes a policy of a ", $one, "."))
                .answers_nothing(204),
        ]
    }};
}

pub(super) fn routes() -> Vec<Route> {
    [
        of_owner!(
            Owner::User,
            "users",
            "user",
            ["ListUserPolicies", "GetUserPolicy", "PutUserPolicy", "DeleteUserPolicy"]
        ),
        of_owner!(
            Owner::Group,
            "groups",
            "group",
            ["ListGroupPolicies", "GetGroupPolicy", "PutGroupPolicy", "DeleteGroupPolicy"]
        ),
        of_owner!(
            Owner::Role,
            "roles",
            "role",
            ["ListRolePolicies", "GetRolePolicy", "PutRolePolicy", "DeleteRolePolicy"]
        ),
    ]
    .concat()
}

impl Owner {
    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    /// How much all policies of one may take, in characters.
    fn quota(self) -> usize {
        match self {
            Self::User => 2048,
            Self::Group => 5120,
            Self::Role => 10_240,
        }
    }

    fn policies<'a>(self, directory: &'a Directory, name: &str) -> Result<&'a BTreeMap<String, Document>, Problem> {
        let found = match self {
            Self::User => directory.users.get(name).map(|user| &user.inline),
            Self::Group => directory.groups.get(name).map(|group| &group.inline),
            Self::Role => directory.roles.get(name).map(|role| &role.inline),
        };
        found.ok_or_else(|| self.absent(name))
    }

    fn policies_mut<'a>(
        self,
        directory: &'a mut Directory,
        name: &str,
    ) -> Result<&'a mut BTreeMap<String, Document>, Problem> {
        let found = match self {
            Self::User => directory.users.get_mut(name).map(|user| &mut user.inline),
            Self::Group => directory.groups.get_mut(name).map(|group| &mut group.inline),
            Self::Role => directory.roles.get_mut(name).map(|role| &mut role.inline),
        };
        found.ok_or_else(|| self.absent(name))
    }

    fn absent(self, name: &str) -> Problem {
        Problem::not_found(format_args!("{} {name:?}", self.word()))
    }
}

/// An answer with the tag of a document.
pub(super) fn tagged(call: &Call, reply: Reply, document: &Document) -> Reply {
    let tag = call.plane.tag(document.json());
    reply.with("etag", &tag)
}

/// Whether a document is what the caller knew.
pub(super) fn is_known(call: &Call, found: Option<&Document>) -> Result<(), Problem> {
    let found = found.map(Document::json);
    call.condition().check(found, "the policy", &|document| call.plane.tag(document))
}

fn no_policy(policy: &str) -> Problem {
    Problem::not_found(format_args!("policy {policy:?}"))
}

async fn list(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let policies: Map<String, Value> = owner
        .policies(&directory, call.param("name"))?
        .iter()
        .map(|(name, document)| (name.clone(), document.json().clone()))
        .collect();
    Ok(Reply::ok(&json!({ "policies": policies })))
}

async fn get(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let policy = call.param("policy");
    let document = owner.policies(&directory, call.param("name"))?.get(policy).ok_or_else(|| no_policy(policy))?;
    Ok(tagged(&call, Reply::ok(document.json()), document))
}

async fn put(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let policy = checked(call.param("policy"))?;
    let name = call.param("name").to_owned();
    let directory = call.plane.directory();
    let before = owner.policies(&directory, &name)?.get(&policy);
    is_known(&call, before)?;
    let is_new = before.is_none();
    let document = document(&call.json()?, Attached::Identity).map_err(|mistakes| Problem::of_mistakes(&mistakes))?;
    let answer = document.json().clone();
    let mut entry = call.entry.clone();
    entry.status = if is_new { 201 } else { 200 };
    entry.changes = vec![format!("policy {policy}")];
    call.plane
        .identities(entry, move |directory, _| {
            let policies = owner.policies_mut(directory, &name)?;
            policies.insert(policy, document);
            let size: usize = policies.values().map(Document::size).sum();
            if size > owner.quota() {
                let what = format!("the policies of a {} may have {} characters in all", owner.word(), owner.quota());
                return Err(Problem::limit(format!("{what}, and these would have {size}")));
            }
            Ok(((), vec![(owner.word(), name)]))
        })
        .await?;
    Ok(Reply::json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &answer).noted())
}

async fn delete(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let (name, policy) = (call.param("name").to_owned(), call.param("policy").to_owned());
    let mut entry = call.entry.clone();
    entry.status = 204;
    entry.changes = vec![format!("policy {policy}")];
    is_known(&call, owner.policies(&call.plane.directory(), &name)?.get(&policy))?;
    call.plane
        .identities(entry, move |directory, _| {
            owner.policies_mut(directory, &name)?.remove(&policy).ok_or_else(|| no_policy(&policy))?;
            Ok(((), vec![(owner.word(), name)]))
        })
        .await?;
    Ok(Reply::nothing().noted())
}
