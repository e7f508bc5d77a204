//! The state of the control plane, shared by all calls: what should be, who there is, what is kept, and the way to the control
//! loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use futures_util::future::BoxFuture;
use headworks_iam::Directory;
use headworks_iam::seal::Sealer;
use headworks_iam::sign_in::SignedIn;
use headworks_iam::sigv4;
use headworks_model::{Config, Kind};
use headworks_store::{Identity, Store};
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

use crate::change::{Asked, Change, Outcome, Proposed, Run};
use crate::clock::{now, now_ms};
use crate::cookie;
use crate::desired::{Clash, Desired};
use crate::difference::shortened;
use crate::events::Event;
use crate::guesses::Guesses;
use crate::keep::{Kept, edits_of, entry_by, mend_all, open, passing_key, read_directory, row, sealed, tags_of};
use crate::keyfile::Place;
use crate::mend::mend;
use crate::pass::Pass;
use crate::problem::Problem;
use crate::strangers::Strangers;
use crate::uses::Uses;

/// Changes that wait for the control loop.
const MOST_WAITING: usize = 64;
/// Bodies at once that are longer than a small one.
const MOST_LARGE_BODIES: usize = 4;
/// How long one waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events that a slow listener may be behind before it misses some.
const MOST_BEHIND: usize = 1024;

/// Seconds between looks at what is old.
const EXPIRES: u64 = 600;

/// Who may use the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone who can reach the address, which is loopback.
    Open,
    /// Whoever signs, as far as policies allow.
    Required,
}

/// Asks the program something.
pub type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;
/// Asks the program about something.
pub type AskOf<Q, T> = Box<dyn Fn(Q) -> T + Send + Sync>;
/// What to say of a file that was applied, or judged.
///
/// # Errors
/// What is wrong with it; or that the program is stopping.
pub type Reloaded = Result<Value, Problem>;

/// What the control plane asks of the program that it is part of.
pub struct Surroundings {
    /// Where relative paths start.
    pub folder: PathBuf,
    /// What runs, as `/v1/status` shows it.
    pub status: Ask<Status>,
    /// Of a target group by name: its targets and their health; none when no such group runs.
    pub health: AskOf<String, Option<Value>>,
    /// The configuration that runs, without secrets.
    pub config: Ask<Value>,
    /// OpenMetrics: their media type and text.
    pub metrics: Ask<Result<(&'static str, String), String>>,
    /// Whether clients are served.
    pub ready: Ask<bool>,
    /// Has the file applied again, or judged.
    pub reload: AskOf<Run, BoxFuture<'static, Reloaded>>,
    /// Why a request would go where it would go, or what is wrong with what is asked.
    pub explain: AskOf<Value, Result<Value, String>>,
    /// What goes on.
    pub live: AskOf<WatchFor, Watched>,
}

/// What runs.
pub struct Status {
    /// All but target groups.
    pub rest: Value,
    /// Those, which may be many.
    pub groups: Groups,
}

/// Target groups with their targets, by name, one after the other.
pub type Groups = Box<dyn FnMut() -> Option<(String, Value)> + Send>;

/// What somebody wants to watch.
pub struct WatchFor {
    /// What it is told of what was.
    pub history: Vec<Span>,
    /// The group whose targets are told.
    pub group: Option<String>,
}

/// A part of what was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What the names of its subjects begin with.
    pub of: String,
    /// The newest seconds of them; none: all that are kept.
    pub seconds: Option<usize>,
}

/// What went on until somebody began to watch, part by part; none when that was all. Each takes milliseconds.
pub type Parts = Box<dyn FnMut() -> Option<String> + Send>;

/// What goes on at each target of a group, by name.
pub type Targets = Box<dyn FnMut() -> Map<String, Value> + Send>;

/// What goes on, for one who watches.
pub struct Watched {
    /// What went on until now.
    pub history: Parts,
    /// What goes on, each second: a mapping as text, of which `subjects` comes last.
    pub samples: broadcast::Receiver<Arc<str>>,
    /// What goes on at each target of the group that was asked for.
    pub targets: Option<Targets>,
}

