//! Wildcard patterns (R4), compiled: `*` is zero or more bytes, `?` exactly one byte, `\*` and `\?` the characters.
//!
//! Works on bytes: `?` takes one byte of a multi-byte UTF-8 character, not the character, as patterns are visible ASCII
//! (R4) and so are the texts they are meant for. Never backtracks past a `*`: the worst case is text length times
//! pattern length.

use std::borrow::Cow;

use headworks_model::primitive::{Pattern, PatternToken};

/// Whether letters of the ASCII alphabet are told apart by case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Case {
    Sensitive,
    Insensitive,
}

/// A compiled pattern. Literals are lower case when the pattern was compiled without case.
#[derive(Clone, Debug)]
pub(crate) enum Wildcard {
    /// `*`
    Any,
    /// No wildcard at all.
    Exact(Box<[u8]>),
    /// `lit*`
    Prefix(Box<[u8]>),
    /// `*lit`
    Suffix(Box<[u8]>),
    /// `*lit*`
    Contains(Box<Needle>),
    /// Everything else.
    General(Box<General>),
}

/// What a text must have, at least, to match: what an index can be keyed by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key<'w> {
    /// The text itself.
    Exact(&'w [u8]),
    /// How it begins.
    Prefix(Cow<'w, [u8]>),
    /// How it ends.
    Suffix(Cow<'w, [u8]>),
    /// Nothing in particular.
    None,
}

/// A literal that is looked for anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Needle {
    literal: Box<[u8]>,
    finder: memchr::memmem::Finder<'static>,
}

/// Pieces between stars: the first is anchored at the start, the last at the end, the others come in order.
#[derive(Clone, Debug)]
pub(crate) struct General {
    first: Piece,
    middle: Box<[Piece]>,
    /// `None`: there is no star, so that `first` must be the whole text.
    last: Option<Piece>,
}

/// Bytes and `?` (as `None`), one after the other.
type Piece = Box<[Option<u8>]>;

impl Case {
    #[inline]
    pub(crate) fn fold(self, byte: u8) -> u8 {
        match self {
            Case::Sensitive => byte,
            Case::Insensitive => byte.to_ascii_lowercase(),
        }
    }

    #[inline]
    pub(crate) fn equal(self, a: &[u8], b: &[u8]) -> bool {
        match self {
            Case::Sensitive => a == b,
            Case::Insensitive => a.eq_ignore_ascii_case(b),
        }
    }
}

impl Wildcard {
    /// Compiles a pattern.
    pub(crate) fn new(pattern: &Pattern, case: Case) -> Wildcard {
        Self::usual(pattern.as_str(), case).unwrap_or_else(|| Self::of_tokens(pattern, case))
    }

    /// What most patterns are, as one text with or without stars at one end: of ten thousand, taking each apart first costs more
    /// than all the rest.
    fn usual(pattern: &str, case: Case) -> Option<Wildcard> {
        if pattern.bytes().any(|byte| matches!(byte, b'?' | b'\\')) {
            return None;
        }
        let behind = pattern.trim_start_matches('*');
        let literal = behind.trim_end_matches('*');
        if literal.contains('*') {
            return None;
        }
        let folded = literal.bytes().map(|byte| case.fold(byte)).collect::<Box<[u8]>>();
        match (behind.len() < pattern.len(), literal.len() < behind.len()) {
            (false, false) => Some(Wildcard::Exact(folded)),
            (false, true) => Some(Wildcard::Prefix(folded)),
            (true, false) if folded.is_empty() => Some(Wildcard::Any),
            (true, false) => Some(Wildcard::Suffix(folded)),
            (true, true) => None,
        }
    }

    fn of_tokens(pattern: &Pattern, case: Case) -> Wildcard {
        let tokens = pattern.tokens();
        let piece = |tokens: &[PatternToken]| {
            let mut piece = Vec::new();
            for token in tokens {
                match token {
                    PatternToken::Literal(literal) => piece.extend(literal.iter().map(|b| Some(case.fold(*b)))),
                    PatternToken::One | PatternToken::Any => piece.push(None),
                }
            }
            Piece::from(piece)
        };
        let mut pieces: Vec<Piece> = tokens.split(|t| *t == PatternToken::Any).map(piece).collect();
        let literal = |piece: &Piece| piece.iter().copied().collect::<Option<Box<[u8]>>>();
        let last = if pieces.len() > 1 { pieces.pop() } else { None };
        let first = if pieces.is_empty() { Piece::default() } else { pieces.remove(0) };
        pieces.retain(|p| !p.is_empty());
        let middle = pieces;
        let literals = (literal(&first), last.as_ref().map(literal), middle.as_slice());
        match literals {
            (Some(exact), None, _) => Wildcard::Exact(exact),
            (Some(prefix), Some(Some(suffix)), []) if suffix.is_empty() => match prefix.is_empty() {
                true => Wildcard::Any,
                false => Wildcard::Prefix(prefix),
            },
            (Some(prefix), Some(Some(suffix)), []) if prefix.is_empty() => Wildcard::Suffix(suffix),
            (Some(prefix), Some(Some(suffix)), [one]) if prefix.is_empty() && suffix.is_empty() => match literal(one) {
                Some(needle) => Wildcard::Contains(Box::new(Needle::new(needle))),
                None => Wildcard::General(Box::new(General { first, middle: middle.into(), last })),
            },
            _ => Wildcard::General(Box::new(General { first, middle: middle.into(), last })),
        }
    }

    /// Whether the whole of `text` matches. `case` is the one given to [`Wildcard::new`].
    #[inline]
    pub(crate) fn matches(&self, text: &[u8], case: Case) -> bool {
        match self {
            Wildcard::Any => true,
            Wildcard::Exact(literal) => case.equal(text, literal),
            Wildcard::Prefix(literal) => text.get(..literal.len()).is_some_and(|head| case.equal(head, literal)),
            Wildcard::Suffix(literal) => ends_with(text, literal, case),
            Wildcard::Contains(needle) => needle.is_in(text, case),
            Wildcard::General(general) => general.matches(text, case),
        }
    }

    /// What every matching text has in common, folded like the pattern.
    pub(crate) fn key(&self) -> Key<'_> {
        match self {
            Wildcard::Any | Wildcard::Contains(_) => Key::None,
            Wildcard::Exact(literal) => Key::Exact(literal),
            Wildcard::Prefix(literal) => Key::Prefix(Cow::Borrowed(literal)),
            Wildcard::Suffix(literal) => Key::Suffix(Cow::Borrowed(literal)),
            Wildcard::General(general) => general.key(),
        }
    }
}

