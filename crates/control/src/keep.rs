//! What is on disk, read and written: resources and identities as texts, secrets sealed; the keys that an installation begins with.

use std::path::PathBuf;
use std::time::Duration;

use headworks_iam::key::{self, AccessKey, KeyStatus, Secret};
use headworks_iam::password::Policy;
use headworks_iam::seal::Sealer;
use headworks_iam::sign_in::Login;
use headworks_iam::{Directory, directory, password};
use headworks_model::primitive::Name;
use headworks_model::{Config, Edit, Kind};
use headworks_store::{Commit, Entry, Identity, Keep, Store, StoreError};
use serde_json::{Value, json};

use crate::clock::{now, now_ms};
use crate::difference::{lines, shortened};
use crate::keyfile::{self, KeyError, Place, random};
use crate::mend::mend;
use crate::problem::Problem;
use crate::upload;

/// What is on disk.
pub(crate) struct Kept {
    pub(crate) store: Box<dyn Keep>,
    /// For what is made aside.
    pub(crate) folder: PathBuf,
    pub(crate) sealer: Sealer,
}

/// From this age on nobody is at work any more with what lies aside.
const LEFT_OVER: Duration = Duration::from_secs(86_400);

/// Random bytes, or why there are none.
fn fresh<const N: usize>() -> Result<[u8; N], String> {
    random().map_err(|error| error.to_string())
}

/// A key that lasts as long as the process.
pub(crate) fn passing_key() -> Result<Sealer, String> {
    Sealer::new(fresh()?).map_err(|error| error.to_string())
}

pub(crate) fn open(place: &Place) -> Result<Kept, String> {
    let told = |error: StoreError| format!("{}: {error}", place.folder.join(Store::FILE).display());
    let store = Store::open(&place.folder).map_err(told)?;
    let sealer = place.open(store.sealed_with().map_err(told)?.as_deref()).map_err(|error| error.to_string())?;
    store.seal_with(&sealer.name()).map_err(told)?;
    upload::clear_away(&place.folder, LEFT_OVER);
    Ok(Kept { store: Box::new(store), folder: place.folder.clone(), sealer })
}

pub(crate) fn tags_of(sealer: &Sealer) -> Option<Sealer> {
    let derived = sealer.derive("entity-tags");
    Sealer::new(derived.as_bytes().first_chunk().copied()?).ok()
}

/// What came by the API, as it is kept.
pub(crate) fn edits_of(kept: &Kept) -> Result<Vec<(Edit, u64)>, Problem> {
    let mut edits = Vec::new();
    for stored in kept.store.resources()? {
        let edit = unsealed(&kept.sealer, &stored.kind, &stored.name, &stored.body)?;
        edits.push((edit, stored.revision));
    }
    Ok(edits)
}

/// Makes what an older program has kept right where it is not any more, as a revision that says so.
pub(crate) fn mend_all(kept: &Kept) -> Result<(), Problem> {
    let (mut edits, mut changes) = (Vec::new(), Vec::new());
    for (mut edit, _) in edits_of(kept)? {
        let before = edit.body.clone();
        let said = mend(&mut edit);
        if said.is_empty() {
            continue;
        }
        said.iter().for_each(|what| tracing::warn!(%what, "policies that name it hold for that one alone"));
        let lines = lines(edit.kind, &edit.name, before.as_ref(), edit.body.as_ref());
        changes.extend(lines.iter().map(|line| shortened(line)));
        let body = edit.body.map(|body| sealed(&kept.sealer, edit.kind, edit.name.as_str(), &body)).transpose()?;
        let (kind, name) = (edit.kind.collection(), edit.name.as_str().to_owned());
        edits.push(headworks_store::Edit { kind, name, body });
    }
    if edits.is_empty() {
        return Ok(());
    }
    let principal = "hrn:headworks:local".to_owned();
    let reason = "kept by an older version: what shared a name has a name of its own".to_owned();
    let commit = Commit { at: now_ms(), principal, reason, edits, identities: Vec::new() };
    let entry = Entry { changes, ..entry_by("headworks run", "ChangeResources", "hrn:headworks:configuration") };
    kept.store.commit(&commit, entry)?;
    Ok(())
}

/// What a secret is bound to.
fn purpose(kind: &str, name: &str, path: &str) -> String {
    format!("resource/{kind}/{name}/{path}")
}

/// The key under which a sealed text stands in place of a secret.
pub(crate) const SEALED: &str = "$sealed";

