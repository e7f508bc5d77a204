//! The state of the control plane, shared by all calls: what should be, who there is, what is kept, and the way to the control
//! loop.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use headworks_iam::key::{self, AccessKey, KeyStatus, LastUsed, Secret};
use headworks_iam::seal::Sealer;
use headworks_iam::{Directory, directory};
use headworks_model::primitive::Name;
use headworks_model::{Config, Edit, Kind};
use headworks_store::{Entry, Identity, Store, StoreError};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::change::{Asked, Change, Outcome, Proposed};
use crate::desired::{Clash, Desired};
use crate::events::Event;
use crate::keyfile::{self, KeyError, random};
use crate::problem::Problem;

/// Changes that wait for the control loop.
const MOST_WAITING: usize = 64;
/// How long one waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events that a slow listener may be behind before it misses some.
const MOST_BEHIND: usize = 1024;

/// Who may use the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone who can reach the address, which is loopback.
    Open,
    /// Whoever signs, as far as policies allow.
    Required,
}

/// What the control plane asks of the program that it is part of.
pub struct Surroundings {
    /// What runs, as `/v1/status` shows it.
    pub status: Box<dyn Fn() -> Value + Send + Sync>,
    /// Of a target group by name: its targets and their health; none when no such group runs.
    pub health: Box<dyn Fn(&str) -> Option<Value> + Send + Sync>,
    /// The configuration that runs, without secrets.
    pub config: Box<dyn Fn() -> Value + Send + Sync>,
    /// OpenMetrics: their media type and text.
    pub metrics: Box<dyn Fn() -> Result<(&'static str, String), String> + Send + Sync>,
    /// Whether clients are served.
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    /// Has the file applied again: whether it was, and what to say of it.
    pub reload: Box<dyn Fn() -> BoxFuture<'static, Option<(bool, Value)>> + Send + Sync>,
}

/// What is on disk.
pub(crate) struct Kept {
    pub(crate) store: Store,
    pub(crate) sealer: Sealer,
}

/// The control plane.
pub struct Plane {
    pub(crate) access: Access,
    pub(crate) around: Surroundings,
    desired: ArcSwap<Desired>,
    directory: ArcSwap<Directory>,
    /// One change of identities at a time.
    changing: tokio::sync::Mutex<()>,
    kept: Result<Arc<Kept>, String>,
    /// Makes entity tags, so that they tell nothing of what is secret.
    tags: Sealer,
    changes: mpsc::Sender<Asked>,
    pub(crate) events: broadcast::Sender<Event>,
    used: Mutex<HashMap<String, LastUsed>>,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    now_ms() / 1000
}

fn no_randomness(error: std::io::Error) -> String {
    error.to_string()
}

impl Plane {
    /// Opens what is kept in `folder`. A folder that cannot be written is only warned of where anyone may ask and nothing was
    /// kept: changes are then refused.
    ///
    /// # Errors
    /// When what is kept cannot be read, or nothing can be kept and must be.
    pub fn open(
        folder: &Path,
        access: Access,
        file: Config,
        around: Surroundings,
    ) -> Result<(Self, mpsc::Receiver<Asked>), String> {
        let is_there = folder.join(Store::FILE).exists();
        let kept = match open(folder) {
            Ok(kept) => Ok(Arc::new(kept)),
            Err(what) if is_there || access == Access::Required => return Err(what),
            Err(what) => {
                tracing::warn!(%what, "nothing can be kept: the API changes nothing");
                Err(what)
            }
        };
        let directory = kept.as_ref().map_or(Ok(Directory::default()), |kept| read_directory(&kept.store));
        let (changes, asked) = mpsc::channel(MOST_WAITING);
        let tags = Sealer::new(random().map_err(no_randomness)?).map_err(|error| error.to_string())?;
        let tags = match &kept {
            Ok(kept) => tags_of(&kept.sealer).unwrap_or(tags),
            Err(_) => tags,
        };
        let plane = Self {
            access,
            around,
            desired: ArcSwap::from_pointee(Desired::of_file(file)),
            directory: ArcSwap::from_pointee(directory?.indexed()),
            changing: tokio::sync::Mutex::default(),
            kept,
            tags,
            changes,
            events: broadcast::Sender::new(MOST_BEHIND),
            used: Mutex::default(),
        };
        Ok((plane, asked))
    }

