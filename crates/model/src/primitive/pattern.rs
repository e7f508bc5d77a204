//! Wildcard patterns (R4) as written and as a row of tokens. Matching is the route crate's.

use std::fmt;
use std::sync::Arc;

use super::Regex;

/// The longest pattern, in characters. AWS says 128 and its API will hold to that.
const LONGEST: usize = 1024;

/// A wildcard pattern as written: `*` is zero or more characters, `?` exactly one, and `\*`, `\?` and `\\` the characters
/// themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Arc<str>);

/// One value of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// A wildcard pattern.
    Wildcard(Pattern),
    /// A regular expression in the syntax of the `regex` crate, written `{ regex: "..." }`.
    Regex(Regex),
}

/// A piece of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PatternToken {
    /// These bytes, unescaped; never empty, never next to another literal.
    Literal(Vec<u8>),
    /// `*`: zero or more characters. Neighbouring stars are one.
    Any,
    /// `?`: exactly one character.
    One,
}

/// Why a text is not a [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// More than 1024 characters.
    TooLong,
    /// A character outside 0x20 to 0x7e.
    NotVisibleAscii,
    /// A `\` before something other than `*`, `?` or `\`.
    BadEscape,
}

impl Pattern {
    /// Takes `text` if it is a pattern. The empty text is one; it matches the empty text.
    ///
    /// # Errors
    /// When it is too long, has other than visible ASCII, or an escape that means nothing.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if !text.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
            return Err(PatternError::NotVisibleAscii);
        }
        if text.len() > LONGEST {
            return Err(PatternError::TooLong);
        }
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'\\' && !matches!(bytes.next(), Some(b'*' | b'?' | b'\\')) {
                return Err(PatternError::BadEscape);
            }
        }
        Ok(Self(text.into()))
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern in pieces, escapes undone. Empty for the empty pattern.
    pub fn tokens(&self) -> Vec<PatternToken> {
        let mut tokens = Vec::new();
        let mut literal = Vec::new();
        let mut bytes = self.0.bytes();
        while let Some(byte) = bytes.next() {
            let wildcard = match byte {
                b'*' => PatternToken::Any,
                b'?' => PatternToken::One,
                b'\\' => {
                    literal.extend(bytes.next());
                    continue;
                }
                byte => {
                    literal.push(byte);
                    continue;
                }
            };
            if !literal.is_empty() {
                tokens.push(PatternToken::Literal(std::mem::take(&mut literal)));
            }
            if wildcard != PatternToken::Any || tokens.last() != Some(&PatternToken::Any) {
                tokens.push(wildcard);
            }
        }
        if !literal.is_empty() {
            tokens.push(PatternToken::Literal(literal));
        }
        tokens
    }

    /// Whether it has no wildcard, so that it matches one text only.
    pub fn is_literal(&self) -> bool {
        let mut bytes = self.0.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'*' | b'?' => return false,
                b'\\' => drop(bytes.next()),
                _ => {}
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "has more than {LONGEST} characters"),
            Self::NotVisibleAscii => f.write_str("has characters that are not visible ASCII"),
            Self::BadEscape => f.write_str("has a \\ that is not followed by *, ? or \\"),
        }
    }
}

impl std::error::Error for PatternError {}
