//! A policy that may be attached to many, with what it said before: a few versions, of which one holds.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html>

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::Document;

/// Versions that a policy may have.
pub const MOST_VERSIONS: usize = 5;

/// A managed policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Managed {
    /// Seconds since 1970.
    pub created: u64,
    /// What holds: the default version.
    pub document: Document,
    /// Its number.
    #[serde(default = "first")]
    pub version: u64,
    /// When it was made, in seconds since 1970.
    #[serde(default)]
    since: u64,
    /// The others, by number.
    #[serde(default)]
    others: BTreeMap<u64, Version>,
    /// How many were ever made: no number is given twice.
    #[serde(default)]
    made: u64,
}

/// A version of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Seconds since 1970.
    pub created: u64,
    /// What it says.
    pub document: Document,
}

/// Why a version stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// There is none of this number.
    Absent,
    /// It is the one that holds.
    Default,
    /// There are as many as there may be.
    Full,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no such version"),
            Self::Default => f.write_str("it is the default version, which holds: make another the default first"),
            Self::Full => {
                write!(f, "the policy has {MOST_VERSIONS} versions, which is as many as it may have: delete one first")
            }
        }
    }
}

impl std::error::Error for Stays {}

fn first() -> u64 {
    1
}

impl Managed {
    /// A policy with its first version.
    pub fn new(document: Document, now: u64) -> Self {
        Self { created: now, document, version: 1, since: now, others: BTreeMap::new(), made: 1 }
    }

    /// All versions, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = (u64, Version)> {
        let mut all = self.others.clone();
        all.insert(self.version, self.standing());
        all.into_iter()
    }

    /// The default, as one of the versions.
    fn standing(&self) -> Version {
        Version { created: self.since.max(self.created), document: self.document.clone() }
    }

    /// Adds a version, which holds from now on if `holds`. Its number.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub fn add(&mut self, document: Document, now: u64, holds: bool) -> Result<u64, Stays> {
        if self.others.len() + 1 >= MOST_VERSIONS {
            return Err(Stays::Full);
        }
        // what was kept before there were versions has made one
        self.made = self.made.max(self.version) + 1;
        let number = self.made;
        self.others.insert(number, Version { created: now, document });
        if holds { self.hold(number).map(|()| number) } else { Ok(number) }
    }

    /// Says something else from now on. Where there would be too many versions, the oldest that does not hold leaves.
    pub fn say(&mut self, document: Document, now: u64) {
        if document == self.document {
            return;
        }
        while self.others.len() + 1 >= MOST_VERSIONS {
            self.others.pop_first();
        }
        // there is room now
        let _ = self.add(document, now, true);
    }

    /// Has another version hold.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn hold(&mut self, number: u64) -> Result<(), Stays> {
        if number == self.version {
            return Ok(());
        }
        let Version { created, document } = self.others.remove(&number).ok_or(Stays::Absent)?;
        self.others.insert(self.version, self.standing());
        (self.version, self.since, self.document) = (number, created, document);
        Ok(())
    }

    /// Forgets a version.
    ///
    /// # Errors
    /// When there is none of this number, or it holds.
    pub fn forget(&mut self, number: u64) -> Result<(), Stays> {
        if number == self.version {
            return Err(Stays::Default);
        }
        self.others.remove(&number).map(drop).ok_or(Stays::Absent)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::document::Attached;

    fn says(what: &str) -> Document {
        let action = format!("headworks:{what}");
        let document = json!({ "Statement": { "Effect": "Allow", "Action": action, "Resource": "*" } });
        Document::read(&document, Attached::Identity).unwrap()
    }

    fn numbers(policy: &Managed) -> Vec<u64> {
        policy.versions().map(|(number, _)| number).collect()
    }

    #[test]
    fn the_oldest_that_does_not_hold_leaves() {
        let mut policy = Managed::new(says("V1"), 1);
        policy.say(says("V1"), 2);
        assert_eq!(numbers(&policy), [1], "nothing else was said");
        for now in 2..=5 {
            policy.say(says(&format!("V{now}")), now);
        }
        assert_eq!((numbers(&policy), policy.version), (vec![1, 2, 3, 4, 5], 5));
        assert_eq!(policy.add(says("V6"), 6, false), Err(Stays::Full));
        policy.hold(1).unwrap();
        policy.say(says("V6"), 6);
        assert_eq!((numbers(&policy), policy.version), (vec![1, 3, 4, 5, 6], 6));
        assert_eq!(policy.document, says("V6"));
        assert_eq!(policy.versions().map(|(_, version)| version.created).collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
    }

    #[test]
    fn no_number_is_given_twice() {
        let mut policy = Managed::new(says("V1"), 1);
        assert_eq!(policy.add(says("V2"), 2, false), Ok(2));
        assert_eq!(policy.version, 1);
        assert_eq!((policy.forget(1), policy.forget(9)), (Err(Stays::Default), Err(Stays::Absent)));
        assert_eq!((policy.hold(9), policy.forget(2)), (Err(Stays::Absent), Ok(())));
        assert_eq!(policy.add(says("V3"), 3, true), Ok(3));
        assert_eq!((numbers(&policy), policy.document), (vec![1, 3], says("V3")));
    }

    #[test]
    fn what_was_kept_before_there_were_versions_is_the_first() {
        let kept: Value = json!({ "created": 7, "document": says("V1") });
        let mut policy: Managed = serde_json::from_value(kept).unwrap();
        assert_eq!(policy.versions().map(|(number, version)| (number, version.created)).collect::<Vec<_>>(), [(1, 7)]);
        policy.say(says("V2"), 8);
        assert_eq!((numbers(&policy), policy.version), (vec![1, 2], 2));
        let again: Managed = serde_json::from_value(json!(policy)).unwrap();
        assert_eq!(again, policy);
    }
}
