//! A change: asked for by the API, held against what should be, handed to the control loop, recorded once it runs.

use std::sync::Arc;

use axum::http::HeaderMap;
use headworks_model::primitive::Name;
use headworks_model::{Config, Edit, Faults, Kind};
use headworks_store::{Commit, Entry, Identity};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::asker::Asker;
use crate::desired::{Desired, Gone, Origin, path};
use crate::difference::{lines, shortened};
use crate::problem::Problem;
use crate::reader::{Reader, Sent, Touched};
use crate::rewrite::{Operation, Place, rewrite};

/// What stands in place of a secret where it is shown; sent back, it means that nothing changes.
const UNCHANGED: &str = "***";

/// Whether a change is carried out, or only judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// It is carried out.
    Wet,
    /// It is judged.
    Dry,
}

/// What the caller knew of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// It has one of these tags; `*`: it is there.
    pub(crate) if_match: Option<Vec<String>>,
    /// It has none of these; `*`: it is not there.
    pub(crate) if_none_match: Option<Vec<String>>,
}

/// A change of one resource.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) name: Name,
    pub(crate) place: Place,
    pub(crate) operation: Operation,
    pub(crate) condition: Condition,
}

/// What a change is answered with, as the audit trail has to know before it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// The first resource as it is then, which may be new.
    Resource,
    /// A part of it that is new.
    NewPart,
    /// Nothing: it is gone.
    Nothing,
    /// What has changed.
    Summary,
}

/// A change of some resources, done as one or not at all.
#[derive(Clone, Debug)]
pub struct Change {
    pub(crate) steps: Vec<Step>,
    /// What the caller knew of all that comes by the API.
    pub(crate) condition: Condition,
    /// Identities that are written with it, if anything is.
    pub(crate) identities: Vec<Identity>,
    /// Why, in the caller's words.
    pub(crate) reason: String,
    pub(crate) run: Run,
    pub(crate) answered: Answered,
    /// Whether the caller has said what is to be; else it was said before, perhaps by others.
    pub(crate) is_sent: bool,
    /// The attempt, for the audit trail.
    pub(crate) entry: Entry,
    pub(crate) asker: Asker,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

/// A change on its way to the control loop, and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub change: Change,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Outcome, Problem>>,
}

/// What became of a change.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The revision; none when nothing had to change, or nothing was to be done.
    pub(crate) revision: Option<u64>,
    /// What changed, or would.
    pub(crate) changes: Vec<String>,
    /// What is right, but likely not what was meant.
    pub(crate) warnings: Vec<String>,
    /// Resources that were not there before.
    pub(crate) created: bool,
    /// The first resource as it is now, secrets included.
    pub(crate) body: Option<Value>,
}

/// A change that is right, and what will be once it is done.
#[derive(Debug)]
pub struct Proposed {
    /// The whole, as it would be.
    pub config: Arc<Config>,
    pub(crate) commit: Commit,
    pub(crate) edits: Vec<(Kind, Name, Gone)>,
    pub(crate) entry: Entry,
    pub(crate) outcome: Outcome,
    run: Run,
}

impl Proposed {
    /// Whether nothing is to be done: nothing would change, or it was only asked what would.
    pub fn is_settled(&self) -> bool {
        self.edits.is_empty()
    }

    /// Whether it was only asked what would change.
    pub fn is_dry(&self) -> bool {
        self.run == Run::Dry
    }

    /// What is answered when nothing is to be done.
    pub fn settled(self) -> Outcome {
        self.outcome
    }
}

/// One resource before and after.
struct Turned {
    kind: Kind,
    name: Name,
    before: Option<Value>,
    after: Option<Value>,
    place: Place,
    /// The path of the place.
    base: String,
    sent: Sent,
}

impl Turned {
    fn touched(&self) -> Touched<'_> {
        let Self { kind, name, before, after, place, base, sent } = self;
        Touched { kind: *kind, name: name.as_str(), before: before.as_ref(), after: after.as_ref(), place, base, sent }
    }
}

