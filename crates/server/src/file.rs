//! The configuration file: read, parsed, its relative paths made whole.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headworks_edge::CannotRun;
use headworks_model::Config;
use headworks_model::Faults;
use headworks_model::Resolve;
use headworks_model::action::{Action, Forward};
use headworks_model::target_group::Fallback;
use headworks_model::{Change, Kind, Parsed, difference_of_shown, place, redact};
use serde_json::Value;

/// Why a file is refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It is wrong.
    Faults(Faults),
    /// It is right, but cannot be run here.
    CannotRun(Vec<String>),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Unreadable(path, error) => {
                write!(f, "{}:1:1: cannot be read ({error}), expected a configuration file", path.display())
            }
            Refused::Faults(faults) => faults.fmt(f),
            Refused::CannotRun(faults) => f.write_str(&faults.join("\n")),
        }
    }
}

impl std::error::Error for Refused {}

/// A configuration as it is shown: in its canonical form, without secrets. Made when it is looked at, which is seldom, for of a
/// hundred thousand targets it is much.
#[derive(Clone, Debug)]
pub(crate) struct Canonical {
    config: Arc<Config>,
    /// Paths of what is a secret.
    secrets: Arc<[String]>,
}

impl Canonical {
    /// The tree.
    pub(crate) fn value(&self) -> Value {
        let mut value = self.config.to_json();
        redact(&mut value, &self.secrets);
        value
    }

    /// With what is secret.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What changes when `new` comes in the place of this.
    pub(crate) fn difference(&self, new: &Canonical) -> Vec<Change> {
        difference_of_shown((&self.config, &self.secrets), (&new.config, &new.secrets))
    }
}

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Arc<Config>,
    /// Paths of what is a secret.
    secrets: Arc<[String]>,
    pub(crate) warnings: Vec<String>,
    text: String,
    label: String,
    folder: PathBuf,
}

/// `${env:...}` from this process, `${file:...}` from the file's folder.
pub(crate) struct Surroundings<'a>(pub(crate) &'a Path);

impl Resolve for Surroundings<'_> {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(self.0.join(path))
    }
}

/// The folder that a file's relative paths start at.
pub(crate) fn folder(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().unwrap_or_else(|_| parent.to_owned())
}

/// Reads and validates a file.
///
/// # Errors
/// With all that is wrong.
pub(crate) fn load(path: &Path) -> Result<Loaded, Refused> {
    let text = std::fs::read_to_string(path).map_err(|e| Refused::Unreadable(path.to_owned(), e))?;
    let folder = folder(path);
    parse(&path.display().to_string(), text, &folder)
}

/// Validates a text whose relative paths start at `folder`.
///
/// # Errors
/// With all that is wrong.
pub(crate) fn parse(label: &str, text: String, folder: &Path) -> Result<Loaded, Refused> {
    let Parsed { mut config, warnings, secrets } =
        Config::parse(label, &text, &Surroundings(folder)).map_err(Refused::Faults)?;
    config.admin.data = folder.join(&config.admin.data);
    config.admin.key_file = config.admin.key_file.map(|path| folder.join(path));
    absolute_files(&mut config, folder);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let (config, label, folder) = (Arc::new(config), label.to_owned(), folder.to_owned());
    Ok(Loaded { config, secrets: secrets.into(), warnings, text, label, folder })
}

/// Makes the paths of logs, certificates, answers and the like whole.
fn absolute_files(config: &mut Config, folder: &Path) {
    absolute_answers(config, folder);
    for log in config.load_balancers.values_mut().filter_map(|balancer| balancer.access_log.as_mut()) {
        log.path = folder.join(&log.path);
    }
    let certificates = config.certificates.values_mut();
    let certificates =
        certificates.flat_map(|c| [Some(&mut c.certificate), Some(&mut c.key), c.ocsp.as_mut()]).flatten();
    let listeners = config.load_balancers.values_mut().flat_map(|balancer| balancer.listeners.values_mut());
    let clients = listeners.filter_map(|listener| listener.mutual_authentication.as_mut());
    let clients = clients.flat_map(|mutual| [mutual.trust_store.as_mut(), mutual.crl.as_mut()]).flatten();
    let groups = config.target_groups.values_mut();
    let targets = groups.filter_map(|group| group.tls.as_mut().and_then(|tls| tls.ca.as_mut()));
    let authority = config.acme.as_mut().and_then(|acme| acme.ca.as_mut());
    for path in certificates.chain(clients).chain(targets).chain(authority) {
        *path = folder.join(&*path);
    }
}

/// The same of files that are answers.
fn absolute_answers(config: &mut Config, folder: &Path) {
    for listener in config.load_balancers.values_mut().flat_map(|balancer| balancer.listeners.values_mut()) {
        // what others share is left to them
        if listener.rules.iter().any(|rule| file_of(&rule.action).is_some_and(Path::is_relative)) {
            Arc::make_mut(&mut listener.rules).iter_mut().for_each(|rule| absolute_answer(&mut rule.action, folder));
        }
        absolute_answer(&mut listener.default.action, folder);
    }
    config.target_groups.values_mut().for_each(|group| absolute_fallback(&mut group.fallback, folder));
}

fn file_of(action: &Action) -> Option<&Path> {
    match action {
        Action::Forward(Forward { fallback: Some(Fallback::File(file)), .. }) => Some(&file.path),
        _ => None,
    }
}

fn absolute_answer(action: &mut Action, folder: &Path) {
    if let Action::Forward(Forward { fallback: Some(fallback), .. }) = action {
        absolute_fallback(fallback, folder);
    }
}

fn absolute_fallback(fallback: &mut Fallback, folder: &Path) {
    if let Fallback::File(file) = fallback {
        file.path = folder.join(&file.path);
    }
}

impl Loaded {
    /// What is shown, and what differences are made of.
    pub(crate) fn shown(&self) -> Canonical {
        Canonical { config: self.config.clone(), secrets: self.secrets.clone() }
    }

    /// Has in common with what was loaded before what is the same, as long as nobody else has it.
    pub(crate) fn share(&mut self, before: &Config) {
        if let Some(config) = Arc::get_mut(&mut self.config) {
            config.share(before);
        }
    }

    /// What stands in the way of running it, with its places in the file.
    pub(crate) fn placed(&self, errors: &[CannotRun]) -> Refused {
        Refused::CannotRun(self.places(errors))
    }

    /// A configuration that has more in it than the file, with the paths in it made whole. Where it has not, that of the file.
    pub(crate) fn whole(&self, config: &Arc<Config>) -> Arc<Config> {
        if Arc::ptr_eq(config, &self.config) {
            return config.clone();
        }
        let mut config = (**config).clone();
        absolute_files(&mut config, &self.folder);
        Arc::new(config)
    }

    /// Whether a path is that of something in the file.
    fn has(&self, path: &str) -> bool {
        let Some((collection, rest)) = path.split_once('.') else { return true };
        let Some(kind) = Kind::of_collection(collection) else { return true };
        let starts = |name: &str| rest.strip_prefix(name).is_some_and(|tail| tail.is_empty() || tail.starts_with('.'));
        self.config.names(kind).any(|name| starts(name.as_str()))
    }

    /// Each on a line, with its place in the file.
    pub(crate) fn places(&self, errors: &[CannotRun]) -> Vec<String> {
        let placed = errors.iter().map(|error| match place(&self.text, &error.path) {
            _ if !self.has(&error.path) => format!("by the API: {error}"),
            Some((line, column)) => format!("{}:{line}:{column}: {error}", self.label),
            None => format!("{}: {error}", self.label),
        });
        placed.collect()
    }
}
