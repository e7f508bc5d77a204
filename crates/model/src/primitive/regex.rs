//! Regular expressions that are known to compile. The compiled form is not kept: its owner is whoever matches.

use std::fmt;
use std::sync::Arc;

/// The longest regular expression, in characters.
const LONGEST: usize = 1024;
/// The most memory a compiled one may take, in bytes.
const LARGEST: usize = 1 << 20;
/// How deep groups may nest.
const DEEPEST: u32 = 64;

/// A regular expression that is known to compile; kept as text, because compiling it is the caller's business.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Regex(Arc<str>);

/// Why a text is not a [`Regex`], in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexError(String);

impl Regex {
    /// Takes `text` if it compiles, within bounds of length, size and depth.
    ///
    /// # Errors
    /// The compiler's own message, on one line.
    pub fn new(text: &str) -> Result<Self, RegexError> {
        if text.chars().count() > LONGEST {
            return Err(RegexError(format!("has more than {LONGEST} characters")));
        }
        match regex::RegexBuilder::new(text).size_limit(LARGEST).nest_limit(DEEPEST).build() {
            Ok(_) => Ok(Self(text.into())),
            Err(error) => Err(RegexError(one_line(&error.to_string()))),
        }
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The compiler draws the expression and points into it; the sentence is the last line.
fn one_line(message: &str) -> String {
    let last = message.lines().last().unwrap_or(message).trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for RegexError {}