/// What is kept of a resource.
pub(crate) fn sealed(sealer: &Sealer, kind: Kind, name: &str, body: &Value) -> Result<String, Problem> {
    let mut body = body.clone();
    for path in kind.secrets() {
        let Some(secret) = path.split('.').try_fold(&mut body, |value, key| value.get_mut(key)) else { continue };
        let nonce = random().map_err(|error| Problem::unavailable(error.to_string()))?;
        let text = sealer.seal(&purpose(kind.collection(), name, path), &secret.to_string(), nonce);
        *secret = json!({ SEALED: text.map_err(|error| Problem::unavailable(error.to_string()))? });
    }
    Ok(body.to_string())
}

/// The resource that was kept.
pub(crate) fn unsealed(sealer: &Sealer, kind: &str, name: &str, body: &str) -> Result<Edit, Problem> {
    let damaged = |what: &dyn std::fmt::Display| {
        Problem::unavailable(format!("{kind}.{name} cannot be read from what is kept: {what}"))
    };
    let known = Kind::of_collection(kind).ok_or_else(|| damaged(&"the kind is not known"))?;
    let mut body: Value = serde_json::from_str(body).map_err(|error| damaged(&error))?;
    for path in known.secrets() {
        let Some(secret) = path.split('.').try_fold(&mut body, |value, key| value.get_mut(key)) else { continue };
        let Some(text) = secret.get(SEALED).and_then(Value::as_str) else { continue };
        let opened = sealer.open(&purpose(kind, name, path), text).map_err(|error| damaged(&error))?;
        *secret = serde_json::from_str(&opened).map_err(|error| damaged(&error))?;
    }
    let name = Name::new(name).map_err(|error| damaged(&error))?;
    Ok(Edit { kind: known, name, body: Some(body) })
}

pub(crate) fn read_directory(store: &dyn Keep) -> Result<Directory, String> {
    let mut directory = Directory::default();
    for Identity { kind, name, body } in store.identities().map_err(|error| error.to_string())? {
        let body = body.unwrap_or_default();
        let read = match kind.as_str() {
            "root" => serde_json::from_str(&body).map(|root| directory.root = Some(root)),
            "user" => serde_json::from_str(&body).map(|user| drop(directory.users.insert(name.clone(), user))),
            "group" => serde_json::from_str(&body).map(|group| drop(directory.groups.insert(name.clone(), group))),
            "role" => serde_json::from_str(&body).map(|role| drop(directory.roles.insert(name.clone(), role))),
            "password_policy" => serde_json::from_str(&body).map(|policy| directory.password_policy = policy),
            "policy" => serde_json::from_str(&body).map(|policy| drop(directory.policies.insert(name.clone(), policy))),
            _ => continue,
        };
        read.map_err(|error| format!("{kind} {name} cannot be read from what is kept: {error}"))?;
    }
    Ok(directory)
}

pub(crate) fn row(directory: &Directory, kind: &'static str, name: String) -> Identity {
    let body = match kind {
        "root" => directory.root.as_ref().map(|root| json!(root)),
        "user" => directory.users.get(&name).map(|user| json!(user)),
        "group" => directory.groups.get(&name).map(|group| json!(group)),
        "role" => directory.roles.get(&name).map(|role| json!(role)),
        "password_policy" => Some(json!(directory.password_policy)),
        _ => directory.policies.get(&name).map(|policy| json!(policy)),
    };
    Identity { kind: kind.to_owned(), name, body: body.map(|body| body.to_string()) }
}

/// What the secret of a key is bound to.
pub(crate) fn key_purpose(id: &str) -> String {
    format!("access-key/{id}")
}

/// Makes an access key: what is kept of it, and what is told once.
pub(crate) fn make_key(sealer: &Sealer) -> Result<(AccessKey, Secret), String> {
    let made = key::make(key::For::User, &fresh()?);
    let nonce = fresh()?;
    let secret = sealer.seal(&key_purpose(&made.id), &made.secret, nonce).map_err(|error| error.to_string())?;
    let kept = AccessKey { id: made.id.clone(), secret, status: KeyStatus::Active, created: now(), last_used: None };
    Ok((kept, made))
}

/// Makes the root identity of a data folder and its only key. None when there is one already and it is not to be replaced.
///
/// # Errors
/// When it cannot be written.
pub fn initialise(place: &Place, replace: bool) -> Result<Option<(String, String)>, String> {
    let kept = open(place)?;
    let text = |error: StoreError| error.to_string();
    let directory = read_directory(&*kept.store)?;
    if directory.root.is_some() && !replace {
        return Ok(None);
    }
    let (key, secret) = make_key(&kept.sealer)?;
    let root = directory::Root { created: now(), keys: vec![key] };
    let body = serde_json::to_string(&root).map_err(|error| error.to_string())?;
    let identity = Identity { kind: "root".to_owned(), name: "root".to_owned(), body: Some(body) };
    let entry = entry_by("headworks init", "Initialise", "hrn:headworks:root");
    kept.store.put_identities(&[identity], Some(&entry)).map_err(text)?;
    Ok(Some((secret.id, secret.secret)))
}

