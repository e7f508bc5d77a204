//! Access keys of a user: at most two, so that one can follow the other.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use headworks_iam::directory::User;
use headworks_iam::key::{AccessKey, KeyStatus};
use headworks_iam::seal::Sealer;
use headworks_iam::{Directory, time};
use serde_json::{Value, json};

use super::super::{Route, route, schema};
use super::body::Body;
use super::changed::{changed, done};
use super::identity::{find, find_mut};
use crate::call::{Call, Reply};
use crate::keep::make_key;
use crate::page::{Page, listed_unnamed};
use crate::plane::Plane;
use crate::problem::Problem;

const MOST: usize = 2;

pub(super) fn routes() -> Vec<Route> {
    let of_user = "user/{name}";
    let all = "/v1/iam/users/{name}/access-keys";
    let one = "/v1/iam/users/{name}/access-keys/{key}";
    vec![
        route(Method::GET, all, "ListAccessKeys", of_user, |call| Box::pin(list(call)))
            .about("The access keys of a user, without their secrets.")
            .pages_by_name()
            .answers(200, listed_unnamed("access_keys", &schema("AccessKey"))),
        route(Method::POST, all, "CreateAccessKey", of_user, |call| Box::pin(create(call)))
            .judges()
            .about("Makes an access key. The secret is in this answer and in no other.")
            .may_take(json!({ "type": "object", "additionalProperties": false }))
            .answers(201, schema("NewAccessKey")),
        route(Method::GET, one, "GetAccessKey", of_user, |call| Box::pin(get(call)))
            .about("One access key, without its secret.")
            .answers(200, schema("AccessKey")),
        route(Method::PATCH, one, "UpdateAccessKey", of_user, |call| Box::pin(update(call)))
            .judges()
            .about("Makes a key active or inactive.")
            .takes(json!({
                "type": "object",
                "properties": { "status": { "enum": ["active", "inactive"] } },
                "required": ["status"],
                "additionalProperties": false,
            }))
            .answers(200, schema("AccessKey")),
        route(Method::DELETE, one, "DeleteAccessKey", of_user, |call| Box::pin(delete(call)))
            .judges()
            .about("Deletes a key.")
            .answers_nothing(204),
    ]
}

pub(super) fn key_json(plane: &Plane, key: &AccessKey) -> Value {
    let last_used = plane
        .uses
        .of_key(key)
        .map(|used| json!({ "at": time::iso(used.at), "action": used.action, "source": used.source }));
    let mut shown = lasting(key);
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("last_used".to_owned(), json!(last_used));
    }
    shown
}

/// What of a key tells whether it has changed: that somebody uses it does not.
fn lasting(key: &AccessKey) -> Value {
    json!({ "access_key_id": key.id, "status": key.status, "created": time::iso(key.created) })
}

fn all_lasting(user: &User) -> Value {
    user.keys.iter().map(lasting).collect()
}

async fn list(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name");
    let directory = call.plane.directory();
    let user = find::<User>(&directory, name)?;
    let keys: BTreeMap<&String, &AccessKey> = user.keys.iter().map(|key| (&key.id, key)).collect();
    let found = Page::of(&call)?.take(keys, |_, key| key_json(&call.plane, key));
    call.represented(&call.plane.tag(&all_lasting(user)), || Reply::ok(&found.unnamed("access_keys")))
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let (user, id) = (find::<User>(&directory, call.param("name"))?, call.param("key"));
    let key = user.keys.iter().find(|key| key.id == id).ok_or_else(|| no_key(id))?;
    call.represented(&call.plane.tag(&lasting(key)), || Reply::ok(&key_json(&call.plane, key)))
}

async fn create(call: Call) -> Result<Reply, Problem> {
    Body::of(call.json_or_empty()?, &[])?.check()?;
    let name = call.param("name").to_owned();
    let knows = call.knows(format!("what user {name:?} has of access keys"));
    let make = move |directory: &mut Directory, sealer: &Sealer| {
        let user = find_mut::<User>(directory, &name)?;
        knows(Some(&all_lasting(user)))?;
        if user.keys.len() >= MOST {
            return Err(Problem::limit(format!(
                "user {name:?} has {MOST} access keys, which is as many as it may have"
            )));
        }
        let (key, secret) = make_key(sealer).map_err(Problem::unavailable)?;
        let answer = json!({
            "user": name,
            "access_key_id": secret.id,
            "secret_access_key": secret.secret,
            "status": key.status,
            "created": time::iso(key.created),
        });
        user.keys.push(key);
        Ok((answer, vec![("user", name)]))
    };
    changed(&call, StatusCode::CREATED, make, |made| Reply::json(StatusCode::CREATED, &made)).await
}

fn no_key(key: &str) -> Problem {
    Problem::not_found(format_args!("access key {key:?}"))
}

async fn update(call: Call) -> Result<Reply, Problem> {
    let mut body = Body::of(call.json()?, &["status"])?;
    let status = match body.required_text("status").as_str() {
        "active" => KeyStatus::Active,
        "inactive" => KeyStatus::Inactive,
        _ => {
            body.mistake("status", "is neither active nor inactive");
            KeyStatus::Inactive
        }
    };
    body.check()?;
    let (name, id) = (call.param("name").to_owned(), call.param("key").to_owned());
    let knows = call.knows(format!("access key {id:?}"));
    let update = move |directory: &mut Directory, _: &Sealer| {
        let user = find_mut::<User>(directory, &name)?;
        let key = user.keys.iter_mut().find(|key| key.id == id).ok_or_else(|| no_key(&id))?;
        knows(Some(&lasting(key)))?;
        key.status = status;
        Ok((key.clone(), vec![("user", name)]))
    };
    changed(&call, StatusCode::OK, update, |key| {
        Reply::ok(&key_json(&call.plane, &key)).with("etag", &call.plane.tag(&lasting(&key)))
    })
    .await
}

async fn delete(call: Call) -> Result<Reply, Problem> {
    let (name, id) = (call.param("name").to_owned(), call.param("key").to_owned());
    let knows = call.knows(format!("access key {id:?}"));
    done(&call, move |directory, _| {
        let user = find_mut::<User>(directory, &name)?;
        let place = user.keys.iter().position(|key| key.id == id).ok_or_else(|| no_key(&id))?;
        let key = user.keys.remove(place);
        knows(Some(&lasting(&key)))?;
        Ok(vec![("user", name)])
    })
    .await
}
