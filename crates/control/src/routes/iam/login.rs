//! How a user gets into the console: a password, a second factor.

use axum::http::{Method, StatusCode};
use headworks_iam::directory::User;
use headworks_iam::percent::encoded;
use headworks_iam::seal::Sealer;
use headworks_iam::sign_in::{Login, Mfa};
use headworks_iam::{Directory, Principal, sign_in, time, totp};
use serde_json::{Value, json};

use super::super::{Door, Route, route, schema};
use super::body::Body;
use super::changed::{changed, done};
use super::identity::{find, find_mut};
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::names::hrn;
use crate::problem::Problem;
use crate::sign_in::{make_mfa, new_hash, open_mfa, set_password};

/// What authenticator apps show above the codes.
const ISSUER: &str = "Headworks";

pub(super) fn routes() -> Vec<Route> {
    let user = "user/{name}";
    let (password, mfa) = ("/v1/iam/users/{name}/password", "/v1/iam/users/{name}/mfa");
    vec![
        route(Method::GET, password, "GetPassword", user, |call| Box::pin(get_password(call)))
            .about("When a user was given its password for the console, and when it last came by that; never what it is.")
            .answers(200, schema("Password")),
        route(Method::PUT, password, "PutPassword", user, |call| Box::pin(put_password(call)))
            .judges()
            .about("Gives a user a password for the console, or another. Its sessions end; who was locked may try again.")
            .takes(json!({
                "type": "object",
                "properties": { "password": { "type": "string" }, "must_change": { "type": "boolean", "default": true } },
                "required": ["password"],
                "additionalProperties": false,
            }))
            .answers_nothing(204),
        route(Method::DELETE, password, "DeletePassword", user, |call| Box::pin(delete_password(call)))
            .judges()
            .about("Takes a user's access to the console away. Its sessions end.")
            .answers_nothing(204),
        route(Method::GET, mfa, "GetMfaDevice", user, |call| Box::pin(get_mfa(call)))
            .behind(Door::Known)
            .about("Whether a user has a second factor that counts, since when, and whether another waits to be proved. Users may for themselves.")
            .answers(200, schema("MfaDevice")),
        route(Method::POST, mfa, "CreateMfaDevice", user, |call| Box::pin(create_mfa(call)))
            .behind(Door::Known)
            .judges()
            .about("Makes the secret of a second factor, told once. It counts when two codes have proved it. Users may for themselves.")
            .may_take(json!({ "type": "object", "additionalProperties": false }))
            .answers(201, schema("NewMfaDevice")),
        route(Method::PUT, mfa, "EnableMfaDevice", user, |call| Box::pin(enable_mfa(call)))
            .behind(Door::Known)
            .judges()
            .about(
                "Has the second factor count from now on, as two codes in a row prove it. Users may for themselves; who has one \
                 already proves it with a code of that, as `current`.",
            )
            .takes(json!({
                "type": "object",
                "properties": {
                    "codes": { "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 },
                    "current": { "type": "string" },
                },
                "required": ["codes"],
                "additionalProperties": false,
            }))
            .answers_nothing(204),
        route(Method::DELETE, mfa, "DeleteMfaDevice", user, |call| Box::pin(delete_mfa(call)))
            .judges()
            .about("Takes the second factor away, for who has lost it.")
            .answers_nothing(204),
    ]
}

fn no_password(name: &str) -> Problem {
    Problem::not_found(format_args!("password of user {name:?}"))
}

/// What tells whether a password has changed: a tag of it tells nothing of it.
fn of_password(login: &Login) -> Value {
    json!([login.hash, login.changed, login.must_change])
}

/// What tells whether a second factor has changed.
fn of_mfa(mfa: &Mfa) -> Value {
    json!([mfa.active, mfa.pending, mfa.since])
}

async fn get_password(call: Call) -> Result<Reply, Problem> {
    let (name, directory) = (call.param("name"), call.plane.directory());
    let login = find::<User>(&directory, name)?.login.as_ref().ok_or_else(|| no_password(name))?;
    call.represented(&call.plane.tag(&of_password(login)), || {
        let last_used = login.last_used.map(time::iso);
        Reply::ok(&json!({
            "changed": time::iso(login.changed),
            "must_change": login.must_change,
            "last_used": last_used,
        }))
    })
}

async fn get_mfa(call: Call) -> Result<Reply, Problem> {
    let directory = call.plane.directory();
    let name = call.param("name");
    is_own(&call, name, "GetMfaDevice")?;
    let mfa = &find::<User>(&directory, name)?.mfa;
    call.represented(&call.plane.tag(&of_mfa(mfa)), || {
        let since = mfa.since.map(time::iso);
        Reply::ok(&json!({ "active": mfa.active.is_some(), "pending": mfa.pending.is_some(), "since": since }))
    })
}

async fn put_password(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let mut body = Body::of(call.json()?, &["password", "must_change"])?;
    let password = body.required_text("password");
    let must_change = body.flag("must_change").unwrap_or(true);
    body.check()?;
    let directory = call.plane.directory();
    let login = find::<User>(&directory, &name)?.login.clone();
    // the same again lets in who was locked out, unless the policy is against it
    let login = login.filter(|_| directory.password_policy.reuse_prevention > 0);
    let hash = new_hash(&call.plane, &name, login.as_ref(), password, "password").await?;
    let of = name.clone();
    let knows = call.knows(format!("the password of user {name:?}"));
    let put = move |directory: &mut Directory, _: &Sealer| {
        let user = find_mut::<User>(directory, &of)?;
        knows(user.login.as_ref().map(of_password).as_ref())?;
        set_password(user, hash, must_change, None);
        Ok(((), vec![("user", of)]))
    };
    let reply = |()| {
        call.plane.guesses.forgive(&name);
        Reply::nothing()
    };
    changed(&call, StatusCode::NO_CONTENT, put, reply).await
}

async fn delete_password(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let knows = call.knows(format!("the password of user {name:?}"));
    done(&call, move |directory, _| {
        let user = find_mut::<User>(directory, &name)?;
        knows(user.login.as_ref().map(of_password).as_ref())?;
        user.login.take().ok_or_else(|| no_password(&name))?;
        user.sessions.clear();
        Ok(vec![("user", name)])
    })
    .await
}

/// Whether the caller asks for itself; else it must be allowed to.
fn is_own(call: &Call, name: &str, action: &str) -> Result<bool, Problem> {
    let is_own = call.asker.principal == Principal::User(name.to_owned());
    if !is_own {
        call.may(action, &hrn(&format!("user/{name}")))?;
    }
    Ok(is_own)
}

async fn create_mfa(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    is_own(&call, &name, "CreateMfaDevice")?;
    Body::of(call.json_or_empty()?, &[])?.check()?;
    let of = name.clone();
    let knows = call.knows(format!("the second factor of user {name:?}"));
    let make = move |directory: &mut Directory, sealer: &Sealer| {
        let user = find_mut::<User>(directory, &of)?;
        knows(Some(&of_mfa(&user.mfa)))?;
        let (kept, secret) = make_mfa(sealer, &of)?;
        user.mfa.pending = Some(kept);
        Ok((secret, vec![("user", of)]))
    };
    let reply = |secret: String| {
        let uri = format!("otpauth://totp/{ISSUER}:{}?secret={secret}&issuer={ISSUER}", encoded(&name));
        Reply::json(StatusCode::CREATED, &json!({ "secret": secret, "uri": uri }))
    };
    changed(&call, StatusCode::CREATED, make, reply).await
}

async fn enable_mfa(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let is_own = is_own(&call, &name, "EnableMfaDevice")?;
    let mut body = Body::of(call.json()?, &["codes", "current"])?;
    let codes = body.texts("codes");
    if codes.len() != 2 {
        body.mistake("codes", "expected two codes, one after the other");
    }
    let current = body.text("current");
    body.check()?;
    let source = call.entry.source.clone();
    let _admitted = call.plane.guesses.admit(&name, &source, now())?;
    let of = name.clone();
    let knows = call.knows(format!("the second factor of user {name:?}"));
    let enabled = done(&call, move |directory, sealer| {
        let user = find_mut::<User>(directory, &of)?;
        knows(Some(&of_mfa(&user.mfa)))?;
        let pending = user.mfa.pending.as_ref().ok_or_else(|| {
            Problem::conflict(format!("user {of:?} has no second factor that waits to be proved: POST makes one"))
        })?;
        if let Some(active) = user.mfa.active.as_ref().filter(|_| is_own) {
            let secret = open_mfa(sealer, &of, active)?;
            let step = totp::step_of(&secret, current.as_deref().unwrap_or_default(), now(), user.mfa.used);
            step.ok_or_else(|| Problem::invalid("current", "is no code of the second factor that counts now"))?;
        }
        let secret = open_mfa(sealer, &of, pending)?;
        let pair = [codes.first().map_or("", String::as_str), codes.last().map_or("", String::as_str)];
        let used = sign_in::proved(&secret, pair, now())
            .ok_or_else(|| Problem::invalid("codes", "are not two codes, one after the other, of the last minute"))?;
        user.mfa.active = user.mfa.pending.take();
        (user.mfa.used, user.mfa.since) = (used, Some(now()));
        Ok(vec![("user", of)])
    });
    let enabled = enabled.await;
    match &enabled {
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => call.plane.guesses.wrong(&name, &source, now()),
        _ => {}
    }
    enabled
}

async fn delete_mfa(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let knows = call.knows(format!("the second factor of user {name:?}"));
    done(&call, move |directory, _| {
        let user = find_mut::<User>(directory, &name)?;
        knows(Some(&of_mfa(&user.mfa)))?;
        if user.mfa.active.is_none() && user.mfa.pending.is_none() {
            return Err(Problem::not_found(format_args!("second factor of user {name:?}")));
        }
        user.mfa = Mfa::default();
        Ok(vec![("user", name)])
    })
    .await
}