impl Change {
    /// Holds the change against what should be. `tag` makes the entity tag of a body, `seal` what is kept of one; what is told
    /// who asks is what `reader` may be.
    ///
    /// # Errors
    /// When it is not permitted by what is there, or not right.
    pub(crate) fn propose(
        self,
        desired: &Desired,
        tag: &dyn Fn(&Value) -> String,
        seal: &dyn Fn(Kind, &str, &Value) -> Result<String, Problem>,
        reader: &Reader<'_>,
    ) -> Result<Proposed, Problem> {
        self.condition.check(Some(&desired.state()), "what comes by the API", tag)?;
        let mut turned: Vec<Turned> = Vec::with_capacity(self.steps.len());
        for step in self.steps {
            let is_told = self.is_sent || reader.knows(step.kind, step.name.as_str());
            let one = step.turn(desired, tag).map_err(|problem| if is_told { problem } else { unshown() })?;
            turned.push(if self.is_sent { one } else { Turned { sent: Sent::Nothing, ..one } });
        }
        let touched: Vec<Touched<'_>> = turned.iter().map(Turned::touched).collect();
        touched.iter().try_for_each(|one| reader.has_own_name(one))?;
        unreferred(desired, &turned, reader)?;
        let edits: Vec<Edit> =
            turned.iter().map(|one| Edit { kind: one.kind, name: one.name.clone(), body: one.after.clone() }).collect();
        let base = turned.first().map(|one| one.base.clone()).unwrap_or_default();
        let tells = |collection: &str, name: &str| {
            Kind::of_collection(collection).is_none_or(|kind| reader.knows_all_of(kind, name, desired.config()))
        };
        let edited = desired.config().edited_for(&edits, &tells).map_err(|faults| {
            let told = faults.iter().map(|fault| reader.told(fault, &base, &touched, desired.config())).collect();
            Problem::of_faults(&Faults(told), &base)
        })?;
        let warnings = edited.warnings.iter().filter(|warning| reader.is_told(warning, &touched, desired.config()));
        let mut outcome = Outcome {
            warnings: warnings.map(ToString::to_string).collect(),
            created: turned.first().is_some_and(|one| one.before.is_none() && one.after.is_some()),
            ..Outcome::default()
        };
        let (mut kept, mut commits, mut noted) = (Vec::new(), Vec::new(), Vec::new());
        for (index, one) in turned.iter().enumerate() {
            let after = edited.config.resource(one.kind, one.name.as_str());
            if index == 0 {
                outcome.body.clone_from(&after);
            }
            if after == one.before {
                continue;
            }
            let lines = lines(one.kind, &one.name, one.before.as_ref(), after.as_ref());
            noted.extend(lines.iter().map(|line| shortened(line)));
            outcome.changes.extend(reader.lines(&Touched { after: after.as_ref(), ..one.touched() }, lines));
            let body = after.as_ref().map(|body| seal(one.kind, one.name.as_str(), body)).transpose()?;
            kept.push((one.kind, one.name.clone(), if after.is_some() { Gone::No } else { Gone::Yes }));
            let name = one.name.as_str().to_owned();
            commits.push(headworks_store::Edit { kind: one.kind.collection(), name, body });
        }
        let mut entry = self.entry;
        entry.status = match self.answered {
            Answered::NewPart => 201,
            Answered::Resource if outcome.created => 201,
            Answered::Nothing => 204,
            Answered::Resource | Answered::Summary => 200,
        };
        entry.changes.splice(..0, noted);
        let commit = Commit {
            at: self.at,
            principal: entry.principal.clone(),
            reason: self.reason,
            edits: commits,
            identities: self.identities,
        };
        Ok(Proposed { config: Arc::new(edited.config), commit, edits: kept, entry, outcome, run: self.run })
    }
}

