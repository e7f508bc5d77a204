//! The configuration file: read, parsed, its relative paths made whole.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headworks_control::FileFault;
use headworks_edge::CannotRun;
use headworks_model::Config;
use headworks_model::Fault;
use headworks_model::Faults;
use headworks_model::Resolve;
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
    CannotRun(Vec<FileFault>),
}

impl Refused {
    /// All that is wrong.
    pub(crate) fn faults(&self) -> Vec<FileFault> {
        match self {
            Refused::Unreadable(path, error) => vec![FileFault {
                place: (Some(path.display().to_string()), Some((1, 1))),
                path: String::new(),
                what: format!("cannot be read ({error}), expected a configuration file"),
            }],
            Refused::Faults(faults) => faults.iter().map(fault_of).collect(),
            Refused::CannotRun(faults) => faults.clone(),
        }
    }
}

/// A fault of the file, for whoever asked for it to be applied.
pub(crate) fn fault_of(fault: &Fault) -> FileFault {
    let expected = fault.expected.as_ref().map(|expected| format!(", expected {expected}")).unwrap_or_default();
    let at = (fault.line > 0).then_some((fault.line, fault.column));
    let file = at.map(|_| fault.file.to_string());
    FileFault { place: (file, at), path: fault.path.clone(), what: format!("{}{expected}", fault.what) }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.faults().iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
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
    pub(crate) folder: PathBuf,
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
    config.make_files_absolute(folder);
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let (config, label, folder) = (Arc::new(config), label.to_owned(), folder.to_owned());
    Ok(Loaded { config, secrets: secrets.into(), warnings, text, label, folder })
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
        config.make_files_absolute(&self.folder);
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
    pub(crate) fn places(&self, errors: &[CannotRun]) -> Vec<FileFault> {
        let placed = errors.iter().map(|error| {
            let place = match self.has(&error.path) {
                true => (Some(self.label.to_string()), place(&self.text, &error.path)),
                false => (Some("by the API".to_owned()), None),
            };
            FileFault { place, path: error.path.clone(), what: error.what.clone() }
        });
        placed.collect()
    }
}