    /// What should be.
    pub fn desired(&self) -> Arc<Desired> {
        self.desired.load_full()
    }

    /// Who there is.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// Whether the installation has a root identity.
    pub fn is_initialised(&self) -> bool {
        self.directory.load().root.is_some()
    }

    /// The file with what came by the API, as it is kept. To be [published](Self::publish) once it runs.
    ///
    /// # Errors
    /// When they do not go together, or what is kept cannot be read.
    pub fn merged(&self, file: &Config) -> Result<Result<Desired, Clash>, String> {
        let Ok(kept) = &self.kept else { return Ok(Ok(Desired::of_file(file.clone()))) };
        let api = edits_of(kept).map_err(|problem| problem.detail().to_owned())?;
        let revision = kept.store.newest().map_err(|error| error.to_string())?;
        Ok(Desired::merge(file, api, revision))
    }

    /// Makes this what should be.
    pub fn publish(&self, desired: Desired) {
        self.desired.store(Arc::new(desired));
    }

    /// Whether anybody listens to what happens.
    pub fn has_listeners(&self) -> bool {
        self.events.receiver_count() > 0
    }

    /// Tells all that listen.
    pub fn tell(&self, kind: &'static str, data: Value) {
        // nobody may be listening
        let _ = self.events.send(Event { kind, data });
    }

    /// The entity tag of a resource.
    pub(crate) fn tag(&self, body: &Value) -> String {
        let derived = self.tags.derive(&body.to_string());
        format!("\"{}\"", derived.get(..22).unwrap_or(&derived))
    }

    pub(crate) fn kept(&self) -> Result<&Arc<Kept>, Problem> {
        self.kept.as_ref().map_err(|what| Problem::unavailable(format!("nothing can be kept: {what}")))
    }

    /// Does what reads or writes files on a thread of its own.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Kept) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let kept = self.kept()?.clone();
        let worked = tokio::task::spawn_blocking(move || work(&kept)).await;
        worked.unwrap_or_else(|_| Err(Problem::unavailable("the state cannot be read or written")))
    }

