//! One value of a condition, compiled: a wildcard pattern or a regular expression.
//!
//! Regular expressions (R10) are those of the `regex` crate, over bytes, linear in the text. They are searched for, not
//! anchored: write `^` and `$` where they are meant. Hosts and header values are compared without case, paths with.

use std::collections::HashMap;
use std::sync::Arc;

use headworks_model::primitive::TextMatch;
use regex::bytes::{Regex, RegexBuilder};

use crate::error::Fault;
use crate::wildcard::{Case, Wildcard};

/// A compiled value.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    Wildcard(Wildcard),
    Regex(Arc<Regex>),
}

/// The values of one condition. A single one, the usual case, needs no memory of its own.
#[derive(Clone, Debug)]
pub(crate) enum Values {
    One(Matcher),
    Many(Box<[Matcher]>),
}

impl Values {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[Matcher] {
        match self {
            Values::One(matcher) => std::slice::from_ref(matcher),
            Values::Many(matchers) => matchers,
        }
    }

    /// Whether any value matches.
    #[inline]
    pub(crate) fn match_any(&self, text: &[u8], case: Case) -> bool {
        self.as_slice().iter().any(|value| value.matches(text, case))
    }
}

impl Matcher {
    #[inline]
    pub(crate) fn matches(&self, text: &[u8], case: Case) -> bool {
        match self {
            Matcher::Wildcard(wildcard) => wildcard.matches(text, case),
            Matcher::Regex(regex) => regex.is_match(text),
        }
    }

    pub(crate) fn is_regex(&self) -> bool {
        matches!(self, Matcher::Regex(_))
    }
}

/// Compiles values; the same expression in a thousand rules is compiled once.
#[derive(Debug, Default)]
pub(crate) struct Matchers {
    regexes: HashMap<(String, Case), Arc<Regex>>,
}

impl Matchers {
    pub(crate) fn all(&mut self, values: &[TextMatch], case: Case) -> Result<Values, Fault> {
        Ok(match values {
            [value] => Values::One(self.one(value, case)?),
            many => Values::Many(many.iter().map(|value| self.one(value, case)).collect::<Result<_, _>>()?),
        })
    }

    fn one(&mut self, value: &TextMatch, case: Case) -> Result<Matcher, Fault> {
        Ok(match value {
            TextMatch::Wildcard(pattern) => Matcher::Wildcard(Wildcard::new(pattern, case)),
            TextMatch::Regex(regex) => {
                let key = (regex.as_str().to_owned(), case);
                if let Some(known) = self.regexes.get(&key) {
                    return Ok(Matcher::Regex(Arc::clone(known)));
                }
                let compiled = Arc::new(regex_of(regex.as_str(), case)?);
                self.regexes.insert(key, Arc::clone(&compiled));
                Matcher::Regex(compiled)
            }
        })
    }
}

/// Compiles one expression, within the engine's own size limit (10 MiB).
pub(crate) fn regex_of(text: &str, case: Case) -> Result<Regex, Fault> {
    RegexBuilder::new(text)
        .case_insensitive(case == Case::Insensitive)
        .build()
        .map_err(|source| Fault::Regex { text: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CompileError;

    #[test]
    fn an_expression_beyond_the_engines_limit_is_an_error_with_its_place() {
        let fault = regex_of(r"(\w{100}){100}", Case::Sensitive).unwrap_err();
        let error = CompileError { rule: 1, fault };
        assert_eq!(error.to_string(), "rule 2 cannot be compiled");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.to_string(), r"regular expression `(\w{100}){100}` does not compile");
        assert!(source.source().is_some());
    }

    #[test]
    fn the_same_expression_is_compiled_once() {
        let mut matchers = Matchers::default();
        let value = TextMatch::Regex(headworks_model::primitive::Regex::new("a").unwrap());
        let mut one = |case| match matchers.one(&value, case).unwrap() {
            Matcher::Regex(regex) => regex,
            Matcher::Wildcard(_) => panic!("not an expression"),
        };
        let (first, again, other) = (one(Case::Sensitive), one(Case::Sensitive), one(Case::Insensitive));
        assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
    }
}
