//! The replacement of a rewrite: text with `$1`, `${1}`, `${name}`; `$$` is a dollar sign, and so is a lone `$`.
//!
//! Not the `regex` crate's own syntax, where `$1_x` is a group called `1_x`: users of AWS and nginx expect group 1.

use regex::bytes::{Captures, Regex};

use crate::error::Fault;

/// A parsed replacement.
#[derive(Clone, Debug)]
pub(crate) struct Replacement(Box<[Part]>);

#[derive(Clone, Debug)]
enum Part {
    Literal(Vec<u8>),
    Group(usize),
}

impl Replacement {
    /// Parses `text`, a replacement for matches of `regex`.
    pub(crate) fn new(text: &str, regex: &Regex) -> Result<Replacement, Fault> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            literal(&mut parts, before);
            rest = match group(after) {
                Some((name, left)) => {
                    parts.push(Part::Group(number(name, regex)?));
                    left
                }
                None => {
                    literal(&mut parts, "$");
                    after.strip_prefix('$').unwrap_or(after)
                }
            };
        }
        literal(&mut parts, rest);
        Ok(Replacement(parts.into()))
    }

    /// Appends the replacement for one match; stops once `out` has more than `limit` bytes.
    pub(crate) fn expand(&self, captures: &Captures<'_>, limit: usize, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Literal(literal) => out.extend_from_slice(literal),
                Part::Group(group) => {
                    out.extend_from_slice(captures.get(*group).map_or(&[][..], |matched| matched.as_bytes()));
                }
            }
            if out.len() > limit {
                return;
            }
        }
    }
}

fn literal(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Literal(last)) => last.extend_from_slice(text.as_bytes()),
        _ => parts.push(Part::Literal(text.as_bytes().to_vec())),
    }
}

/// The group that `text`, which followed a `$`, begins with, and what comes after it.
fn group(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}');
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).filter(|(digits, _)| !digits.is_empty())
}

fn number(name: &str, regex: &Regex) -> Result<usize, Fault> {
    let named = || regex.capture_names().position(|n| n == Some(name));
    let number = name.parse().ok().filter(|n| *n < regex.captures_len()).or_else(named);
    number.ok_or_else(|| Fault::UnknownGroup { group: name.to_owned(), regex: regex.as_str().to_owned() })
}