fn ends_with(text: &[u8], literal: &[u8], case: Case) -> bool {
    let tail = text.len().checked_sub(literal.len()).and_then(|at| text.get(at..));
    tail.is_some_and(|tail| case.equal(tail, literal))
}

impl Needle {
    fn new(literal: Box<[u8]>) -> Needle {
        let finder = memchr::memmem::Finder::new(&literal).into_owned();
        Needle { literal, finder }
    }

    fn is_in(&self, text: &[u8], case: Case) -> bool {
        match case {
            Case::Sensitive => self.finder.find(text).is_some(),
            Case::Insensitive => text.windows(self.literal.len()).any(|w| w.eq_ignore_ascii_case(&self.literal)),
        }
    }
}

impl General {
    fn matches(&self, text: &[u8], case: Case) -> bool {
        let Some(last) = &self.last else {
            return text.len() == self.first.len() && starts_with(text, &self.first, case);
        };
        if !starts_with(text, &self.first, case) {
            return false;
        }
        let end = text.len().checked_sub(last.len());
        let Some((mut rest, tail)) = end.and_then(|end| Some((text.get(self.first.len()..end)?, text.get(end..)?)))
        else {
            return false;
        };
        if !starts_with(tail, last, case) {
            return false;
        }
        // The leftmost place of each piece leaves the most room for those after it, so that no place is tried twice.
        for piece in &self.middle {
            let Some(place) = rest.windows(piece.len()).position(|w| starts_with(w, piece, case)) else {
                return false;
            };
            rest = rest.get(place + piece.len()..).unwrap_or_default();
        }
        true
    }

    fn key(&self) -> Key<'static> {
        let prefix: Vec<u8> = self.first.iter().map_while(|b| *b).collect();
        let ending = self.last.as_ref().unwrap_or(&self.first);
        let mut suffix: Vec<u8> = ending.iter().rev().map_while(|b| *b).collect();
        suffix.reverse();
        match (prefix.len(), suffix.len()) {
            (0, 0) => Key::None,
            (p, s) if p >= s => Key::Prefix(prefix.into()),
            _ => Key::Suffix(suffix.into()),
        }
    }
}