    /// Has a change carried out.
    pub(crate) async fn change(&self, change: Change) -> Result<Outcome, Problem> {
        self.kept()?;
        let (answer, outcome) = oneshot::channel();
        let stopping = || Problem::unavailable("the program is stopping");
        let asked = Asked { change, answer };
        self.changes.send_timeout(asked, PATIENCE).await.map_err(|_| stopping())?;
        outcome.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Holds a change against what should be. For the control loop.
    ///
    /// # Errors
    /// When it is not permitted by what is there, or not right.
    pub fn propose(&self, change: Change) -> Result<Proposed, Problem> {
        let kept = self.kept()?;
        let desired = self.desired();
        change.propose(&desired, &|body| self.tag(body), &|kind, name, body| sealed(&kept.sealer, kind, name, body))
    }

    /// Records what was proposed, now that it runs, and makes it what should be.
    ///
    /// # Errors
    /// When it cannot be written; what should be is then what it was.
    pub async fn record(&self, proposed: Proposed) -> Result<Outcome, Problem> {
        let Proposed { config, commit, edits, entry, mut outcome, .. } = proposed;
        let principal = commit.principal.clone();
        let reason = commit.reason.clone();
        let revision = self.blocking(move |kept| Ok(kept.store.commit(&commit, entry)?)).await?;
        self.desired.store(Arc::new(self.desired.load().after(config, &edits, revision)));
        let resources: Vec<String> =
            edits.iter().map(|(kind, name, _)| format!("{}.{name}", kind.collection())).collect();
        let data = json!({ "revision": revision, "principal": principal, "reason": reason, "resources": resources });
        self.tell("revision", data);
        outcome.revision = Some(revision);
        Ok(outcome)
    }

    /// Changes identities. `change` says which it touched, by kind and name; nothing is changed when it fails, or when it
    /// cannot be written.
    pub(crate) async fn identities<T: Send + 'static>(
        &self,
        entry: Entry,
        change: impl FnOnce(&mut Directory, &Sealer) -> Result<(T, Vec<(&'static str, String)>), Problem>,
    ) -> Result<T, Problem> {
        let _one = self.changing.lock().await;
        let kept = self.kept()?.clone();
        self.follow_others().await?;
        let mut directory = (*self.directory()).clone();
        let (value, touched) = change(&mut directory, &kept.sealer)?;
        let rows: Vec<Identity> = touched.into_iter().map(|(kind, name)| row(&directory, kind, name)).collect();
        self.blocking(move |kept| Ok(kept.store.put_identities(&rows, Some(&entry))?)).await?;
        self.directory.store(Arc::new(directory.indexed()));
        Ok(value)
    }

    /// Takes in what another process has written, as `headworks init` does.
    pub(crate) async fn follow_others(&self) -> Result<(), Problem> {
        let read = self.blocking(|kept| {
            if kept.store.changed_elsewhere()? { read_directory(&kept.store).map(Some).map_err(Problem::unavailable) } else { Ok(None) }
        });
        if let Some(directory) = read.await? {
            self.directory.store(Arc::new(directory.indexed()));
        }
        Ok(())
    }

    /// Remembers that a key was used.
    pub(crate) fn note_use(&self, key: &str, used: LastUsed) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), used);
    }

    /// When a key was last used, as far as that is not written yet.
    pub(crate) fn last_use(&self, key: &AccessKey) -> Option<LastUsed> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(&key.id).cloned().or_else(|| key.last_used.clone())
    }

    /// Writes now and then what need not be written at once, until the program ends.
    pub async fn tend(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0_u64;
        loop {
            ticks.tick().await;
            count += 1;
            let flushed = self.blocking(|kept| Ok(kept.store.flush()?)).await;
            let used = if count.is_multiple_of(60) { self.write_uses().await } else { Ok(()) };
            if let (Ok(_), Err(problem)) | (Err(problem), _) = (flushed, used)
                && self.kept.is_ok()
            {
                tracing::error!(error = problem.detail(), "the audit trail cannot be written");
            }
        }
    }

    /// Writes what still waits; for the end.
    pub async fn settle(&self) {
        let _ = self.blocking(|kept| Ok(kept.store.flush()?)).await;
        let _ = self.write_uses().await;
    }

    async fn write_uses(&self) -> Result<(), Problem> {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        if used.is_empty() {
            return Ok(());
        }
        let _one = self.changing.lock().await;
        let mut directory = (*self.directory()).clone();
        let mut rows = Vec::new();
        let take = |keys: &mut Vec<AccessKey>| {
            let of = keys.iter_mut().filter_map(|key| Some((used.get(&key.id)?.clone(), key)));
            of.map(|(at, key)| key.last_used = Some(at)).count() > 0
        };
        if directory.root.as_mut().is_some_and(|root| take(&mut root.keys)) {
            rows.push(("root", "root".to_owned()));
        }
        for (name, user) in &mut directory.users {
            if take(&mut user.keys) {
                rows.push(("user", name.clone()));
            }
        }
        let rows: Vec<Identity> = rows.into_iter().map(|(kind, name)| row(&directory, kind, name)).collect();
        self.blocking(move |kept| Ok(kept.store.put_identities(&rows, None)?)).await?;
        self.directory.store(Arc::new(directory.indexed()));
        Ok(())
    }
}

fn open(folder: &Path) -> Result<Kept, String> {
    let store = Store::open(folder).map_err(|error| format!("{}: {error}", folder.join(Store::FILE).display()))?;
    let sealer = keyfile::open(folder).map_err(|error: KeyError| error.to_string())?;
    Ok(Kept { store, sealer })
}

fn tags_of(sealer: &Sealer) -> Option<Sealer> {
    let derived = sealer.derive("entity-tags");
    Sealer::new(derived.as_bytes().first_chunk().copied()?).ok()
}

