//! Signing in to the console and out of it, and a user's own password.

use axum::http::{Method, StatusCode};
use headworks_iam::Principal;
use headworks_iam::time;
use headworks_store::{Entry, Outcome};
use serde_json::{Value, json};

use super::iam::Body;
use super::{Door, Route, route, schema};
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::cookie;
use crate::names::hrn;
use crate::plane::{Access, Plane};
use crate::problem::Problem;
use crate::sign_in::{self, Brought, new_hash, set_password};

pub(super) fn routes() -> Vec<Route> {
    let path = "/v1/session";
    let text = json!({ "type": "string" });
    vec![
        route(Method::GET, path, "GetSession", "session", |call| Box::pin(get(call)))
            .behind(Door::SignIn)
            .about("Who has signed in to the console, if anybody has, and whether one must.")
            .answers(200, schema("Session")),
        route(Method::POST, path, "SignIn", "session", |call| Box::pin(begin(call)))
            .behind(Door::SignIn)
            .about(
                "Signs a user in: the session is in a cookie. Calls by cookie that change something need the field \
                 X-Headworks-Request.",
            )
            .takes(json!({
                "type": "object",
                "properties": { "user": text, "password": text, "code": text, "new_password": text },
                "required": ["user", "password"],
                "additionalProperties": false,
            }))
            .answers(200, schema("Session")),
        route(Method::DELETE, path, "SignOut", "session", |call| Box::pin(end(call)))
            .behind(Door::SignIn)
            .about("Signs out: the session has ended.")
            .answers_nothing(204),
        route(Method::POST, "/v1/session/password", "ChangePassword", "session", |call| {
            Box::pin(change_password(call))
        })
        .behind(Door::Known)
        .about("Gives the user who asks another password. Its other sessions end.")
        .takes(json!({
            "type": "object",
            "properties": { "password": text, "new_password": text },
            "required": ["password", "new_password"],
            "additionalProperties": false,
        }))
        .answers_nothing(204),
    ]
}

fn session_json(plane: &Plane, name: Option<&str>, expires: Option<u64>) -> Value {
    let auth = match plane.access {
        Access::Open => "none",
        Access::Required => "required",
    };
    let directory = plane.directory();
    let user = name.and_then(|name| directory.users.get(name));
    json!({
        "auth": auth,
        "initialised": plane.is_initialised(),
        "user": name,
        "principal": name.map(|name| hrn(&format!("user/{name}"))),
        "mfa": user.is_some_and(|user| user.mfa.active.is_some()),
        "expires": expires.map(time::iso),
        "version": env!("CARGO_PKG_VERSION"),
    })
}

async fn get(call: Call) -> Result<Reply, Problem> {
    let session = call.plane.session(&call.fields).ok().filter(|_| call.plane.access == Access::Required);
    let (name, expires) = session.map(|(name, session)| (name, session.expires)).unzip();
    Ok(Reply::ok(&session_json(&call.plane, name.as_deref(), expires)).noted())
}

async fn begin(call: Call) -> Result<Reply, Problem> {
    if call.plane.access == Access::Open {
        return Err(Problem::conflict("nobody signs in here: the file says admin.auth: none"));
    }
    cookie::check_origin(&Method::POST, &call.fields)?;
    let mut body = Body::of(call.json()?, &["user", "password", "code", "new_password"])?;
    let brought = Brought {
        name: body.required_text("user"),
        password: body.required_text("password"),
        code: body.text("code").map(|code| code.split_whitespace().collect()),
        new_password: body.text("new_password"),
    };
    body.check()?;
    let name = brought.name.clone();
    match sign_in::sign_in(&call.plane, brought, call.entry.clone()).await {
        Ok((token, session)) => {
            let answer = session_json(&call.plane, Some(&name), Some(session.expires));
            Ok(Reply::ok(&answer).with("set-cookie", &cookie::begin(&token, &call.fields)).noted())
        }
        Err(problem) => {
            note_refusal(&call.plane, call.entry.clone(), &name, &problem).await;
            Ok(Reply::of(problem.answer(&call.entry.request_id)).noted())
        }
    }
}

/// Writes down that somebody did not get in, with what comes next: whoever guesses is not to order writes to the disk.
async fn note_refusal(plane: &Plane, mut entry: Entry, name: &str, problem: &Problem) {
    // names that cannot be are not kept, whatever somebody has typed there
    if headworks_iam::directory::check_name(name).is_ok() {
        entry.resource = hrn(&format!("user/{name}"));
    }
    (entry.outcome, entry.status) = (Outcome::Denied, problem.status().as_u16());
    entry.why = Some(problem.detail().to_owned());
    if !plane.strangers.may_be_noted(&mut entry, now()) {
        return;
    }
    let noted = plane.blocking(move |kept| {
        kept.store.note_later(entry);
        Ok(())
    });
    if let Err(problem) = noted.await {
        tracing::error!(error = problem.detail(), "an attempt to sign in is missing from the audit trail");
    }
}

async fn end(call: Call) -> Result<Reply, Problem> {
    cookie::check_origin(&Method::DELETE, &call.fields)?;
    let signed_out = || Reply::nothing().with("set-cookie", &cookie::end()).noted();
    let (Some(token), Ok((name, _))) = (cookie::token(&call.fields), call.plane.session(&call.fields)) else {
        return Ok(signed_out());
    };
    let mut entry = call.entry.clone();
    (entry.principal, entry.resource) = (hrn(&format!("user/{name}")), hrn(&format!("user/{name}")));
    entry.status = StatusCode::NO_CONTENT.as_u16();
    let ended = call.plane.identities(entry, move |directory, _| {
        let name = sign_in::end(directory, &token);
        Ok(((), name.map(|name| ("user", name)).into_iter().collect()))
    });
    ended.await?;
    Ok(signed_out())
}

async fn change_password(call: Call) -> Result<Reply, Problem> {
    let mut body = Body::of(call.json()?, &["password", "new_password"])?;
    let (old, new) = (body.required_text("password"), body.required_text("new_password"));
    body.check()?;
    let Principal::User(name) = call.asker.principal.clone() else {
        return Err(Problem::conflict(format!("{} is no user, and has no password", call.asker.principal)));
    };
    let (plane, source) = (&call.plane, call.entry.source.as_str());
    let _admitted = plane.guesses.admit(&name, source, now())?;
    let login = plane.directory().users.get(&name).and_then(|user| user.login.clone());
    let Some(login) = login else { return Err(Problem::conflict(format!("user {name:?} has no password"))) };
    if !plane.guesses.is_password(old, Some(login.hash.clone())).await? {
        plane.guesses.wrong(&name, source, now());
        return Err(Problem::invalid("password", "is not the password"));
    }
    let hash = new_hash(plane, &name, Some(&login), new, "new_password").await?;
    let mut entry = call.entry.clone();
    (entry.resource, entry.status) = (hrn(&format!("user/{name}")), StatusCode::NO_CONTENT.as_u16());
    let own = cookie::token(&call.fields);
    let changed = plane.identities(entry, move |directory, _| {
        let user = directory.users.get_mut(&name).filter(|user| user.login.as_ref() == Some(&login));
        let user = user.ok_or_else(|| Problem::conflict("the password has been changed in the meantime"))?;
        set_password(user, hash, false, own.as_deref());
        Ok(((), vec![("user", name)]))
    });
    changed.await?;
    Ok(Reply::nothing().noted())
}
