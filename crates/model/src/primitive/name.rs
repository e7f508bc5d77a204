//! The name of a declared resource.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The longest name, in characters.
const LONGEST: usize = 64;

/// The name of a declared resource: 1 to 64 of `A-Za-z0-9._-`, not starting or ending with `-` or `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Name(Arc<str>);

/// Why a text is not a [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError;

impl Name {
    /// Takes `text` if it is a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has characters a name has not.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let edge = |c: char| c == '-' || c == '.';
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fine = !text.is_empty()
            && text.len() <= LONGEST
            && text.chars().all(inner)
            && !text.starts_with(edge)
            && !text.ends_with(edge);
        if fine { Ok(Self(text.into())) } else { Err(NameError) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

/// A map keyed by names may be asked with text.
impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a name: 1 to {LONGEST} of A-Za-z0-9._-, not starting or ending with - or .")
    }
}

impl std::error::Error for NameError {}
