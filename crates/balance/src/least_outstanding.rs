//! Least outstanding requests: the target with the fewest requests in flight for its weight.
//!
//! Every candidate is looked at. Power of two choices is cheaper for thousands of targets, but with a worker's own view of
//! the load it leaves idle targets idle; a scan over 64 targets costs less than one system call. The scan ends at the first
//! idle target, so it is short exactly when there is little to choose.
//!
//! Ties go in rotation. With equal weights the scan starts behind the last target picked. With unequal ones it starts where
//! round robin would go, so that an idle group is still shared by weight.

use std::sync::Arc;

use crate::roster::Candidate;
use crate::round_robin::{RoundRobin, Wheel};

#[derive(Debug)]
pub(crate) struct LeastOutstanding {
    wheel: Arc<Wheel>,
    /// The candidate with which the next scan starts, where weights are equal.
    next: usize,
    turns: RoundRobin,
}

/// The best candidate so far: its place, its load and its weight.
#[derive(Clone, Copy)]
struct Best {
    place: usize,
    load: u32,
    weight: u32,
}

impl LeastOutstanding {
    pub(crate) fn new(wheel: Arc<Wheel>, start_offset: usize) -> Self {
        let next = start_offset.checked_rem(wheel.candidates().len()).unwrap_or(0);
        Self { turns: RoundRobin::new(Arc::clone(&wheel), start_offset), wheel, next }
    }

    /// Goes on with the target whose turn it was, or the one after it.
    pub(crate) fn update(&mut self, wheel: Arc<Wheel>) {
        let next = self.wheel.candidates().get(self.next).map_or(0, |candidate| candidate.index);
        self.turns.update(Arc::clone(&wheel));
        self.next = wheel.candidates().partition_point(|candidate| candidate.index < next);
        self.wheel = wheel;
    }

    #[inline]
    pub(crate) fn pick<L: ?Sized + Fn(usize) -> u32>(&mut self, load: &L, exclude: &[usize]) -> Option<usize> {
        let start = if self.wheel.is_uniform() {
            self.next
        } else {
            let turn = self.turns.pick(exclude)?;
            self.wheel.candidates().partition_point(|candidate| (candidate.index as usize) < turn)
        };
        let candidates = self.wheel.candidates();
        let (before, from) = candidates.split_at(start.min(candidates.len()));
        let mut best = None;
        if !scan(from, start, load, exclude, &mut best) {
            scan(before, 0, load, exclude, &mut best);
        }
        let Best { place, .. } = best?;
        self.next = if place + 1 < candidates.len() { place + 1 } else { 0 };
        candidates.get(place).map(|candidate| candidate.index as usize)
    }
}

/// Improves `best`; true once nothing can be better.
#[inline]
fn scan<L: ?Sized + Fn(usize) -> u32>(
    candidates: &[Candidate],
    first: usize,
    load: &L,
    exclude: &[usize],
    best: &mut Option<Best>,
) -> bool {
    for (place, candidate) in (first..).zip(candidates) {
        let index = candidate.index as usize;
        if exclude.contains(&index) {
            continue;
        }
        let load = load(index);
        let better = best.is_none_or(|best| {
            u64::from(load) * u64::from(best.weight) < u64::from(best.load) * u64::from(candidate.weight)
        });
        if better {
            *best = Some(Best { place, load, weight: candidate.weight });
            if load == 0 {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::pick::tests::picker;
    use crate::pick::{Algorithm, Choice};

    /// The picks for a constant load.
    #[track_caller]
    fn check(weights: &[u32], loads: &[u32], exclude: &[usize], expected: &[usize]) {
        let mut picker = picker(Algorithm::LeastOutstandingRequests, weights);
        let load = |index: usize| loads[index];
        let seen: Vec<_> =
            expected.iter().filter_map(|_| picker.pick(Choice { random: 0, hash: 0, load: &load, exclude })).collect();
        assert_eq!(seen, expected, "weights {weights:?}, loads {loads:?}");
    }

    #[test]
    fn the_least_loaded_for_its_weight() {
        check(&[1, 1, 1], &[5, 3, 4], &[], &[1, 1, 1]);
        check(&[1, 1, 1], &[5, 3, 4], &[1], &[2, 2]);
        check(&[1, 4], &[2, 7], &[], &[1, 1]); // 2/1 against 7/4
        check(&[1, 4], &[2, 9], &[], &[0, 0]); // 2/1 against 9/4
        check(&[1000, 0, 1000], &[5, 0, 4], &[], &[2, 2]);
    }

    #[test]
    fn ties_rotate() {
        check(&[1, 1, 1], &[0, 0, 0], &[], &[0, 1, 2, 0, 1]);
        check(&[1, 1, 1, 1], &[2, 9, 2, 9], &[], &[0, 2, 0, 2]); // evenly among those tied, wherever they stand
        check(&[10, 20], &[0, 0], &[], &[1, 0, 1, 1, 0, 1]); // by weight where weights differ
    }

    #[test]
    fn in_flight_follows_weight_under_pressure() {
        let weights = [1000, 2000, 3000];
        let mut picker = picker(Algorithm::LeastOutstandingRequests, &weights);
        let mut loads = [0u32; 3];
        for _ in 0..600 {
            let index =
                picker.pick(Choice { random: 0, hash: 0, load: &|index: usize| loads[index], exclude: &[] }).unwrap();
            loads[index] += 1;
        }
        assert_eq!(loads, [100, 200, 300]);
    }
}
