//! What users, groups and roles have in common: by name they are listed, read, put and deleted, each with a tag of what it is.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use headworks_iam::seal::Sealer;
use headworks_iam::{Directory, Mistake};
use serde_json::Value;

use super::body::{Body, checked};
use super::changed::{changed, done};
use crate::call::{Call, Reply};
use crate::names::{action, hrn};
use crate::page::Page;
use crate::plane::Plane;
use crate::problem::Problem;

/// Groups and managed policies of one identity.
pub(super) const MOST: usize = 10;

/// One kind of identity.
pub(super) trait Identity: Clone + Send + 'static {
    /// What one is called.
    const WORD: &'static str;
    /// The same in the names of actions.
    const NOUN: &'static str;
    /// The keys of a body that says what one is.
    const KEYS: &'static [&'static str];

    fn all(directory: &Directory) -> &BTreeMap<String, Self>;

    fn all_mut(directory: &mut Directory) -> &mut BTreeMap<String, Self>;

    /// As it is shown.
    fn shown(&self, name: &str, directory: &Directory, plane: &Plane) -> Value;

    /// What of that tells whether it has changed.
    fn tagged(shown: Value) -> Value {
        shown
    }

    /// What it is after a body was put in place of `before`; whether what it names is there is not looked at.
    fn read(body: Body, before: Option<Self>) -> Result<Self, Problem>;

    /// What it has been given.
    fn grants(&self) -> Grants<'_>;

    /// The identities because of which it cannot be deleted, as `user/alice`.
    fn holders(_name: &str, _directory: &Directory) -> Vec<String> {
        Vec::new()
    }
}

/// What an identity has been given: who gives it is asked for each of it, beside the identity's own settings. Or else whoever may
/// put a user may give it, or itself, anything, whatever else is denied.
#[derive(Default)]
pub(super) struct Grants<'a> {
    pub(super) groups: Option<&'a BTreeSet<String>>,
    pub(super) attached: Option<&'a BTreeSet<String>>,
    pub(super) boundary: Option<&'a str>,
}

impl Grants<'_> {
    /// Asks for each difference to what it had: an action, and what it is on.
    fn each_new(
        &self,
        had: &Grants<'_>,
        noun: &str,
        whose: &str,
        ask: impl Fn(&str, &str) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let none = BTreeSet::new();
        let (now, then) = (self.groups.unwrap_or(&none), had.groups.unwrap_or(&none));
        now.difference(then).try_for_each(|group| ask("AddUserToGroup", &format!("group/{group}")))?;
        then.difference(now).try_for_each(|group| ask("RemoveUserFromGroup", &format!("group/{group}")))?;
        let (now, then) = (self.attached.unwrap_or(&none), had.attached.unwrap_or(&none));
        let of = |policy: &String| format!("policy/{policy}");
        now.difference(then).try_for_each(|policy| ask(&format!("Attach{noun}Policy"), &of(policy)))?;
        then.difference(now).try_for_each(|policy| ask(&format!("Detach{noun}Policy"), &of(policy)))?;
        let verb = match self.boundary {
            now if now == had.boundary => return Ok(()),
            Some(_) => "Put",
            None => "Delete",
        };
        ask(&format!("{verb}{noun}PermissionsBoundary"), whose)
    }

    fn are_there(&self, directory: &Directory) -> Result<(), Problem> {
        let missing = |path: &'static str, what: &'static str, name: &str| Mistake {
            path: path.to_owned(),
            what: format!("there is no {what} {name:?}"),
        };
        let is_policy = |name: &&String| directory.policies.contains_key(*name);
        let groups = self.groups.into_iter().flatten().filter(|name| !directory.groups.contains_key(*name));
        let groups = groups.map(|name| missing("groups", "group", name));
        let attached = self.attached.into_iter().flatten().filter(|name| !is_policy(name));
        let attached = attached.map(|name| missing("attached", "managed policy", name));
        let boundary = self.boundary.filter(|name| !directory.policies.contains_key(*name));
        let boundary = boundary.map(|name| missing("boundary", "managed policy", name));
        let mistakes: Vec<Mistake> = groups.chain(attached).chain(boundary).collect();
        if mistakes.is_empty() { Ok(()) } else { Err(Problem::of_mistakes(&mistakes)) }
    }
}

pub(super) fn absent<T: Identity>(name: &str) -> Problem {
    Problem::not_found(format_args!("{} {name:?}", T::WORD))
}

