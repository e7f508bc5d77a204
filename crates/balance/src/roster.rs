//! The immutable list of a group's targets from which workers pick: what the control thread publishes.
//!
//! What an algorithm can derive from the list alone (a round robin's schedule, an alias table, a Maglev table) is built
//! here, once, by the thread that makes the roster, and shared by every worker behind an `Arc`. A worker that takes in a
//! new roster therefore does constant work between two requests.

use crate::key::TargetKey;
use crate::pick::{Algorithm, Plan};

/// The factor by which [`Entry::weight`] exceeds the weight that the operator gave: room for slow start and mitigation.
pub const WEIGHT_SCALE: u32 = 1000;

/// One target of a roster. Its place in [`Roster::entries`] is the index that [`crate::Picker::pick`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which target.
    pub key: TargetKey,
    /// Its effective weight: the operator's times [`WEIGHT_SCALE`], less what slow start and anomaly mitigation take off.
    pub weight: u32,
    /// Whether new requests may be sent to it.
    pub eligible: bool,
    /// Whether it is being deregistered: what is in flight goes on, nothing new is sent.
    pub draining: bool,
    /// The number of the trial in which its half-open breaker lets a few requests through, as many as
    /// [`crate::CircuitBreaker::probes`] from each worker; 0: as many as there are.
    pub trial: u32,
}

/// Whether a group has as many healthy targets as it demands, and what follows if not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// It has, or has no targets at all.
    Enough,
    /// It has not, and all registered ones are eligible.
    FailOpen,
    /// It has not, and only healthy ones are eligible.
    FailClosed,
    /// It has, but all of them are ejected or on trial: they are eligible for want of others.
    Ejected,
}

impl Supply {
    /// Whether there are fewer than demanded.
    #[inline]
    #[must_use]
    pub fn is_short(self) -> bool {
        matches!(self, Self::FailOpen | Self::FailClosed)
    }
}

/// The targets of one group at one moment.
#[derive(Debug)]
pub struct Roster {
    /// All registered and draining targets, in the order they were registered.
    pub entries: Vec<Entry>,
    /// Whether as many targets are healthy as the group demands.
    pub supply: Supply,
    /// Grows by one with every change.
    pub generation: u64,
    eligible: usize,
    by_key: Vec<(TargetKey, u32)>,
    plan: Plan,
}

/// A target that may be picked, as the algorithms see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) index: u32,
    pub(crate) weight: u32,
    pub(crate) key: TargetKey,
}

impl Roster {
    /// A roster for groups that route by `algorithm`. Keys should be distinct; of equal ones the first is found.
    #[must_use]
    pub fn new(algorithm: Algorithm, entries: Vec<Entry>, supply: Supply, generation: u64) -> Self {
        let mut by_key: Vec<_> = (0u32..).zip(&entries).map(|(index, entry)| (entry.key, index)).collect();
        by_key.sort_unstable();
        let plan = Plan::build(algorithm, entries.len(), &candidates(&entries));
        let eligible = entries.iter().filter(|entry| entry.eligible).count();
        Self { entries, supply, generation, eligible, by_key, plan }
    }

    /// A roster without targets.
    #[must_use]
    pub fn empty(algorithm: Algorithm) -> Self {
        Self::new(algorithm, Vec::new(), Supply::Enough, 0)
    }

    /// Where the target with `key` is. Takes `log n` steps: stickiness asks it for every request that carries a cookie.
    #[inline]
    #[must_use]
    pub fn find(&self, key: TargetKey) -> Option<usize> {
        let at = self.by_key.partition_point(|(other, _)| *other < key);
        self.by_key.get(at).filter(|(other, _)| *other == key).map(|(_, index)| *index as usize)
    }

    /// Where the target with `key` is, if new requests may be sent to it.
    #[inline]
    #[must_use]
    pub fn find_eligible(&self, key: TargetKey) -> Option<usize> {
        self.find(key).filter(|index| self.entries.get(*index).is_some_and(|entry| entry.eligible))
    }

    /// How many targets may be picked.
    #[must_use]
    #[inline]
    pub fn eligible(&self) -> usize {
        self.eligible
    }

    /// Whether a target may be picked that is at none of these places.
    #[must_use]
    pub fn has_others(&self, places: &[usize]) -> bool {
        let mut entries = self.entries.iter().enumerate();
        entries.any(|(place, entry)| entry.eligible && !places.contains(&place))
    }

    pub(crate) fn plan(&self, algorithm: Algorithm) -> Plan {
        if self.plan.algorithm() == algorithm {
            return self.plan.clone();
        }
        Plan::build(algorithm, self.entries.len(), &candidates(&self.entries))
    }

    pub(crate) fn says_the_same(&self, algorithm: Algorithm, entries: &[Entry], supply: Supply) -> bool {
        self.plan.algorithm() == algorithm && self.supply == supply && self.entries == entries
    }
}

/// The eligible targets with some weight. Weight zero means no share; but where every weight is zero, an equal one.
fn candidates(entries: &[Entry]) -> Vec<Candidate> {
    let eligible = || (0u32..).zip(entries).filter(|(_, entry)| entry.eligible);
    let weighted: Vec<_> = eligible()
        .filter(|(_, entry)| entry.weight > 0)
        .map(|(index, entry)| Candidate { index, weight: entry.weight, key: entry.key })
        .collect();
    if !weighted.is_empty() {
        return weighted;
    }
    eligible().map(|(index, entry)| Candidate { index, weight: 1, key: entry.key }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u64, weight: u32, eligible: bool) -> Entry {
        Entry { key: TargetKey(key), weight, eligible, draining: false, trial: 0 }
    }

    #[test]
    fn finds_by_key() {
        let entries = vec![entry(9, 1, true), entry(3, 1, false), entry(7, 1, true)];
        let roster = Roster::new(Algorithm::RoundRobin, entries, Supply::Enough, 1);
        let found: Vec<_> = [9, 3, 7, 4, 0, u64::MAX].map(|key| roster.find(TargetKey(key))).into();
        assert_eq!(found, [Some(0), Some(1), Some(2), None, None, None]);
        assert_eq!(roster.find_eligible(TargetKey(3)), None);
        assert_eq!(roster.eligible(), 2);
        assert!(roster.has_others(&[0, 1]) && !roster.has_others(&[2, 0]));
    }

    #[test]
    fn weight_zero_has_no_share_unless_all_are_zero() {
        let indices =
            |entries: &[Entry]| candidates(entries).iter().map(|candidate| candidate.index).collect::<Vec<_>>();
        assert_eq!(indices(&[entry(1, 0, true), entry(2, 5, true), entry(3, 5, false)]), [1]);
        assert_eq!(indices(&[entry(1, 0, true), entry(2, 0, true), entry(3, 5, false)]), [0, 1]);
    }
}
