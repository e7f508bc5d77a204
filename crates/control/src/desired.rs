//! What should be: the file, and what came by the API, as one configuration that is valid as a whole. Immutable; a change makes
//! another, which is published by exchanging a pointer.

use std::collections::BTreeMap;
use std::sync::Arc;

use headworks_model::primitive::Name;
use headworks_model::{Config, Edit, Faults, Kind};
use serde_json::{Value, json};

/// Where a resource is declared, and so who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File,
    /// The API.
    Api {
        /// The revision that made it what it is.
        revision: u64,
    },
}

impl Origin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api { .. } => "api",
        }
    }
}

/// Everything that should be, at one moment.
#[derive(Clone, Debug)]
pub struct Desired {
    config: Arc<Config>,
    /// What came by the API; everything else is the file's.
    ours: BTreeMap<(Kind, Name), u64>,
    revision: u64,
}

/// Why a file does not go with what came by the API.
#[derive(Clone, Debug)]
pub enum Clash {
    /// It declares what came by the API already: paths, as `target_groups.web`.
    Twice(Vec<String>),
    /// What came by the API is not right together with it.
    Faults(Faults),
}

impl Desired {
    /// The file alone.
    pub fn of_file(file: Arc<Config>) -> Self {
        Self { config: file, ours: BTreeMap::new(), revision: 0 }
    }

    /// A file and what came by the API, with the revision of each.
    ///
    /// # Errors
    /// When they do not go together.
    pub fn merge(file: &Arc<Config>, api: Vec<(Edit, u64)>, revision: u64) -> Result<Self, Clash> {
        let both = |(edit, _): &&(Edit, u64)| file.has(edit.kind, edit.name.as_str());
        let twice: Vec<String> = api.iter().filter(both).map(|(edit, _)| path(edit.kind, &edit.name)).collect();
        if !twice.is_empty() {
            return Err(Clash::Twice(twice));
        }
        let ours = api.iter().map(|(edit, revision)| ((edit.kind, edit.name.clone()), *revision)).collect();
        let edits: Vec<Edit> = api.into_iter().map(|(edit, _)| edit).collect();
        let config = match edits.is_empty() {
            true => file.clone(),
            false => Arc::new(file.edited(&edits).map_err(Clash::Faults)?.config),
        };
        Ok(Self { config, ours, revision })
    }

    /// The same API resources with another file.
    ///
    /// # Errors
    /// When they do not go together.
    pub fn with_file(&self, file: &Arc<Config>) -> Result<Self, Clash> {
        let edit = |((kind, name), revision): (&(Kind, Name), &u64)| {
            let body = self.config.resource(*kind, name.as_str());
            (Edit { kind: *kind, name: name.clone(), body }, *revision)
        };
        Self::merge(file, self.ours.iter().map(edit).collect(), self.revision)
    }

    /// After a change that was recorded as `revision`.
    pub(crate) fn after(&self, config: Arc<Config>, edits: &[(Kind, Name, Gone)], revision: u64) -> Self {
        let mut ours = self.ours.clone();
        for (kind, name, gone) in edits {
            match gone {
                Gone::Yes => drop(ours.remove(&(*kind, name.clone()))),
                Gone::No => drop(ours.insert((*kind, name.clone()), revision)),
            }
        }
        Self { config, ours, revision }
    }

    /// The whole.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The newest revision that is in it.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What stands for all that came by the API, where a tag of it is made.
    pub(crate) fn state(&self) -> Value {
        state(self.revision)
    }

    /// Where a resource is declared; none when there is none.
    pub fn origin(&self, kind: Kind, name: &str) -> Option<Origin> {
        if !self.config.has(kind, name) {
            return None;
        }
        let name = Name::new(name).ok()?;
        Some(self.ours.get(&(kind, name)).map_or(Origin::File, |revision| Origin::Api { revision: *revision }))
    }

    /// What came by the API.
    pub fn ours(&self) -> impl Iterator<Item = (Kind, &Name)> {
        self.ours.keys().map(|(kind, name)| (*kind, name))
    }
}

/// All that came by the API, as of a revision.
pub(crate) fn state(revision: u64) -> Value {
    json!({ "revision": revision })
}

/// Whether a change took a resource away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Yes,
    No,
}

pub(crate) fn path(kind: Kind, name: &Name) -> String {
    format!("{}.{name}", kind.collection())
}
