//! Temporary credentials: of a role, for whom its trust policy allows it, and of a user itself, for who shows a second factor.

use axum::http::{Method, StatusCode};
use headworks_iam::directory::{Role, User, check_name};
use headworks_iam::document::Attached;
use headworks_iam::session::{LONGEST, LONGEST_OF_USER, SHORTEST, Session, USUAL, USUAL_OF_USER, Whose};
use headworks_iam::{Principal, key, time};
use serde_json::json;

use super::super::{Door, Route, route, schema};
use super::body::Body;
use super::identity::find;
use crate::asker::refusal;
use crate::call::{Call, Reply};
use crate::clock::now;
use crate::keyfile::random;
use crate::plane::Access;
use crate::problem::Problem;
use crate::sign_in::prove;
use crate::standing::{Credential, MFA_AGE, MFA_PRESENT, MFA_SINCE};

pub(super) fn routes() -> Vec<Route> {
    let code = json!({ "type": "string", "description": "Of the second factor of the user that asks." });
    vec![
        route(Method::POST, "/v1/iam/roles/{name}/sessions", "AssumeRole", "role/{name}", |call| Box::pin(assume(call)))
            .behind(Door::Known)
            .about("Gives credentials of the role for a while, to whom its trust policy allows it; with a code, of one who has shown a second factor.")
            .takes(json!({
                "type": "object",
                "properties": {
                    "session_name": { "type": "string", "minLength": 1, "maxLength": 64 },
                    "duration_seconds": { "type": "integer", "minimum": SHORTEST, "maximum": LONGEST, "default": USUAL },
                    "policy": schema("PolicyDocument"),
                    "code": code,
                },
                "required": ["session_name"],
                "additionalProperties": false,
            }))
            .answers(201, schema("Credentials")),
        route(Method::POST, "/v1/iam/session-token", "GetSessionToken", "session-token", |call| Box::pin(own(call)))
            .behind(Door::Known)
            .about("Gives a user that signs with its access key credentials of its own for a while; with a code, of one who has shown a second factor.")
            .takes(json!({
                "type": "object",
                "properties": {
                    "duration_seconds": {
                        "type": "integer", "minimum": SHORTEST, "maximum": LONGEST_OF_USER, "default": USUAL_OF_USER,
                    },
                    "code": code,
                },
                "additionalProperties": false,
            }))
            .answers(201, schema("Credentials")),
    ]
}

async fn assume(call: Call) -> Result<Reply, Problem> {
    let name = call.param("name").to_owned();
    let directory = call.plane.directory();
    let code = call.json().ok().and_then(|body| Some(body.get("code")?.as_str()?.to_owned()));
    if call.plane.access == Access::Required {
        let asked = call.asker.circumstances.clone();
        // a code is only taken of one who may with it
        let asked = if code.is_some() { asked.set(MFA_PRESENT, "true").set(MFA_AGE, "0") } else { asked };
        let decision = directory.may_assume(&call.asker.principal, &name, asked);
        if !decision.allowed {
            return Err(refusal(&call.asker.principal, &call.entry.action, &call.entry.resource, &decision));
        }
    }
    let role = find::<Role>(&directory, &name)?;
    let mut body = Body::of(call.json()?, &["session_name", "duration_seconds", "policy", "code"])?;
    let session = body.required_text("session_name");
    if let Err(mistake) = check_name(&session)
        && !session.is_empty()
    {
        body.mistake("session_name", mistake.what);
    }
    let lasts =
        body.number("duration_seconds", SHORTEST, role.longest_session).unwrap_or(USUAL.min(role.longest_session));
    let policy = body.document("policy", Attached::Identity);
    let code = body.text("code");
    body.check()?;
    let wanted =
        Wanted { whose: Whose::Role, identity: name, of: role.created, name: session, lasts, policy, by: None };
    give(&call, wanted, code).await
}

async fn own(call: Call) -> Result<Reply, Problem> {
    let (Principal::User(name), Credential::Key(by)) = (&call.asker.principal, &call.credential) else {
        let who = "a user that signs with an access key";
        return Err(Problem::denied(format!("only {who} is given a session of its own")));
    };
    let mut body = Body::of(call.json_or_empty()?, &["duration_seconds", "code"])?;
    let lasts = body.number("duration_seconds", SHORTEST, LONGEST_OF_USER).unwrap_or(USUAL_OF_USER);
    let code = body.text("code");
    body.check()?;
    let of = find::<User>(&call.plane.directory(), name)?.created;
    let (identity, by) = (name.clone(), Some(by.clone()));
    let wanted = Wanted { whose: Whose::User, name: identity.clone(), identity, of, lasts, policy: None, by };
    give(&call, wanted, code).await
}

/// A session that is asked for by somebody who may have it.
struct Wanted {
    whose: Whose,
    identity: String,
    of: u64,
    name: String,
    lasts: u64,
    policy: Option<headworks_iam::Document>,
    by: Option<String>,
}

/// Makes the credentials. What the caller has shown by a code now, or has shown before, goes with them.
async fn give(call: &Call, wanted: Wanted, code: Option<String>) -> Result<Reply, Problem> {
    let unavailable = |error: &dyn std::fmt::Display| Problem::unavailable(error.to_string());
    let made = key::make(key::For::Session, &random().map_err(|error| unavailable(&error))?);
    let nonce = random().map_err(|error| unavailable(&error))?;
    let is_proved = code.is_some();
    let mfa = match code {
        Some(code) => {
            let Principal::User(user) = &call.asker.principal else {
                return Err(Problem::invalid("code", "is of a second factor, which users have alone"));
            };
            prove(&call.plane, user, &code, call.entry.clone()).await?;
            Some(now())
        }
        None => call.asker.circumstances.value(MFA_SINCE).and_then(|since| since.parse().ok()),
    };
    let Wanted { whose, identity, of, name, lasts, policy, by } = wanted;
    let expires = now() + lasts;
    let session = Session { whose, identity, of, name, key: made.id, secret: made.secret, expires, policy, mfa, by };
    let token = session.token(&call.plane.kept()?.sealer, nonce).map_err(|error| unavailable(&error))?;
    let reply = Reply::json(
        StatusCode::CREATED,
        &json!({
            "principal": session.principal().to_string(),
            "access_key_id": session.key,
            "secret_access_key": session.secret,
            "session_token": token,
            "expires": time::iso(session.expires),
        }),
    );
    Ok(reply.noted_if(is_proved))
}
