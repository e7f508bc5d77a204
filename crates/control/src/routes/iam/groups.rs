//! Groups of users: what is said of a group is said of each of its members.

use axum::http::{Method, StatusCode};
use headworks_iam::directory::Group;
use headworks_iam::{Directory, time};
use serde_json::{Map, Value, json};

use super::super::{Route, route, schema};
use super::body::{Body, checked};
use super::users::{self, MOST};
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::hrn;
use crate::problem::Problem;

pub(super) fn routes() -> Vec<Route> {
    let one = "group/{name}";
    let path = "/v1/iam/groups/{name}";
    let member = "/v1/iam/groups/{name}/members/{user}";
    vec![
        route(Method::GET, "/v1/iam/groups", "ListGroups", "group/*", |call| Box::pin(list(call)))
            .about("All groups, by name.")
            .answers(200, json!({ "type": "object" })),
        route(Method::GET, path, "GetGroup", one, |call| Box::pin(get(call)))
            .about("One group.")
            .answers(200, schema("Group")),
        route(Method::PUT, path, "PutGroup", one, |call| Box::pin(put(call)))
            .about("Creates a group, or says anew which managed policies it has.")
            .may_take(schema("GroupSettings"))
            .answers(200, schema("Group"))
            .answers(201, schema("Group")),
        route(Method::DELETE, path, "DeleteGroup", one, |call| Box::pin(delete(call)))
            .about("Deletes a group that has no members.")
            .answers_nothing(204),
        route(Method::PUT, member, "AddUserToGroup", one, |call| Box::pin(join(call)))
            .about("Takes a user into a group.")
            .answers_nothing(204),
        route(Method::DELETE, member, "RemoveUserFromGroup", one, |call| Box::pin(leave(call)))
            .about("Takes a user out of a group.")
            .answers_nothing(204),
    ]
}

fn absent(name: &str) -> Problem {
    Problem::not_found(format_args!("group {name:?}"))
}

fn members(directory: &Directory, group: &str) -> Vec<String> {
    directory.users.iter().filter(|(_, user)| user.groups.contains(group)).map(|(name, _)| name.clone()).collect()
}

fn group_json(directory: &Directory, name: &str, group: &Group) -> Value {
    json!({
        "name": name,
        "hrn": hrn(&format!("group/{name}")),
        "created": time::iso(group.created),
        "attached": group.attached,
        "policies": group.inline.keys().collect::<Vec<_>>(),
        "members": members(directory, name),
    })
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let groups: Map<String, Value> =
        directory.groups.iter().map(|(name, group)| (name.clone(), group_json(&directory, name, group))).collect();
    Ok(Reply::ok(&json!({ "groups": groups })))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let directory = call.plane.directory();
    let group = directory.groups.get(name).ok_or_else(|| absent(name))?;
    Ok(Reply::ok(&group_json(&directory, name, group)))
}

async fn put(call: Call) -> Result<Reply, Problem> {
    let name = checked(call.param("name"))?;
    let mut body = Body::of(call.json_or_empty()?, &["attached"])?;
    let is_new = !call.plane.directory().groups.contains_key(&name);
    let mut entry = call.entry.clone();
    entry.status = if is_new { 201 } else { 200 };
    let of = name.clone();
    call.plane
        .identities(entry, move |directory, _| {
            let attached =
                body.names("attached", "managed policy", MOST, |policy| directory.policies.contains_key(policy));
            body.check()?;
            let made = || Group { created: now(), ..Group::default() };
            directory.groups.entry(of.clone()).or_insert_with(made).attached = attached;
            Ok(((), vec![("group", of)]))
        })
        .await?;
    let directory = call.plane.directory();
    let group = directory.groups.get(&name).ok_or_else(|| absent(&name))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Reply::json(status, &group_json(&directory, &name, group)).noted())
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let mut entry = call.entry.clone();
    entry.status = 204;
    call.plane
        .identities(entry, move |directory, _| {
            let members = members(directory, &name);
            if !members.is_empty() {
                return Err(Problem::in_use(format_args!("group {name:?}"), &members));
            }
            directory.groups.remove(&name).ok_or_else(|| absent(&name))?;
            Ok(((), vec![("group", name)]))
        })
        .await?;
    Ok(Reply::nothing().noted())
}

async fn join(call: Call) -> Result<Reply, Problem> {
    change(call, |user, group| {
        if user.groups.len() >= MOST && !user.groups.contains(group) {
            return Err(Problem::limit(format!("the user is in {MOST} groups, which is as many as it may be in")));
        }
        user.groups.insert(group.to_owned());
        Ok(())
    })
    .await
}

async fn leave(call: Call) -> Result<Reply, Problem> {
    change(call, |user, group| {
        let was_in = user.groups.remove(group);
        was_in.then_some(()).ok_or_else(|| Problem::not_found("such member"))
    })
    .await
}

type Membership = fn(&mut headworks_iam::directory::User, &str) -> Result<(), Problem>;

async fn change(call: Call, membership: Membership) -> Result<Reply, Problem> {
    let (group, name) = (call.param("name").to_owned(), call.param("user").to_owned());
    let mut entry = call.entry.clone();
    entry.status = 204;
    entry.changes = vec![format!("member {name}")];
    call.plane
        .identities(entry, move |directory, _| {
            directory.groups.get(&group).ok_or_else(|| absent(&group))?;
            let user = directory.users.get_mut(&name).ok_or_else(|| users::absent(&name))?;
            membership(user, &group)?;
            Ok(((), vec![("user", name)]))
        })
        .await?;
    Ok(Reply::nothing().noted())
}
