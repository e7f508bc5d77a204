//! Groups of users: what is said of a group is said of each of its members.

use std::collections::BTreeMap;

use axum::http::Method;
use headworks_iam::directory::{Group, User};
use headworks_iam::{Directory, time};
use serde_json::{Value, json};

use super::super::{Route, route, schema};
use super::body::Body;
use super::changed::done;
use super::identity::{Grants, Identity, MOST, absent, delete, find, get, known, list, put};
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::hrn;
use crate::page::listed;
use crate::plane::Plane;
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let one = "group/{name}";
    let path = "/v1/iam/groups/{name}";
    let member = "/v1/iam/groups/{name}/members/{user}";
    vec![
        route(Method::GET, "/v1/iam/groups", "ListGroups", "group/*", |call| Box::pin(list::<Group>(call)))
            .about("All groups, by name.")
            .pages_by_name()
            .answers(200, listed("groups", &schema("Group"))),
        route(Method::GET, path, "GetGroup", one, |call| Box::pin(get::<Group>(call)))
            .about("One group.")
            .answers(200, schema("Group")),
        route(Method::PUT, path, "PutGroup", one, |call| Box::pin(put::<Group>(call)))
            .judges()
            .about("Creates a group, or says anew which managed policies it has.")
            .may_take(schema("GroupSettings"))
            .answers(200, schema("Group"))
            .answers(201, schema("Group")),
        route(Method::DELETE, path, "DeleteGroup", one, |call| Box::pin(delete::<Group>(call)))
            .judges()
            .about("Deletes a group that has no members.")
            .answers_nothing(204),
        route(Method::PUT, member, "AddUserToGroup", one, |call| Box::pin(join(call)))
            .judges()
            .about("Takes a user into a group.")
            .answers_nothing(204),
        route(Method::DELETE, member, "RemoveUserFromGroup", one, |call| Box::pin(leave(call)))
            .judges()
            .about("Takes a user out of a group.")
            .answers_nothing(204),
    ]
}

fn members(directory: &Directory, group: &str) -> Vec<String> {
    directory.users.iter().filter(|(_, user)| user.groups.contains(group)).map(|(name, _)| name.clone()).collect()
}

impl Identity for Group {
    const WORD: &'static str = "group";
    const NOUN: &'static str = "Group";
    const KEYS: &'static [&'static str] = &["attached"];

    fn all(directory: &Directory) -> &BTreeMap<String, Self> {
        &directory.groups
    }

    fn all_mut(directory: &mut Directory) -> &mut BTreeMap<String, Self> {
        &mut directory.groups
    }

    fn shown(&self, name: &str, directory: &Directory, _plane: &Plane) -> Value {
        json!({
            "name": name,
            "hrn": hrn(&format!("group/{name}")),
            "created": time::iso(self.created),
            "attached": self.attached,
            "policies": self.inline.keys().collect::<Vec<_>>(),
            "members": members(directory, name),
        })
    }

    fn grants(&self) -> Grants<'_> {
        Grants { attached: Some(&self.attached), ..Grants::default() }
    }

    fn read(mut body: Body, before: Option<Self>) -> Result<Self, Problem> {
        let mut group = before.unwrap_or_else(|| Self { created: now(), ..Self::default() });
        group.attached = body.names("attached", MOST);
        body.check().map(|()| group)
    }

    fn holders(name: &str, directory: &Directory) -> Vec<String> {
        members(directory, name).iter().map(|member| format!("user/{member}")).collect()
    }
}

async fn join(call: Call) -> Result<Reply, Problem> {
    change(
        call,
        |user, group| {
            if user.groups.len() >= MOST && !user.groups.contains(group) {
                return Err(Problem::limit(format!("the user is in {MOST} groups, which is as many as it may be in")));
            }
            user.groups.insert(group.to_owned());
            Ok(())
        },
        absent::<User>,
    )
    .await
}

async fn leave(call: Call) -> Result<Reply, Problem> {
    change(
        call,
        |user, group| {
            let was_in = user.groups.remove(group);
            was_in.then_some(()).ok_or_else(|| no_member(group))
        },
        no_member,
    )
    .await
}

/// Of a user that is there and of one that is not: whoever takes users out of a group need not know of others.
fn no_member(_name: &str) -> Problem {
    Problem::not_found("such member")
}

type Membership = fn(&mut User, &str) -> Result<(), Problem>;

async fn change(call: Call, membership: Membership, absent: fn(&str) -> Problem) -> Result<Reply, Problem> {
    let (group, name) = (call.param("name").to_owned(), call.param("user").to_owned());
    // who its members are is a part of the group, and has its tag
    let known = known::<Group>(&call);
    done(&call, move |directory, _| {
        find::<Group>(directory, &group)?;
        known(&group, directory)?;
        membership(directory.users.get_mut(&name).ok_or_else(|| absent(&name))?, &group)?;
        Ok(vec![("user", name)])
    })
    .await
}
