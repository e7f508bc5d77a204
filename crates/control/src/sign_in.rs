//! Signing in to the console, and what a user's password and second factor go through.

use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use headworks_iam::directory::User;
use headworks_iam::seal::Sealer;
use headworks_iam::sign_in::{self, Login, SESSION, SignedIn, TOKEN, token_hash};
use headworks_iam::{Directory, password, totp};
use headworks_store::Entry;

use crate::clock::now;
use crate::keyfile::random;
use crate::names::hrn;
use crate::plane::Plane;
use crate::problem::Problem;

/// What somebody brings who signs in.
pub(crate) struct Brought {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) code: Option<String>,
    pub(crate) new_password: Option<String>,
}

/// What the secret of a second factor is bound to.
pub(crate) fn mfa_purpose(name: &str) -> String {
    format!("mfa/{name}")
}

/// Makes the secret of a second factor: what is kept, and what is told once.
pub(crate) fn make_mfa(sealer: &Sealer, name: &str) -> Result<(String, String), Problem> {
    let no = |error: &dyn std::fmt::Display| Problem::unavailable(error.to_string());
    let secret: [u8; totp::SECRET] = random().map_err(|error| no(&error))?;
    let nonce = random().map_err(|error| no(&error))?;
    let kept = sealer.seal(&mfa_purpose(name), &STANDARD_NO_PAD.encode(secret), nonce).map_err(|error| no(&error))?;
    Ok((kept, totp::base32(&secret)))
}

/// The secret of a second factor.
pub(crate) fn open_mfa(sealer: &Sealer, name: &str, kept: &str) -> Result<Vec<u8>, Problem> {
    let opened = sealer.open(&mfa_purpose(name), kept).map_err(|_| Unspecified);
    let bytes = opened.and_then(|text| STANDARD_NO_PAD.decode(text).map_err(|_| Unspecified));
    bytes.map_err(|_| Problem::unavailable(format!("the second factor of {name:?} cannot be read from what is kept")))
}

/// The hash of a new password, if it is one that `user` may have.
///
/// # Errors
/// With `path` when it is not.
pub(crate) async fn new_hash(
    plane: &Plane,
    name: &str,
    login: Option<&Login>,
    password: String,
    path: &'static str,
) -> Result<String, Problem> {
    let policy = plane.directory().password_policy.clone();
    if let Some(what) = policy.weakness(&password, name) {
        return Err(Problem::invalid(path, what));
    }
    let (login, salt) = (login.cloned(), random().map_err(|error| Problem::unavailable(error.to_string()))?);
    let hashed = plane.guesses.look(move || {
        let repeats = login.is_some_and(|login| login.repeats(&password, &policy));
        if repeats { None } else { Some(password::hash(&password, &salt)) }
    });
    match hashed.await? {
        None => Err(Problem::invalid(path, "is one that the user has had")),
        Some(hash) => hash.ok_or_else(|| Problem::invalid(path, "cannot be hashed")),
    }
}

