//! A listener rule: conditions, transforms, one action.

use crate::action::Action;
use crate::condition::Conditions;
use crate::primitive::{Name, Regex};

/// A rule; its place in the listener's list is its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Shown in logs and status; absent: its number in the list, from 1.
    pub name: Option<Name>,
    /// `if:`. An empty set matches everything.
    pub conditions: Conditions,
    /// `transforms:` (R11), applied after the match and before forwarding.
    pub transforms: Transforms,
    /// `then:`.
    pub action: Action,
}

/// Rewrites (R11): at most one of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transforms {
    /// Applied to the Host header: `transforms: { host: { regex: ..., replace: ... } }`.
    pub host: Option<Rewrite>,
    /// Applied to path and query: `transforms: { url: { regex: ..., replace: ... } }`.
    pub url: Option<Rewrite>,
}

/// The first match of `regex` is replaced; `$1` and `${name}` stand for groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// At most 1024 characters.
    pub regex: Regex,
    /// At most 1024 characters.
    pub replace: String,
}
