//! Numbered allow and deny rules, first match by number, then deny; compiled to the set of what they allow.
//!
//! A lookup costs what one in a set of networks costs, however many rules there are.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::networks::{Networks, Span};
use crate::ranges::{Number, merge};

/// What a rule does with the addresses that it is the first to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets them in.
    Allow,
    /// Keeps them out.
    Deny,
}

/// A rule; its number is its place.
#[derive(Clone, Copy, Debug)]
pub struct NumberedRule<'a> {
    /// What it does.
    pub action: Action,
    /// The networks it matches.
    pub from: &'a [IpNet],
}

/// What became of a rule among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It decides about some addresses, and without it another would decide otherwise.
    Decides,
    /// It never matches: these rules before it take all that it has. Places, in order.
    Unreachable(Vec<usize>),
    /// It matches, but without it these rules behind it, which decide elsewhere, would do the same. Places, in order.
    Redundant(Vec<usize>),
}

/// A compiled access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    /// What it allows.
    pub allowed: Networks,
    /// What became of each rule.
    pub fates: Vec<Fate>,
}

impl AccessList {
    /// Compiles rules that are in the order of their numbers.
    pub fn compile(rules: &[NumberedRule<'_>]) -> AccessList {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (place, rule) in rules.iter().enumerate() {
            let (mut spans4, mut spans6) = (Vec::new(), Vec::new());
            for network in rule.from {
                match Span::of(*network) {
                    Span::V4(low, high) => spans4.push((low, high)),
                    Span::V6(low, high) => spans6.push((low, high)),
                }
            }
            v4.extend(merge(spans4).into_iter().map(|(low, high)| (low, high, place)));
            v6.extend(merge(spans6).into_iter().map(|(low, high)| (low, high, place)));
        }
        let mut tally = Tally::new(rules);
        let v4 = sweep(&v4, &mut tally);
        let v6 = sweep(&v6, &mut tally);
        AccessList { allowed: Networks::of_ranges(v4, v6), fates: tally.fates() }
    }
}

/// What has been seen of each rule.
struct Tally<'a, 'n> {
    rules: &'a [NumberedRule<'n>],
    /// Who stands before a rule where it does not decide.
    before: Vec<BTreeSet<usize>>,
    /// Who would do the same where it decides.
    same: Vec<BTreeSet<usize>>,
    decides: Vec<bool>,
    differs: Vec<bool>,
}

impl<'a, 'n> Tally<'a, 'n> {
    fn new(rules: &'a [NumberedRule<'n>]) -> Self {
        let count = rules.len();
        Tally {
            rules,
            before: vec![BTreeSet::new(); count],
            same: vec![BTreeSet::new(); count],
            decides: vec![false; count],
            differs: vec![false; count],
        }
    }

    /// The rules that match a stretch of addresses, in order; whether it is allowed.
    fn add(&mut self, active: &BTreeSet<usize>) -> bool {
        let mut places = active.iter().copied();
        let Some(first) = places.next() else { return false };
        let action = |place: usize| self.rules.get(place).map_or(Action::Deny, |rule| rule.action);
        let (mine, next) = (action(first), places.next());
        set(&mut self.decides, first);
        match next {
            Some(next) if action(next) == mine => insert(&mut self.same, first, next),
            _ => set(&mut self.differs, first),
        }
        mine == Action::Allow
    }

    fn hidden(&mut self, place: usize, by: usize) {
        insert(&mut self.before, place, by);
    }

    fn fates(self) -> Vec<Fate> {
        let Tally { before, same, decides, differs, .. } = self;
        let decides_at = |place: usize| decides.get(place).copied().unwrap_or(false);
        let fate = |((place, differs), (before, same)): ((usize, bool), (BTreeSet<usize>, BTreeSet<usize>))| {
            if !decides_at(place) {
                return Fate::Unreachable(before.into_iter().collect());
            }
            // of two that do the same, the one that is never reached is the one to leave out
            if differs || !same.iter().all(|other| decides_at(*other)) {
                return Fate::Decides;
            }
            Fate::Redundant(same.into_iter().collect())
        };
        differs.into_iter().enumerate().zip(before.into_iter().zip(same)).map(fate).collect()
    }
}

fn set(flags: &mut [bool], place: usize) {
    if let Some(flag) = flags.get_mut(place) {
        *flag = true;
    }
}

fn insert(sets: &mut [BTreeSet<usize>], place: usize, other: usize) {
    if let Some(set) = sets.get_mut(place) {
        set.insert(other);
    }
}

/// Goes over the addresses from the lowest to the highest, with the rules that match where it is; what is allowed.
fn sweep<T: Number>(spans: &[(T, T, usize)], tally: &mut Tally<'_, '_>) -> Vec<(T, T)> {
    // at a number, those that end before it, then those that begin at it
    let mut edges: Vec<(T, bool, usize)> = Vec::with_capacity(spans.len() * 2);
    for (low, high, place) in spans {
        edges.push((*low, true, *place));
        if let Some(after) = high.successor() {
            edges.push((after, false, *place));
        }
    }
    edges.sort_unstable();
    let mut active = BTreeSet::new();
    let mut allowed = Vec::new();
    let mut edges = edges.into_iter().peekable();
    while let Some((at, begins, place)) = edges.next() {
        if begins {
            active.insert(place)
        } else {
            active.remove(&place)
        };
        if edges.peek().is_some_and(|(next, ..)| *next == at) {
            continue;
        }
        let end = edges.peek().map_or(Some(T::MAX), |(next, ..)| next.predecessor());
        let Some(end) = end else { continue };
        if tally.add(&active) {
            allowed.push((at, end));
        }
        if let Some(first) = active.first().copied() {
            // only those that may turn out to be hidden everywhere have to know by whom
            for place in active.iter().copied().skip(1).take(KNOWN) {
                tally.hidden(place, first);
            }
        }
    }
    allowed
}

/// Rules on one stretch of addresses that are told by whom they are hidden; more would make a long list of rules on the
/// same addresses a matter of squares.
const KNOWN: usize = 64;
