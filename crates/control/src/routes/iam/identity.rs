//! What users, groups and roles have in common: by name they are listed, read, put and deleted, each with a tag of what it is.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use headworks_iam::Directory;
use headworks_iam::seal::Sealer;
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

    /// What it is after a body was put in place of `before`.
    fn read(body: Body, directory: &Directory, before: Option<Self>) -> Result<Self, Problem>;

    /// What it has been given.
    fn grants(&self) -> Grants<'_>;

    /// Whether it may be deleted.
    fn may_go(_name: &str, _directory: &Directory) -> Result<(), Problem> {
        Ok(())
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
    let found = Page::of(&call)?.take(T::all(&directory), |name, one| one.shown(name, &directory, &call.plane));
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
        let one = T::read(body, directory, before.cloned())?;
        let had = before.map(T::grants).unwrap_or_default();
        let ask = |name: &str, resource: &str| asker.may(&plane, &action(name), &hrn(resource));
        one.grants().each_new(&had, T::NOUN, &format!("{}/{name}", T::WORD), ask)?;
        T::all_mut(directory).insert(name.clone(), one.clone());
        Ok((one.shown(&name, directory, &plane), vec![(T::WORD, name)]))
    };
    let reply = |shown: Value| Reply::json(status, &shown).with("etag", &tag::<T>(&call.plane, shown.clone()));
    changed(&call, status, put, reply).await
}

pub(super) async fn delete<T: Identity>(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let known = known::<T>(&call);
    done(&call, move |directory, _| {
        known(&name, directory)?;
        T::may_go(&name, directory)?;
        T::all_mut(directory).remove(&name).ok_or_else(|| absent::<T>(&name))?;
        Ok(vec![(T::WORD, name)])
    })
    .await
}

/// The managed policies that a body names.
pub(super) fn attached(body: &mut Body, directory: &Directory) -> BTreeSet<String> {
    body.names("attached", "managed policy", MOST, |name| directory.policies.contains_key(name))
}

/// The managed policy that a body names as what is never gone beyond.
pub(super) fn boundary(body: &mut Body, directory: &Directory) -> Option<String> {
    let boundary = body.text("boundary");
    if let Some(boundary) = boundary.as_ref().filter(|boundary| !directory.policies.contains_key(*boundary)) {
        body.mistake("boundary", format!("there is no managed policy {boundary:?}"));
    }
    boundary
}
