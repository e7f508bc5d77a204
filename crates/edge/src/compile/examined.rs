//! What can be said of a configuration by itself, however long that takes: it is found out aside, before anything is touched.

use std::collections::HashSet;
use std::sync::Arc;

use headworks_model::config::Config;
use headworks_model::primitive::Name;

use super::build::{self, CannotRun};
use super::permission;

/// A configuration that has been looked through.
pub struct Examined {
    pub(crate) config: Arc<Config>,
    /// What stands in the way of running it.
    pub errors: Vec<CannotRun>,
    /// Groups that something forwards to (T5).
    pub(crate) in_use: HashSet<Name>,
    /// Groups whose requests are hedged by what answers take.
    pub(crate) hedged: HashSet<Name>,
}

impl Examined {
    /// Looks it through. Reads the files that are answers; changes nothing.
    pub fn of(config: Arc<Config>) -> Examined {
        let mut errors = build::unfit(&config);
        errors.extend(permission::unpermitted(&config));
        let in_use = build::groups_in_use(&config).into_iter().collect();
        let hedged = build::groups_hedged_by_latency(&config).into_iter().cloned().collect();
        Examined { config, errors, in_use, hedged }
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }
}
