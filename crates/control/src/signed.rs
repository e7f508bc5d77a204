//! Who asks: the signature of a request, and the key that made it.

use axum::http::{HeaderMap, header};
use headworks_iam::directory::Principal;
use headworks_iam::key::{KeyStatus, LastUsed};
use headworks_iam::session::{Session, Whose};
use headworks_iam::sigv4::{Claim, Presented, SignatureError};

use crate::clock::now;
use crate::keep::{LOCAL, key_purpose, local_secret};
use crate::plane::Plane;
use crate::problem::Problem;
use crate::standing::Credential;

/// The hash that a signature is of, in place of a body.
pub(crate) fn declared(fields: &HeaderMap) -> Option<String> {
    let is_signed = fields.contains_key(header::AUTHORIZATION);
    let hash = fields.get("x-amz-content-sha256").filter(|_| is_signed)?;
    hash.to_str().ok().map(str::to_owned)
}

/// Whether a request comes from somebody who is known, as far as that can be told before its body has come: in full, where its
/// hash was said.
///
/// # Errors
/// When it does not.
pub(crate) async fn announced(plane: &Plane, presented: &Presented<'_>) -> Result<(), Problem> {
    let claim = Claim::read(presented).map_err(refused)?;
    let (_, secret, _) = found(plane, &claim).await?;
    match presented.content_hash() {
        Some(_) => claim.verify(presented, &secret, now()).map_err(refused),
        None => Ok(()),
    }
}

/// The principal that signed a request, and what with.
///
/// # Errors
/// When nobody did, or it cannot be told who.
pub(crate) async fn principal(
    plane: &Plane,
    presented: &Presented<'_>,
    action: &str,
    source: &str,
) -> Result<(Principal, Credential), Problem> {
    let claim = Claim::read(presented).map_err(refused)?;
    let (principal, secret, credential) = found(plane, &claim).await?;
    claim.verify(presented, &secret, now()).map_err(refused)?;
    if claim.token.is_none() && claim.key != LOCAL {
        let used = LastUsed { at: now(), action: action.to_owned(), source: source.to_owned() };
        plane.uses.key(&claim.key, used);
    }
    Ok((principal, credential))
}

fn refused(error: SignatureError) -> Problem {
    Problem::unauthenticated(error.to_string())
}

/// Whose what is claimed is, and its secret.
async fn found(plane: &Plane, claim: &Claim) -> Result<(Principal, String, Credential), Problem> {
    if let Some(token) = &claim.token {
        let session = of_token(plane, claim, token)?;
        return Ok((session.principal(), session.secret.clone(), Credential::Session(Box::new(session))));
    }
    if claim.key == LOCAL {
        return Ok((Principal::Local, local_secret(&plane.kept()?.sealer), Credential::Lasting));
    }
    let (principal, secret) = match of_key(plane, &claim.key) {
        Ok(found) => found,
        // it may have been made by another process
        Err(problem) => {
            plane.follow_others().await?;
            of_key(plane, &claim.key).map_err(|_| problem)?
        }
    };
    Ok((principal, secret, Credential::Key(claim.key.clone())))
}

fn unusable() -> Problem {
    Problem::unauthenticated("there is no such access key, or it may not be used")
}

/// Whose a key is that may be used, and its secret.
///
/// # Errors
/// When there is none such.
pub(crate) fn of_key(plane: &Plane, id: &str) -> Result<(Principal, String), Problem> {
    let directory = plane.directory();
    let (principal, key) = directory.key(id).filter(|(_, key)| key.status == KeyStatus::Active).ok_or_else(unusable)?;
    let secret = plane.kept()?.sealer.open(&key_purpose(id), &key.secret).map_err(|_| unusable())?;
    Ok((principal, secret))
}

fn of_token(plane: &Plane, claim: &Claim, token: &str) -> Result<Session, Problem> {
    let ended = || Problem::unauthenticated("the session has ended, or its token is not one of this installation");
    let session = Session::of_token(&plane.kept()?.sealer, token).map_err(|_| ended())?;
    if session.key == claim.key && is_current(plane, &session) { Ok(session) } else { Err(ended()) }
}

/// Whether temporary credentials are good still: they have not run out, and their role is the one that was assumed, or their user
/// has the key that it asked for them with, and the second factor that it showed.
pub(crate) fn is_current(plane: &Plane, session: &Session) -> bool {
    let directory = plane.directory();
    let is_there = match session.whose {
        Whose::Role => directory.roles.get(&session.identity).is_some_and(|role| role.created == session.of),
        Whose::User => {
            let owner = session.by.as_ref().and_then(|key| of_key(plane, key).ok()).map(|(owner, _)| owner);
            owner == Some(session.principal())
                && directory.users.get(&session.identity).is_some_and(|user| {
                    user.created == session.of && (session.mfa.is_none() || user.mfa.active.is_some())
                })
        }
    };
    session.expires > now() && is_there
}