/// What came by the API, as it is kept.
fn edits_of(kept: &Kept) -> Result<Vec<(Edit, u64)>, Problem> {
    let mut edits = Vec::new();
    for stored in kept.store.resources()? {
        let edit = unsealed(&kept.sealer, &stored.kind, &stored.name, &stored.body)?;
        edits.push((edit, stored.revision));
    }
    Ok(edits)
}

/// What a secret is bound to.
fn purpose(kind: &str, name: &str, path: &str) -> String {
    format!("resource/{kind}/{name}/{path}")
}

/// The key under which a sealed text stands in place of a secret.
const SEALED: &str = "$sealed";

/// What is kept of a resource.
fn sealed(sealer: &Sealer, kind: Kind, name: &str, body: &Value) -> Result<String, Problem> {
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

fn read_directory(store: &Store) -> Result<Directory, String> {
    let mut directory = Directory::default();
    for Identity { kind, name, body } in store.identities().map_err(|error| error.to_string())? {
        let body = body.unwrap_or_default();
        let read = match kind.as_str() {
            "root" => serde_json::from_str(&body).map(|root| directory.root = Some(root)),
            "user" => serde_json::from_str(&body).map(|user| drop(directory.users.insert(name.clone(), user))),
            "group" => serde_json::from_str(&body).map(|group| drop(directory.groups.insert(name.clone(), group))),
            "role" => serde_json::from_str(&body).map(|role| drop(directory.roles.insert(name.clone(), role))),
            "policy" => serde_json::from_str(&body).map(|policy| drop(directory.policies.insert(name.clone(), policy))),
            _ => continue,
        };
        read.map_err(|error| format!("{kind} {name} cannot be read from what is kept: {error}"))?;
    }
    Ok(directory)
}

fn row(directory: &Directory, kind: &'static str, name: String) -> Identity {
    let body = match kind {
        "root" => directory.root.as_ref().map(|root| json!(root)),
        "user" => directory.users.get(&name).map(|user| json!(user)),
        "group" => directory.groups.get(&name).map(|group| json!(group)),
        "role" => directory.roles.get(&name).map(|role| json!(role)),
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
    let made = key::make(key::For::User, &random().map_err(no_randomness)?);
    let nonce = random().map_err(no_randomness)?;
    let secret = sealer.seal(&key_purpose(&made.id), &made.secret, nonce).map_err(|error| error.to_string())?;
    let kept =
        AccessKey { id: made.id.clone(), secret, status: KeyStatus::Active, created: now(), last_used: None };
    Ok((kept, made))
}

/// Makes the root identity of a data folder and its only key. None when there is one already and it is not to be replaced.
///
/// # Errors
/// When it cannot be written.
pub fn initialise(folder: &Path, replace: bool) -> Result<Option<(String, String)>, String> {
    let kept = open(folder)?;
    let text = |error: StoreError| error.to_string();
    let directory = read_directory(&kept.store)?;
    if directory.root.is_some() && !replace {
        return Ok(None);
    }
    let (key, secret) = make_key(&kept.sealer)?;
    let root = directory::Root { created: now(), keys: vec![key] };
    let body = serde_json::to_string(&root).map_err(|error| error.to_string())?;
    let identity = Identity { kind: "root".to_owned(), name: "root".to_owned(), body: Some(body) };
    let entry = Entry {
        at: now_ms(),
        principal: "hrn:headworks:local".to_owned(),
        action: "headworks:Initialise".to_owned(),
        resource: "hrn:headworks:root".to_owned(),
        source: "headworks init".to_owned(),
        request_id: String::new(),
        outcome: headworks_store::Outcome::Allowed,
        status: 200,
        revision: None,
        changes: Vec::new(),
        why: None,
    };
    kept.store.put_identities(&[identity], Some(&entry)).map_err(text)?;
    Ok(Some((secret.id, secret.secret)))
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
pub fn local_key(folder: &Path) -> Result<(String, String), KeyError> {
    let sealer = keyfile::read(&keyfile::path(folder))?;
    Ok((LOCAL.to_owned(), local_secret(&sealer)))
}