fn starts_with(text: &[u8], piece: &[Option<u8>], case: Case) -> bool {
    text.len() >= piece.len()
        && text.iter().zip(piece).all(|(byte, want)| want.is_none_or(|want| want == case.fold(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, case: Case, yes: &[&str], no: &[&str]) {
        let compiled = Wildcard::new(&Pattern::new(pattern).unwrap(), case);
        for text in yes {
            assert!(compiled.matches(text.as_bytes(), case), "{pattern} should match {text}: {compiled:?}");
        }
        for text in no {
            assert!(!compiled.matches(text.as_bytes(), case), "{pattern} should not match {text}: {compiled:?}");
        }
    }

    #[test]
    fn stars_take_zero_or_more_and_question_marks_one() {
        check("*", Case::Sensitive, &["", "a", "/a/b"], &[]);
        check("**", Case::Sensitive, &["", "a"], &[]);
        check("", Case::Sensitive, &[""], &["a"]);
        check("/a", Case::Sensitive, &["/a"], &["/A", "/ab", "/", ""]);
        check("/a*", Case::Sensitive, &["/a", "/ab"], &["/A", "a"]);
        check("*.jpg", Case::Sensitive, &[".jpg", "a.jpg"], &["a.jpg2", "jpg", ".JPG"]);
        check("*bc*", Case::Sensitive, &["bc", "abcd"], &["b", "aBc", ""]);
        check("?", Case::Sensitive, &["a"], &["", "ab"]);
        check("a?c", Case::Sensitive, &["abc", "a?c"], &["ac", "abbc"]);
        check("?*", Case::Sensitive, &["a", "ab"], &[""]);
        check("*?*", Case::Sensitive, &["a", "ab"], &[""]);
        check("a*b?c*d", Case::Sensitive, &["abxcd", "a-bb-c-bxc-d"], &["abcd", "abxc", "bxcd"]);
        check("a*a", Case::Sensitive, &["aa", "aba"], &["a"]);
        check("*ab*ab*", Case::Sensitive, &["abab", "xabyabz"], &["aba", "ab"]);
    }

    #[test]
    fn case_is_folded_on_both_sides_where_asked() {
        check("*.Example.COM", Case::Insensitive, &["test.example.com", "A.EXAMPLE.com"], &["example.com"]);
        check("X*y?Z", Case::Insensitive, &["xYqz", "x--YyZ"], &["xyz"]);
        check("*AbC*", Case::Insensitive, &["xaBcx"], &["ab"]);
    }

    #[test]
    fn a_backslash_makes_wildcards_plain() {
        check(r"a\*b", Case::Sensitive, &["a*b"], &["axb", r"a\*b"]);
        check(r"a\?*", Case::Sensitive, &["a?", "a?b"], &["ab"]);
        check(r"a\\b", Case::Sensitive, &[r"a\b"], &["ab", r"a\\b"]);
    }

    #[test]
    fn usual_patterns_are_what_taking_them_apart_makes_of_them() {
        let pieces = ["", "*", "**", "a", "B.c", "?", r"\*", "/x/", "a*b"];
        for (first, second, third) in
            pieces.iter().flat_map(|a| pieces.iter().flat_map(move |b| pieces.map(|c| (a, b, c))))
        {
            let text = format!("{first}{second}{third}");
            let pattern = Pattern::new(&text).unwrap();
            for case in [Case::Sensitive, Case::Insensitive] {
                let compiled = Wildcard::new(&pattern, case);
                assert_eq!(format!("{compiled:?}"), format!("{:?}", Wildcard::of_tokens(&pattern, case)), "{text}");
            }
        }
    }

    #[test]
    fn the_worst_pattern_is_still_quick() {
        let pattern = "*a".repeat(60) + "b*";
        let text = "a".repeat(8_000);
        let start = std::time::Instant::now();
        assert!(
            !Wildcard::new(&Pattern::new(&pattern).unwrap(), Case::Sensitive).matches(text.as_bytes(), Case::Sensitive)
        );
        assert!(start.elapsed().as_millis() < 200);
    }

    #[test]
    fn keys_are_what_every_match_has() {
        let check = |pattern: &str, key: Key<'_>| {
            assert_eq!(Wildcard::new(&Pattern::new(pattern).unwrap(), Case::Insensitive).key(), key);
        };
        check("A.b", Key::Exact(b"a.b"));
        check("/api/*/x", Key::Prefix(b"/api/".into()));
        check("*.Example.com", Key::Suffix(b".example.com".into()));
        check("a?.example.com", Key::Suffix(b".example.com".into()));
        check("*x*", Key::None);
        check("?", Key::None);
    }
}
