//! Picking a target for one request: the door to the four algorithms.
//!
//! A [`Picker`] belongs to one worker and one group. It is on the path of every request, so it allocates nothing, locks
//! nothing and looks nothing up in a map; what is expensive has been prepared in the [`Roster`].

use std::sync::Arc;

use crate::least_outstanding::LeastOutstanding;
use crate::maglev::Maglev;
use crate::roster::{Candidate, Roster};
use crate::round_robin::{RoundRobin, Wheel};
use crate::weighted_random::AliasTable;

/// How a group spreads requests (`load_balancing.algorithm.type`; consistent hashing is ours).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// In turn, in exact proportion to the weights.
    #[default]
    RoundRobin,
    /// To the target with the fewest requests in flight for its weight.
    LeastOutstandingRequests,
    /// At random, in proportion to the weights.
    WeightedRandom,
    /// By a hash of something in the request, so that equal requests meet the same target.
    ConsistentHash,
}

/// What is known about the request for which a target is wanted.
///
/// `load` may be a closure or a `&dyn Fn`; only [`Algorithm::LeastOutstandingRequests`] calls it.
pub struct Choice<'a, L: ?Sized + Fn(usize) -> u32 = dyn Fn(usize) -> u32 + 'a> {
    /// 64 fresh random bits; used by [`Algorithm::WeightedRandom`].
    pub random: u64,
    /// The hash of what is to be consistent; used by [`Algorithm::ConsistentHash`].
    pub hash: u64,
    /// The requests in flight to the target at an index.
    pub load: &'a L,
    /// Indices not to pick: the targets that this request has tried already.
    pub exclude: &'a [usize],
}

impl<L: ?Sized + Fn(usize) -> u32> Clone for Choice<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: ?Sized + Fn(usize) -> u32> Copy for Choice<'_, L> {}

/// One worker's view of one group.
#[derive(Debug)]
pub struct Picker {
    algorithm: Algorithm,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Empty,
    RoundRobin(RoundRobin),
    LeastOutstanding(LeastOutstanding),
    WeightedRandom(Arc<AliasTable>),
    ConsistentHash(Arc<Maglev>),
}

/// What an algorithm derives from a roster once, for all workers.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    RoundRobin(Arc<Wheel>),
    LeastOutstanding(Arc<Wheel>),
    WeightedRandom(Arc<AliasTable>),
    ConsistentHash(Arc<Maglev>),
}

