//! Patterns of policies: `*` is any text, `?` one character, and what a variable stands for is itself, whatever it looks like.

use crate::request::Request;

/// Whether letters count as they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Sensitive,
    Insensitive,
}

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    One(char),
    AnyOne,
    Any,
}

/// A pattern in which variables have been replaced.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Piece>);

/// A variable that stands for nothing that is known: the pattern matches nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unknown;

impl Pattern {
    /// Wildcards and no variables.
    pub(crate) fn plain(text: &str) -> Self {
        Self(text.chars().map(wild).collect())
    }

    /// Wildcards, and variables by `look_up`: `${aws:username}`, `${aws:username, 'nobody'}`, and `${*}`, `${?}`, `${$}` for
    /// the characters themselves.
    ///
    /// # Errors
    /// When a variable is not known and says no default.
    pub(crate) fn filled(text: &str, look_up: &dyn Fn(&str) -> Option<String>) -> Result<Self, Unknown> {
        let mut pieces = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            pieces.extend(before.chars().map(wild));
            let Some((variable, tail)) = after.split_once('}') else {
                pieces.extend("${".chars().chain(after.chars()).map(wild));
                return Ok(Self(pieces));
            };
            let (name, default) = match variable.split_once(',') {
                Some((name, default)) => {
                    (name.trim(), default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\'')))
                }
                None => (variable.trim(), None),
            };
            let value = match name {
                "*" | "?" | "$" => name.to_owned(),
                name => look_up(name).or(default.map(str::to_owned)).ok_or(Unknown)?,
            };
            pieces.extend(value.chars().map(Piece::One));
            rest = tail;
        }
        pieces.extend(rest.chars().map(wild));
        Ok(Self(pieces))
    }

    /// What a statement names; none when a variable in it is not known, so that it names nothing.
    pub(crate) fn of_resource(text: &str, request: &Request, has_variables: bool) -> Option<Self> {
        match has_variables {
            true => Self::filled(text, &|name| request.value(name)).ok(),
            false => Some(Self::plain(text)),
        }
    }

    /// Whether it fits any text that begins so.
    pub(crate) fn fits_some_that_begin(&self, prefix: &str) -> bool {
        let mut text = prefix.chars();
        for piece in &self.0 {
            match (piece, text.next()) {
                (_, None) | (Piece::Any, _) => return true,
                (Piece::One(wanted), Some(found)) if *wanted != found => return false,
                _ => {}
            }
        }
        text.next().is_none()
    }

    /// Whether all of `text` is as it says. Takes time in proportion to both, never more.
    pub(crate) fn matches(&self, text: &str, case: Case) -> bool {
        let same = |a: char, b: char| match case {
            Case::Sensitive => a == b,
            Case::Insensitive => a == b || a.to_lowercase().eq(b.to_lowercase()),
        };
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut piece) = (0, 0);
        // where the last `*` stands, and how much it has taken by now
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match (self.0.get(piece), text.get(at)) {
                (Some(Piece::Any), _) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                (Some(Piece::AnyOne), _) => (at, piece) = (at + 1, piece + 1),
                (Some(Piece::One(wanted)), Some(found)) if same(*wanted, *found) => (at, piece) = (at + 1, piece + 1),
                _ => match star {
                    Some((place, taken)) => {
                        star = Some((place, taken + 1));
                        (at, piece) = (taken + 1, place + 1);
                    }
                    None => return false,
                },
            }
        }
        self.0.iter().skip(piece).all(|piece| *piece == Piece::Any)
    }

    /// Whether all of `text` is this, wildcards being themselves.
    pub(crate) fn is(&self, text: &str, case: Case) -> bool {
        let own: String = self
            .0
            .iter()
            .map(|piece| match piece {
                Piece::One(one) => *one,
                Piece::AnyOne => '?',
                Piece::Any => '*',
            })
            .collect();
        match case {
            Case::Sensitive => own == text,
            Case::Insensitive => own.to_lowercase() == text.to_lowercase(),
        }
    }
}

fn wild(character: char) -> Piece {
    match character {
        '*' => Piece::Any,
        '?' => Piece::AnyOne,
        other => Piece::One(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, Pattern};

    #[test]
    fn wildcards() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abbbc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*ab*ab", "abxabab", true),
            ("a**b", "ab", true),
            ("hrn:headworks:target-group/web-*", "hrn:headworks:target-group/web-blue", true),
            ("hrn:headworks:target-group/web-*", "hrn:headworks:target-group/api", false),
            ("Put*", "put", false),
        ] {
            assert_eq!(Pattern::plain(pattern).matches(text, Case::Sensitive), fits, "{pattern} {text}");
        }
        assert!(Pattern::plain("PUT*").matches("putTargetGroup", Case::Insensitive));
    }

    #[test]
    fn what_may_begin_so() {
        for (pattern, prefix, fits) in [
            ("ab", "", true),
            ("ab", "a", true),
            ("ab", "ab", true),
            ("ab", "abc", false),
            ("ab", "b", false),
            ("a?c", "ax", true),
            ("a?c", "axd", false),
            ("a*c", "axyz", true),
            ("a*c", "b", false),
            ("*", "anything", true),
        ] {
            assert_eq!(Pattern::plain(pattern).fits_some_that_begin(prefix), fits, "{pattern} {prefix}");
        }
    }

    #[test]
    fn variables_are_themselves() {
        let look_up = |name: &str| (name == "aws:username").then(|| "a*".to_owned());
        let filled = |text: &str| Pattern::filled(text, &look_up);
        assert!(filled("x/${aws:username}").unwrap().matches("x/a*", Case::Sensitive));
        assert!(!filled("x/${aws:username}").unwrap().matches("x/ab", Case::Sensitive));
        assert!(filled("x/${other, 'none'}").unwrap().matches("x/none", Case::Sensitive));
        assert!(filled("${*}").unwrap().matches("*", Case::Sensitive));
        assert!(!filled("${*}").unwrap().matches("x", Case::Sensitive));
        assert!(filled("x/${other}").is_err());
    }
}