/// A user, group or role of a name.
pub(super) fn find<'a, T: Identity>(directory: &'a Directory, name: &str) -> Result<&'a T, Problem> {
    T::all(directory).get(name).ok_or_else(|| absent::<T>(name))
}

/// The same, to be changed.
pub(super) fn find_mut<'a, T: Identity>(directory: &'a mut Directory, name: &str) -> Result<&'a mut T, Problem> {
    T::all_mut(directory).get_mut(name).ok_or_else(|| absent::<T>(name))
}

pub(super) async fn list<T: Identity>(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let unseen = call.asker.denied(&call.plane, &action(&format!("Get{}", T::NOUN)));
    let is_seen = |(name, _): &(&String, &T)| !unseen.has(&hrn(&format!("{}/{name}", T::WORD)));
    let seen = T::all(&directory).iter().filter(is_seen);
    let found = Page::of(&call)?.take(seen, |name, one| one.shown(name, &directory, &call.plane));
    Ok(Reply::ok(&found.answer(&format!("{}s", T::WORD))))
}

pub(super) async fn get<T: Identity>(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    let shown = find::<T>(&directory, name)?.shown(name, &directory, &call.plane);
    let tag = tag::<T>(&call.plane, shown.clone());
    call.represented(&tag, || Reply::ok(&shown))
}

fn tag<T: Identity>(plane: &Plane, shown: Value) -> String {
    plane.tag(&T::tagged(shown))
}

/// Whether one is what the caller knew. To be asked while nobody else changes it.
pub(super) fn known<T: Identity>(call: &Call) -> impl Fn(&str, &Directory) -> Result<(), Problem> + Send + 'static {
    let (plane, condition) = (call.plane.clone(), call.condition());
    move |name, directory| {
        let shown = T::all(directory).get(name).map(|one| one.shown(name, directory, &plane));
        let called = format!("{} {name:?}", T::WORD);
        condition.check(shown.as_ref(), &called, &|shown| tag::<T>(&plane, shown.clone()))
    }
}

pub(super) async fn put<T: Identity>(call: Call) -> Result<Reply, Problem> {
    let name = checked(call.param("name"))?;
    let body = Body::of(call.json_or_empty()?, T::KEYS)?;
    let is_new = !T::all(&call.plane.directory()).contains_key(&name);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let (known, plane, asker) = (known::<T>(&call), call.plane.clone(), call.asker.clone());
    let put = move |directory: &mut Directory, _: &Sealer| {
        known(&name, directory)?;
        let before = T::all(directory).get(&name);
        let one = T::read(body, before.cloned())?;
        let had = before.map(T::grants).unwrap_or_default();
        let ask = |name: &str, resource: &str| asker.may(&plane, &action(name), &hrn(resource));
        // in this order: whoever may not give something does not learn whether it is there
        one.grants().each_new(&had, T::NOUN, &format!("{}/{name}", T::WORD), ask)?;
        one.grants().are_there(directory)?;
        T::all_mut(directory).insert(name.clone(), one.clone());
        Ok((one.shown(&name, directory, &plane), vec![(T::WORD, name)]))
    };
    let is_known = call.asker.knows_identity(&call.plane, &format!("{}/{}", T::WORD, call.param("name")));
    let reply = |shown: Value| {
        // it says more than what was put
        let reply = if is_known { Reply::json(status, &shown) } else { Reply::empty(status) };
        reply.with("etag", &tag::<T>(&call.plane, shown))
    };
    changed(&call, status, put, reply).await
}

pub(super) async fn delete<T: Identity>(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let (known, may_go) = (known::<T>(&call), may_go(&call));
    done(&call, move |directory, _| {
        known(&name, directory)?;
        may_go(&format!("{} {name:?}", T::WORD), T::holders(&name, directory))?;
        T::all_mut(directory).remove(&name).ok_or_else(|| absent::<T>(&name))?;
        Ok(vec![(T::WORD, name)])
    })
    .await
}

/// Whether something may be deleted that these hold, of which those are named that the caller knows.
pub(super) fn may_go(call: &Call) -> impl Fn(&str, Vec<String>) -> Result<(), Problem> + Send + 'static {
    let (plane, asker) = (call.plane.clone(), call.asker.clone());
    move |what, holders| {
        let count = holders.len();
        let known: Vec<String> = holders.into_iter().filter(|holder| asker.knows_identity(&plane, holder)).collect();
        if count == 0 { Ok(()) } else { Err(Problem::in_use(what, &known, count - known.len())) }
    }
}