impl Picker {
    /// A picker without targets. [`Picker::update`] gives it some.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, engine: Engine::Empty }
    }

    /// Takes in a new roster. The turn goes on where it was. `start_offset` is where the very first turn starts: give
    /// every worker another one, or the first target gets the first request of each.
    pub fn update(&mut self, roster: &Roster, start_offset: usize) {
        let plan = roster.plan(self.algorithm);
        match (&mut self.engine, plan) {
            (Engine::RoundRobin(engine), Plan::RoundRobin(wheel)) => engine.update(wheel),
            (Engine::LeastOutstanding(engine), Plan::LeastOutstanding(wheel)) => engine.update(wheel),
            (engine, Plan::RoundRobin(wheel)) => *engine = Engine::RoundRobin(RoundRobin::new(wheel, start_offset)),
            (engine, Plan::LeastOutstanding(wheel)) => {
                *engine = Engine::LeastOutstanding(LeastOutstanding::new(wheel, start_offset));
            }
            (engine, Plan::WeightedRandom(table)) => *engine = Engine::WeightedRandom(table),
            (engine, Plan::ConsistentHash(table)) => *engine = Engine::ConsistentHash(table),
        }
    }

    /// The index, in the last roster's entries, of the target for this request; nothing if no eligible target is left
    /// that is not excluded.
    #[inline]
    pub fn pick<L: ?Sized + Fn(usize) -> u32>(&mut self, choice: Choice<'_, L>) -> Option<usize> {
        match &mut self.engine {
            Engine::Empty => None,
            Engine::RoundRobin(engine) => engine.pick(choice.exclude),
            Engine::LeastOutstanding(engine) => engine.pick(choice.load, choice.exclude),
            Engine::WeightedRandom(table) => table.pick(choice.random, choice.exclude),
            Engine::ConsistentHash(table) => table.pick(choice.hash, choice.exclude),
        }
    }

    /// The algorithm this picker follows.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Plan {
    pub(crate) fn build(algorithm: Algorithm, registered: usize, candidates: &[Candidate]) -> Self {
        match algorithm {
            Algorithm::RoundRobin => Self::RoundRobin(Arc::new(Wheel::build(candidates))),
            Algorithm::LeastOutstandingRequests => Self::LeastOutstanding(Arc::new(Wheel::build(candidates))),
            Algorithm::WeightedRandom => Self::WeightedRandom(Arc::new(AliasTable::build(candidates))),
            Algorithm::ConsistentHash => Self::ConsistentHash(Arc::new(Maglev::build(registered, candidates))),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::RoundRobin(_) => Algorithm::RoundRobin,
            Self::LeastOutstanding(_) => Algorithm::LeastOutstandingRequests,
            Self::WeightedRandom(_) => Algorithm::WeightedRandom,
            Self::ConsistentHash(_) => Algorithm::ConsistentHash,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::hash::mix;
    use crate::key::TargetKey;
    use crate::roster::{Entry, Supply};

    pub(crate) const ALL: [Algorithm; 4] = [
        Algorithm::RoundRobin,
        Algorithm::LeastOutstandingRequests,
        Algorithm::WeightedRandom,
        Algorithm::ConsistentHash,
    ];

    /// A roster of eligible targets with these weights; a weight of zero makes a target ineligible.
    pub(crate) fn roster(algorithm: Algorithm, weights: &[u32]) -> Roster {
        let entries = (0u64..)
            .zip(weights)
            .map(|(number, weight)| Entry {
                key: TargetKey(mix(number)),
                weight: *weight,
                eligible: *weight > 0,
                draining: false,
                trial: 0,
            })
            .collect();
        Roster::new(algorithm, entries, Supply::Enough, 1)
    }

    pub(crate) fn picker(algorithm: Algorithm, weights: &[u32]) -> Picker {
        let mut picker = Picker::new(algorithm);
        picker.update(&roster(algorithm, weights), 0);
        picker
    }

    pub(crate) fn picks(picker: &mut Picker, count: u64, exclude: &[usize]) -> Vec<usize> {
        (0..count)
            .filter_map(|turn| picker.pick(Choice { random: mix(turn), hash: mix(!turn), load: &|_| 0, exclude }))
            .collect()
    }

    #[test]
    fn nothing_to_pick() {
        for algorithm in ALL {
            assert_eq!(picks(&mut Picker::new(algorithm), 3, &[]), []);
            assert_eq!(picks(&mut picker(algorithm, &[]), 3, &[]), []);
            assert_eq!(picks(&mut picker(algorithm, &[0, 0]), 3, &[]), []);
            assert_eq!(picks(&mut picker(algorithm, &[5, 7]), 3, &[0, 1]), []);
        }
    }

    #[test]
    fn never_the_ineligible_or_the_excluded() {
        for algorithm in ALL {
            let mut picker = picker(algorithm, &[3, 0, 2, 9, 1, 70_001]);
            for exclude in [&[][..], &[0], &[3, 5], &[5], &[0, 2, 3, 4], &[17]] {
                let seen = picks(&mut picker, 300, exclude);
                assert_eq!(seen.len(), 300, "{algorithm:?} without {exclude:?}");
                assert!(seen.iter().all(|index| *index != 1 && !exclude.contains(index)), "{algorithm:?} {exclude:?}");
            }
        }
    }

    #[test]
    fn a_roster_made_for_another_algorithm_serves_too() {
        let mut picker = Picker::new(Algorithm::WeightedRandom);
        picker.update(&roster(Algorithm::RoundRobin, &[1, 1]), 0);
        assert_eq!(picks(&mut picker, 50, &[0]), vec![1; 50]);
    }

    #[test]
    fn load_may_be_dynamic() {
        let load: &dyn Fn(usize) -> u32 = &|index| [3, 1, 2].get(index).copied().unwrap_or(0);
        let choice: Choice<'_> = Choice { random: 0, hash: 0, load, exclude: &[] };
        assert_eq!(picker(Algorithm::LeastOutstandingRequests, &[1, 1, 1]).pick(choice), Some(1));
    }
}