/// Signs somebody in: the session's token.
///
/// # Errors
/// When what was brought is not right, is not enough, or was not right too often.
pub(crate) async fn sign_in(plane: &Plane, brought: Brought, mut entry: Entry) -> Result<(String, SignedIn), Problem> {
    let Brought { name, password, code, new_password } = brought;
    let source = entry.source.clone();
    let _admitted = plane.guesses.admit(&name, &source, now())?;
    plane.follow_others().await?;
    let user = plane.directory().users.get(&name).cloned();
    let login = user.as_ref().and_then(|user| user.login.clone());
    let is_right = plane.guesses.is_password(password, login.as_ref().map(|login| login.hash.clone())).await?;
    let wrong = || {
        plane.guesses.wrong(&name, &source, now());
        Problem::sign_in_failed()
    };
    let (Some(user), Some(login), true) = (user, login, is_right) else { return Err(wrong()) };
    let step = match &user.mfa.active {
        None => None,
        Some(kept) => {
            let code = code.ok_or_else(Problem::mfa_required)?;
            let secret = open_mfa(&plane.kept()?.sealer, &name, kept)?;
            Some(totp::step_of(&secret, &code, now(), user.mfa.used).ok_or_else(wrong)?)
        }
    };
    let is_expired = login.is_expired(&plane.directory().password_policy, now());
    let hash = match new_password {
        Some(new) if is_expired => Some(new_hash(plane, &name, Some(&login), new, "new_password").await?),
        None if is_expired => return Err(Problem::password_expired()),
        _ => None,
    };
    let token: [u8; TOKEN] = random().map_err(|error| Problem::unavailable(error.to_string()))?;
    let token = URL_SAFE_NO_PAD.encode(token);
    let since = now();
    let with_mfa = step.is_some();
    let session =
        SignedIn { token: token_hash(&token), since, expires: since + SESSION, source: source.clone(), with_mfa };
    (entry.principal, entry.resource) = (hrn(&format!("user/{name}")), hrn(&format!("user/{name}")));
    let (of, begun) = (name.clone(), session.clone());
    let done = plane.identities(entry, move |directory, _| {
        // what was looked at may have changed since
        let user = directory.users.get_mut(&of).ok_or_else(Problem::sign_in_failed)?;
        let kept = user.login.as_mut().filter(|kept| kept.hash == login.hash).ok_or_else(Problem::sign_in_failed)?;
        if let Some(hash) = hash {
            *kept = kept.clone().followed_by(hash, false, since);
            user.sessions.clear();
        }
        kept.last_used = Some(since);
        if let Some(step) = step {
            if step <= user.mfa.used {
                return Err(Problem::sign_in_failed());
            }
            user.mfa.used = step;
        }
        sign_in::begin(&mut user.sessions, begun);
        Ok(((), vec![("user", of)]))
    });
    done.await?;
    plane.guesses.right(&name, &source);
    Ok((token, session))
}

/// Takes a code of a user's second factor, which is then used: whoever guesses codes waits as whoever guesses passwords. The attempt is
/// written down with it.
///
/// # Errors
/// When the code is not right, there is no second factor, or there were too many attempts.
pub(crate) async fn prove(plane: &Plane, name: &str, code: &str, mut entry: Entry) -> Result<(), Problem> {
    let source = entry.source.clone();
    let _admitted = plane.guesses.admit(name, &source, now())?;
    plane.follow_others().await?;
    let directory = plane.directory();
    let user = directory.users.get(name).ok_or_else(Problem::mfa_failed)?;
    let kept = user.mfa.active.as_ref().ok_or_else(|| Problem::invalid("code", "the user has no second factor"))?;
    let secret = open_mfa(&plane.kept()?.sealer, name, kept)?;
    let Some(step) = totp::step_of(&secret, code, now(), user.mfa.used) else {
        plane.guesses.wrong(name, &source, now());
        return Err(Problem::mfa_failed());
    };
    entry.status = 201;
    let of = name.to_owned();
    let taken = plane.identities(entry, move |directory, _| {
        // another may have taken it since
        let user = directory.users.get_mut(&of).filter(|user| user.mfa.used < step).ok_or_else(Problem::mfa_failed)?;
        user.mfa.used = step;
        Ok(((), vec![("user", of)]))
    });
    taken.await?;
    plane.guesses.right(name, &source);
    Ok(())
}

/// Gives a user another password, which ends its sessions but the one that asks for it.
pub(crate) fn set_password(user: &mut User, hash: String, must_change: bool, stays: Option<&str>) {
    user.login = Some(match user.login.take() {
        Some(login) => login.followed_by(hash, must_change, now()),
        None => Login::new(hash, must_change, now()),
    });
    user.sessions.retain(|session| stays == Some(session.token.as_str()));
}

/// Ends a session. Whether there was one.
pub(crate) fn end(directory: &mut Directory, token: &str) -> Option<String> {
    let name = directory.session(token, 0)?.0.to_owned();
    let user = directory.users.get_mut(&name)?;
    user.sessions.retain(|session| session.token != token);
    Some(name)
}
