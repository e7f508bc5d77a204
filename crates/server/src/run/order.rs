//! What the control loop is asked to run, how it begins, and how it ended.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::file::{self, Loaded, Refused};

/// Where the configuration comes from, each time it is applied.
#[derive(Clone)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// A text that does not change (`headworks proxy`).
    Text { label: String, text: String, folder: PathBuf },
}

impl Source {
    pub(super) fn load(&self) -> Result<Loaded, Refused> {
        match self {
            Source::File(path) => file::load(path),
            Source::Text { label, text, folder } => file::parse(label, text.clone(), folder),
        }
    }

    pub(super) fn label(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Text { label, .. } => label.clone(),
        }
    }
}

/// How it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// Alone.
    Anew,
    /// In the place of the instance with the same data folder, if there is one.
    Replacing,
    /// Started by that instance, to take over.
    Succeeding,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Stopped(ExitCode),
    /// Another process goes on.
    Replaced,
}

impl From<End> for ExitCode {
    fn from(end: End) -> ExitCode {
        match end {
            End::Stopped(code) => code,
            End::Replaced => ExitCode::SUCCESS,
        }
    }
}

/// What is run, and how.
pub(crate) struct Order {
    pub(crate) source: Source,
    /// Apply the file again whenever it is saved.
    pub(crate) watch: bool,
    pub(crate) beginning: Beginning,
    /// Descriptors that are held while the instance lives, in whichever process.
    pub(crate) held: Vec<OwnedFd>,
}
