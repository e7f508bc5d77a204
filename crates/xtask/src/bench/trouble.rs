//! Why a bench cannot go on, in words for whoever started it.

use std::fmt;
use std::io;

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The command line.
    Usage(String),
    /// The system refused something.
    Io(String, io::Error),
    /// A program is not there and cannot be installed.
    Missing(String),
    /// A proxy or the origin does not come up; with the end of what it said.
    Start { name: String, why: String, said: String },
    /// A measurement that would mean nothing.
    Invalid(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Usage(what) | Trouble::Missing(what) | Trouble::Invalid(what) => f.write_str(what),
            Trouble::Io(what, error) => write!(f, "{what}: {error}"),
            Trouble::Start { name, why, said } if said.is_empty() => write!(f, "{name} {why}, and said nothing"),
            Trouble::Start { name, why, said } => write!(f, "{name} {why}; it said:\n{said}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// Puts the words `what` before an error of the system.
pub(crate) fn io(what: impl fmt::Display) -> impl FnOnce(io::Error) -> Trouble {
    let what = what.to_string();
    move |error| Trouble::Io(what, error)
}