/// The control plane.
pub struct Plane {
    pub(crate) access: Access,
    pub(crate) around: Surroundings,
    desired: ArcSwap<Desired>,
    directory: ArcSwap<Directory>,
    /// One change of identities at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    kept: Result<Arc<Kept>, String>,
    pass: Pass,
    /// Makes entity tags, so that they tell nothing of what is secret.
    tags: Sealer,
    changes: mpsc::Sender<Asked>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) guesses: Guesses,
    pub(crate) strangers: Strangers,
    /// Large bodies at once.
    pub(crate) large_bodies: Semaphore,
    pub(crate) uses: Uses,
}

impl Plane {
    /// Opens what is kept in a place. A folder that cannot be written is only warned of where anyone may ask and nothing was
    /// kept: changes are then refused.
    ///
    /// # Errors
    /// When what is kept cannot be read, or nothing can be kept and must be.
    pub fn open(
        place: &Place,
        access: Access,
        file: Arc<Config>,
        around: Surroundings,
    ) -> Result<(Self, mpsc::Receiver<Asked>), String> {
        let is_there = place.folder.join(Store::FILE).exists();
        let kept = match open(place) {
            Ok(kept) => Ok(Arc::new(kept)),
            Err(what) if is_there || access == Access::Required => return Err(what),
            Err(what) => {
                tracing::warn!(%what, "nothing can be kept: the API changes nothing");
                Err(what)
            }
        };
        if let Ok(kept) = &kept
            && let Err(problem) = mend_all(kept)
        {
            // it runs all the same, and is tried again at the next start
            tracing::warn!(
                error = problem.detail(),
                "what was made right of what an older version had kept cannot be kept"
            );
        }
        let directory = kept.as_ref().map_or(Ok(Directory::default()), |kept| read_directory(&*kept.store));
        let (changes, asked) = mpsc::channel(MOST_WAITING);
        let own = kept.as_ref().ok().and_then(|kept| tags_of(&kept.sealer));
        let tags = own.map_or_else(passing_key, Ok)?;
        let pass = Pass::of(kept.as_ref().map_or(&tags, |kept| &kept.sealer));
        let plane = Self {
            access,
            around,
            desired: ArcSwap::from_pointee(Desired::of_file(file)),
            directory: ArcSwap::from_pointee(directory?.indexed()),
            changing: tokio::sync::Mutex::default(),
            kept,
            pass,
            tags,
            changes,
            events: broadcast::Sender::new(MOST_BEHIND),
            guesses: Guesses::default(),
            strangers: Strangers::default(),
            large_bodies: Semaphore::new(MOST_LARGE_BODIES),
            uses: Uses::default(),
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

    /// Has these be who there is. They are [indexed](Directory::indexed), and have been written.
    pub(crate) fn put_directory(&self, directory: Directory) {
        self.directory.store(Arc::new(directory));
    }

    /// Whose session the cookie of a request is of.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub(crate) fn session(&self, fields: &HeaderMap) -> Result<(String, SignedIn), Problem> {
        let missing = || Problem::unauthenticated(sigv4::SignatureError::Missing.to_string());
        let token = cookie::token(fields).ok_or_else(missing)?;
        let directory = self.directory();
        let found = directory.session(&token, now()).map(|(name, session)| (name.to_owned(), session.clone()));
        found.ok_or_else(|| Problem::unauthenticated("the session has ended: sign in again"))
    }

    /// By what it is known who tells of clients.
    pub fn pass(&self) -> Pass {
        self.pass.clone()
    }

    /// Whether the installation has a root identity.
    pub fn is_initialised(&self) -> bool {
        self.directory.load().root.is_some()
    }

    /// The file with what came by the API, as it is kept. To be [published](Self::publish) once it runs.
    ///
    /// # Errors
    /// When they do not go together, or what is kept cannot be read.
    pub fn merged(&self, file: &Arc<Config>) -> Result<Result<Desired, Clash>, String> {
        let Ok(kept) = &self.kept else { return Ok(Ok(Desired::of_file(file.clone()))) };
        let mut api = edits_of(kept).map_err(|problem| problem.detail().to_owned())?;
        api.iter_mut().for_each(|(edit, _)| drop(mend(edit)));
        let revision = kept.store.newest().map_err(|error| error.to_string())?;
        Ok(Desired::merge(file, api, revision))
    }

    /// Writes down that the file was applied, or refused, because somebody who has the machine said so: `by` a signal, or by saving
    /// it.
    pub async fn note_reload(&self, by: &str, changes: &[String], refused: Option<&Problem>) {
        let mut entry = entry_by(by, "ReloadConfiguration", "hrn:headworks:configuration");
        entry.changes = changes.iter().map(|line| shortened(line)).collect();
        if let Some(problem) = refused {
            (entry.status, entry.why) = (problem.status().as_u16(), Some(problem.detail().to_owned()));
        }
        let noted = self.blocking(move |kept| Ok(kept.store.note(&entry)?)).await;
        if let Err(problem) = noted
            && self.kept.is_ok()
        {
            tracing::error!(error = problem.detail(), "a reload is missing from the audit trail");
        }
    }

    /// The newest revision that is kept, whoever made it; none when nothing can be kept.
    pub fn newest(&self) -> Option<u64> {
        self.kept.as_ref().ok()?.store.newest().ok()
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
        let asker = change.asker.clone();
        let seal = |kind: Kind, name: &str, body: &Value| sealed(&kept.sealer, kind, name, body);
        let reader = asker.reader(self);
        let is_sent = change.is_sent;
        let proposed = change.propose(&desired, &|body| self.tag(body), &seal, &reader)?;
        proposed.edits.iter().try_for_each(|(kind, name, _)| {
            let (one, before, after) = ((*kind, name.as_str()), desired.config(), &proposed.config);
            let permitted = asker.may_change_parts(self, one, before, after);
            let permitted = permitted.and_then(|()| asker.may_name(self, one, before, after));
            let is_told = is_sent || reader.knows(*kind, name.as_str());
            permitted.map_err(|refused| if is_told { refused } else { asker.refused_unshown() })
        })?;
        Ok(proposed)
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

    /// Takes in what another process has written, as `headworks init` does.
    pub(crate) async fn follow_others(&self) -> Result<(), Problem> {
        let read = self.blocking(|kept| {
            if kept.store.changed_elsewhere()? {
                read_directory(&*kept.store).map(Some).map_err(Problem::unavailable)
            } else {
                Ok(None)
            }
        });
        if let Some(directory) = read.await? {
            self.put_directory(directory.indexed());
        }
        Ok(())
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
            if count % EXPIRES == 1 {
                self.expire().await;
            }
            let used = if count.is_multiple_of(60) { self.write_uses().await } else { Ok(()) };
            if let (Ok(_), Err(problem)) | (Err(problem), _) = (flushed, used)
                && self.kept.is_ok()
            {
                tracing::error!(error = problem.detail(), "the audit trail cannot be written");
            }
        }
    }

    /// Has what is older than the audit trail is to be leave it.
    async fn expire(&self) {
        let Some(retention) = self.desired().config().admin.audit_retention else { return };
        let cutoff = now_ms().saturating_sub(u64::try_from(retention.as_millis()).unwrap_or(u64::MAX));
        let expired = self.blocking(move |kept| {
            while kept.store.expire(cutoff, entry_by("headworks run", "ExpireAuditEntries", "hrn:headworks:audit"))? > 0
            {
            }
            Ok(())
        });
        if let Err(problem) = expired.await
            && self.kept.is_ok()
        {
            tracing::error!(error = problem.detail(), "what is old stays in the audit trail");
        }
    }

    /// Writes what still waits; for the end.
    pub async fn settle(&self) {
        let _ = self.blocking(|kept| Ok(kept.store.flush()?)).await;
        let _ = self.write_uses().await;
    }

    async fn write_uses(&self) -> Result<(), Problem> {
        let Some(noted) = self.uses.take() else { return Ok(()) };
        let _one = self.changing.lock().await;
        // what another process has changed by now is not to be written over
        self.follow_others().await?;
        let mut directory = (*self.directory()).clone();
        let rows = noted.put(&mut directory);
        let rows: Vec<Identity> = rows.into_iter().map(|(kind, name)| row(&directory, kind, name)).collect();
        self.blocking(move |kept| Ok(kept.store.put_identities(&rows, None)?)).await?;
        self.put_directory(directory.indexed());
        Ok(())
    }
}
