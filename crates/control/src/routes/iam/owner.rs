//! Policies of an identity's own: of users, groups and roles, all in one way.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use headworks_iam::directory::{Group, Role, User};
use headworks_iam::document::Attached;
use headworks_iam::seal::Sealer;
use headworks_iam::{Directory, Document};
use serde_json::Value;

use super::super::{Route, route, schema};
use super::body::{checked, document};
use super::changed::{changed, done};
use super::identity::{Identity, find, find_mut};
use crate::call::{Call, Reply};
use crate::page::{Page, listed};
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
                .pages_by_name()
                .answers(200, listed("policies", &schema("PolicyDocument"))),
            route(Method::GET, path, $get, resource, |call| Box::pin(get(call, $owner)))
                .about(concat!("One policy of a ", $one, "."))
                .answers(200, schema("PolicyDocument")),
            route(Method::PUT, path, $put, resource, |call| Box::pin(put(call, $owner)))
                .judges()
                .about(concat!("Creates or replaces a policy of a ", $one, "."))
                .takes(schema("PolicyDocument"))
                .answers(200, schema("PolicyDocument"))
                .answers(201, schema("PolicyDocument")),
            route(Method::DELETE, path, $delete, resource, |call| Box::pin(delete(call, $owner)))
                .judges()
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
            Self::User => User::WORD,
            Self::Group => Group::WORD,
            Self::Role => Role::WORD,
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
        Ok(match self {
            Self::User => &find::<User>(directory, name)?.inline,
            Self::Group => &find::<Group>(directory, name)?.inline,
            Self::Role => &find::<Role>(directory, name)?.inline,
        })
    }

    fn policies_mut<'a>(
        self,
        directory: &'a mut Directory,
        name: &str,
    ) -> Result<&'a mut BTreeMap<String, Document>, Problem> {
        Ok(match self {
            Self::User => &mut find_mut::<User>(directory, name)?.inline,
            Self::Group => &mut find_mut::<Group>(directory, name)?.inline,
            Self::Role => &mut find_mut::<Role>(directory, name)?.inline,
        })
    }
}

/// Whether a document is what the caller knew. To be asked while nobody else changes it.
pub(super) fn known(call: &Call) -> impl Fn(Option<&Document>) -> Result<(), Problem> + Send + 'static {
    let knows = call.knows("the policy".to_owned());
    move |found| knows(found.map(Document::json))
}

fn no_policy(policy: &str) -> Problem {
    Problem::not_found(format_args!("policy {policy:?}"))
}

async fn list(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let policies = owner.policies(&directory, call.param("name"))?;
    let found = Page::of(&call)?.take(policies, |_, document| document.json().clone());
    Ok(Reply::ok(&found.answer("policies")))
}

async fn get(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let policy = call.param("policy");
    let document = owner.policies(&directory, call.param("name"))?.get(policy).ok_or_else(|| no_policy(policy))?;
    call.represented(&call.plane.tag(document.json()), || Reply::ok(document.json()))
}

async fn put(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let policy = checked(call.param("policy"))?;
    let name = call.param("name").to_owned();
    let directory = call.plane.directory();
    let is_new = !owner.policies(&directory, &name)?.contains_key(&policy);
    let document = document(&call.json()?, Attached::Identity).map_err(|mistakes| Problem::of_mistakes(&mistakes))?;
    let known = known(&call);
    let put = move |directory: &mut Directory, _: &Sealer| {
        let policies = owner.policies_mut(directory, &name)?;
        known(policies.get(&policy))?;
        let answer = document.json().clone();
        policies.insert(policy, document);
        let size: usize = policies.values().map(Document::size).sum();
        if size > owner.quota() {
            let what = format!("the policies of a {} may have {} characters in all", owner.word(), owner.quota());
            return Err(Problem::limit(format!("{what}, and these would have {size}")));
        }
        Ok((answer, vec![(owner.word(), name)]))
    };
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let reply = |answer: Value| Reply::json(status, &answer).with("etag", &call.plane.tag(&answer));
    changed(&call, status, put, reply).await
}

async fn delete(call: Call, owner: Owner) -> Result<Reply, Problem> {
    let (name, policy) = (call.param("name").to_owned(), call.param("policy").to_owned());
    let known = known(&call);
    done(&call, move |directory, _| {
        let policies = owner.policies_mut(directory, &name)?;
        known(policies.get(&policy))?;
        policies.remove(&policy).ok_or_else(|| no_policy(&policy))?;
        Ok(vec![(owner.word(), name)])
    })
    .await
}
