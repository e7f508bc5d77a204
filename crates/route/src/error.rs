//! Why rules cannot be compiled. The reader is whoever applies a configuration: the old table goes on serving.

use std::error::Error;
use std::fmt;

/// A rule that cannot be compiled.
#[derive(Clone, Debug)]
pub struct CompileError {
    /// Index of the rule in the list, from 0.
    pub rule: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a rule.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The regular expression is malformed, or larger than the engine's limit once compiled.
    Regex {
        /// The expression as written.
        text: String,
        /// What the engine says.
        source: regex::Error,
    },
    /// The replacement of a transform names a group that its expression does not have.
    UnknownGroup {
        /// The group as written.
        group: String,
        /// The expression as written.
        regex: String,
    },
    /// More rules than an index can count (2^32 - 1).
    TooManyRules,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} cannot be compiled", self.rule + 1)
    }
}

impl Error for CompileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Regex { text, .. } => write!(f, "regular expression `{text}` does not compile"),
            Fault::UnknownGroup { group, regex } => write!(f, "`{regex}` has no group `{group}`"),
            Fault::TooManyRules => f.write_str("too many rules"),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Fault::Regex { source, .. } => Some(source),
            Fault::UnknownGroup { .. } | Fault::TooManyRules => None,
        }
    }
}