/// What passwords are made of: what is not mistaken for something else when it is read aloud.
const LETTERS: &[u8; 54] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz234567";

/// A password of 20 such letters, in groups.
fn make_password() -> Result<String, String> {
    loop {
        let bytes: [u8; 64] = fresh()?;
        // those past the last whole round would make some letters likelier
        let letters = bytes.iter().filter(|byte| **byte < 216).filter_map(|byte| LETTERS.get(usize::from(byte % 54)));
        let letters: Vec<u8> = letters.copied().take(20).collect();
        let groups: Vec<String> = letters.chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        let password = groups.join("-");
        if letters.len() == 20 && Policy::default().weakness(&password, "").is_none() {
            return Ok(password);
        }
    }
}

/// Makes a user who may do everything and signs in to the console, and its password, which must be followed by another. None
/// when there is such a user already.
///
/// # Errors
/// When it is no name, or cannot be written.
pub fn first_user(place: &Place, name: &str) -> Result<Option<String>, String> {
    directory::check_name(name).map_err(|mistake| format!("{name:?} {}", mistake.what))?;
    let kept = open(place)?;
    if read_directory(&*kept.store)?.users.contains_key(name) {
        return Ok(None);
    }
    let password = make_password()?;
    let hash = password::hash(&password, &fresh()?).ok_or("the password cannot be hashed")?;
    let login = Login::new(hash, true, now());
    let attached = ["AdministratorAccess".to_owned()].into();
    let user = directory::User { created: now(), attached, login: Some(login), ..directory::User::default() };
    let body = serde_json::to_string(&user).map_err(|error| error.to_string())?;
    let identity = Identity { kind: "user".to_owned(), name: name.to_owned(), body: Some(body) };
    let entry = entry_by("headworks init", "PutUser", &format!("hrn:headworks:user/{name}"));
    kept.store.put_identities(&[identity], Some(&entry)).map_err(|error| error.to_string())?;
    Ok(Some(password))
}

/// Has resources as if they had come by the API, from before the program begins.
///
/// # Errors
/// When they cannot be written.
pub fn seed(place: &Place, config: &Config, reason: &str) -> Result<(), String> {
    let kept = open(place)?;
    let mut edits = Vec::new();
    for kind in Kind::ALL {
        for name in config.names(kind) {
            let Some(body) = config.resource(kind, name.as_str()) else { continue };
            let body =
                sealed(&kept.sealer, kind, name.as_str(), &body).map_err(|problem| problem.detail().to_owned())?;
            let (kind, name) = (kind.collection(), name.as_str().to_owned());
            edits.push(headworks_store::Edit { kind, name, body: Some(body) });
        }
    }
    let principal = "hrn:headworks:local".to_owned();
    let commit = Commit { at: now_ms(), principal, reason: reason.to_owned(), edits, identities: Vec::new() };
    let entry = entry_by("headworks demo", "ChangeResources", "hrn:headworks:configuration");
    kept.store.commit(&commit, entry).map(drop).map_err(|error| error.to_string())
}

/// What a command does beside the program, as an attempt that succeeded.
pub(crate) fn entry_by(command: &str, action: &str, resource: &str) -> Entry {
    Entry {
        at: now_ms(),
        principal: "hrn:headworks:local".to_owned(),
        action: format!("headworks:{action}"),
        resource: resource.to_owned(),
        source: command.to_owned(),
        request_id: String::new(),
        outcome: headworks_store::Outcome::Allowed,
        status: 200,
        dry_run: false,
        revision: None,
        changes: Vec::new(),
        why: None,
    }
}

/// The access key of whoever can read the key file of a data folder.
pub(crate) const LOCAL: &str = "HWLOCAL";

pub(crate) fn local_secret(sealer: &Sealer) -> String {
    sealer.derive("local-access-key")
}

/// The access key, and its secret, of whoever can read the key file of a data folder.
///
/// # Errors
/// When it cannot be read.
pub fn local_key(place: &Place) -> Result<(String, String), KeyError> {
    let sealer = keyfile::read(&place.key())?;
    Ok((LOCAL.to_owned(), local_secret(&sealer)))
}