impl Step {
    /// The resource before and after.
    fn turn(self, desired: &Desired, tag: &dyn Fn(&Value) -> String) -> Result<Turned, Problem> {
        let before = desired.config().resource(self.kind, self.name.as_str());
        let called = format!("{} {:?}", self.kind, self.name);
        if desired.origin(self.kind, self.name.as_str()) == Some(Origin::File) {
            let path = path(self.kind, &self.name);
            return Err(Problem::conflict(format!(
                "{called} is declared in the configuration file, at {path}: change it there and reload"
            )));
        }
        let part = before.as_ref().and_then(|whole| self.place.find(whole));
        self.condition.check(part, &called, tag)?;
        let is_absent =
            before.is_none() && !matches!((&self.place, &self.operation), (Place::Whole, Operation::Put(_)));
        if is_absent {
            return Err(Problem::not_found(called));
        }
        let inside = before.as_ref().map(|whole| self.place.path(whole)).unwrap_or_default();
        let base = format!("{}{inside}", path(self.kind, &self.name));
        let rules = part.and_then(Value::as_array).map_or(0, Vec::len);
        let sent = Sent::with(&self.operation, rules);
        let mut after = rewrite(before.clone(), &self.place, self.operation)?;
        if let Some(after) = &mut after {
            keep_secrets(self.kind, before.as_ref(), after);
        }
        Ok(Turned { kind: self.kind, name: self.name, before, after, place: self.place, base, sent })
    }
}

/// A secret that came back as it is shown is the one that was there.
fn keep_secrets(kind: Kind, before: Option<&Value>, after: &mut Value) {
    for path in kind.secrets() {
        let before = before.and_then(|before| path.split('.').try_fold(before, |value, key| value.get(key)));
        let now = path.split('.').try_fold(&mut *after, |value, key| value.get_mut(key));
        if let (Some(before), Some(now)) = (before, now)
            && now.as_str() == Some(UNCHANGED)
        {
            *now = before.clone();
        }
    }
}

impl Condition {
    /// That of a request: `If-Match` and `If-None-Match`.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        let tags = |name: &str| {
            let mut lines = fields.get_all(name).iter().peekable();
            lines.peek()?;
            // a weak tag is one that does not tell enough to change what it stands for
            let tags = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
            Some(tags.map(|tag| tag.trim().to_owned()).collect())
        };
        Self { if_match: tags("if-match"), if_none_match: tags("if-none-match") }
    }

    /// Whether it holds of what was found.
    pub(crate) fn check(
        &self,
        found: Option<&Value>,
        called: &str,
        tag: &dyn Fn(&Value) -> String,
    ) -> Result<(), Problem> {
        self.check_tag(found.map(tag).as_deref(), called)
    }

    /// The same of what has this tag.
    pub(crate) fn check_tag(&self, found: Option<&str>, called: &str) -> Result<(), Problem> {
        let has = |tags: &Vec<String>| match found {
            Some(found) => tags.iter().any(|tag| tag == "*" || tag == found),
            None => false,
        };
        if self.if_match.as_ref().is_some_and(|tags| !has(tags)) {
            let now = found.map_or("it is not there".to_owned(), |tag| format!("it is {tag} now"));
            return Err(Problem::precondition(format!("{called} is not what If-Match says: {now}")));
        }
        if self.if_none_match.as_ref().is_some_and(has) {
            return Err(Problem::precondition(format!(
                "{called} is there already, and If-None-Match says that it is not"
            )));
        }
        Ok(())
    }
}

/// The refusal of what was not named by the caller and is not shown to it.
fn unshown() -> Problem {
    Problem::conflict("it does not go with something that is not shown to whoever asks")
}

/// Nothing that stays refers to what goes.
fn unreferred(desired: &Desired, turned: &[Turned], reader: &Reader<'_>) -> Result<(), Problem> {
    let tells = |kind: Kind, name: &Name| reader.knows_all_of(kind, name.as_str(), desired.config());
    let is_going = |kind: Kind, name: &Name| turned.iter().any(|one| one.kind == kind && one.name == *name);
    for one in turned.iter().filter(|one| one.after.is_none()) {
        let referrers = desired.config().referrers(one.kind, one.name.as_str());
        let staying: Vec<_> = referrers.into_iter().filter(|(kind, name, _)| !is_going(*kind, name)).collect();
        if staying.is_empty() {
            continue;
        }
        let known = staying.iter().filter(|(kind, name, _)| tells(*kind, name));
        let paths: Vec<String> = known.map(|(.., path)| path.clone()).collect();
        let untold = staying.len() - paths.len();
        return Err(Problem::in_use(format_args!("{} {:?}", one.kind, one.name), &paths, untold));
    }
    Ok(())
}
