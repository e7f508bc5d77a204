//! Round robin in exact, interleaved proportion to the weights.
//!
//! A target with weight `w` (all weights divided by their greatest common divisor) has its turns at the virtual times
//! `(k + phase) / w` for `k = 0, 1, 2, ...`; turns are taken in the order of those times, earliest deadline first. After as
//! many turns as the weights sum to, virtual time has advanced by one and the order repeats: so every window of that length
//! holds each target exactly as often as its weight says. The `j`-th of `m` targets with equal weight has the phase
//! `(j + 1/2) / m`, which spreads light targets between the turns of heavy ones instead of serving them in one run.
//!
//! The order depends on the weights alone. Up to [`LONGEST_SCHEDULE`] turns it is written down once and a pick is one read;
//! beyond that each worker keeps the next deadline of every target in a heap and a pick costs `log n`. Comparing the
//! deadlines as exact fractions keeps both ways identical.
//!
//! Smooth weighted round robin, as in nginx, gives like sequences but touches every target for every pick.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::roster::Candidate;

/// The longest period that is written down (256 KiB, shared by all workers). Equal weights always are: one turn each.
const LONGEST_SCHEDULE: u64 = 1 << 16;

/// The order of turns of one roster.
#[derive(Debug)]
pub(crate) struct Wheel {
    candidates: Vec<Candidate>,
    uniform: bool,
    period: u64,
    schedule: Option<Arc<[u32]>>,
}

/// One worker's place in the order.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    wheel: Arc<Wheel>,
    first: Cursor,
    /// The fraction of a turn that rounding has taken from the position at the last update; updates may outnumber picks.
    rounded: f64,
    /// Picks that exclude somebody have a place of their own in the order. If a retry took the turn of a request to come, the target
    /// that fails would have more first attempts than its share: with two targets, all of them.
    again: Option<Box<Cursor>>,
}

#[derive(Clone, Debug)]
struct Cursor {
    /// Turns taken in the current period.
    position: usize,
    turns: Turns,
}

#[derive(Clone, Debug)]
enum Turns {
    Written(Arc<[u32]>),
    Queued { heap: BinaryHeap<Turn>, passed_over: Vec<Turn> },
}

/// A target's next turn, due at `(taken + (rank + 1/2) / peers) / weight`.
#[derive(Clone, Copy, Debug)]
struct Turn {
    taken: u64,
    weight: u32,
    /// How many targets have the same weight, and how many of those come before this one.
    peers: u32,
    rank: u32,
    index: u32,
}

impl Wheel {
    pub(crate) fn build(candidates: &[Candidate]) -> Self {
        let divisor =
            candidates.iter().fold(0, |divisor, candidate| greatest_common_divisor(divisor, candidate.weight));
        let candidates: Vec<_> = candidates
            .iter()
            .map(|candidate| Candidate { weight: candidate.weight / divisor.max(1), ..*candidate })
            .collect();
        let period: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
        let uniform = period == candidates.len() as u64;
        let schedule = if uniform {
            Some(candidates.iter().map(|candidate| candidate.index).collect())
        } else if period <= LONGEST_SCHEDULE {
            let mut heap = queue(&candidates, 0, period);
            Some((0..period).filter_map(|_| take_first(&mut heap)).collect())
        } else {
            None
        };
        Self { candidates, uniform, period, schedule }
    }

    pub(crate) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Whether all weights are equal.
    pub(crate) fn is_uniform(&self) -> bool {
        self.uniform
    }

    /// Whether every candidate is excluded. Costs nothing when the list is too short for that.
    #[inline]
    pub(crate) fn exhausted(&self, exclude: &[usize]) -> bool {
        exclude.len() >= self.candidates.len()
            && self.candidates.iter().all(|candidate| exclude.contains(&(candidate.index as usize)))
    }
}

impl RoundRobin {
    pub(crate) fn new(wheel: Arc<Wheel>, start_offset: usize) -> Self {
        let position = (start_offset as u64).checked_rem(wheel.period).unwrap_or(0);
        Self::at(wheel, position, 0.0)
    }

    /// Goes on at the same virtual time: who had its turn in this round does not get another before the rest.
    pub(crate) fn update(&mut self, wheel: Arc<Wheel>) {
        let elapsed = (self.first.position as f64 + self.rounded) / self.wheel.period.max(1) as f64;
        let exact = elapsed * wheel.period as f64;
        let position = (exact as u64).checked_rem(wheel.period).unwrap_or(0);
        *self = Self::at(wheel, position, exact.fract());
    }

    fn at(wheel: Arc<Wheel>, position: u64, rounded: f64) -> Self {
        let turns = match &wheel.schedule {
            Some(schedule) => Turns::Written(Arc::clone(schedule)),
            None => Turns::Queued {
                heap: queue(&wheel.candidates, position, wheel.period),
                passed_over: Vec::with_capacity(8),
            },
        };
        Self { wheel, first: Cursor { position: position as usize, turns }, rounded, again: None }
    }

    #[inline]
    pub(crate) fn pick(&mut self, exclude: &[usize]) -> Option<usize> {
        if exclude.is_empty() {
            return self.first.pick(&self.wheel, exclude);
        }
        self.pick_again(exclude)
    }

    #[cold]
    fn pick_again(&mut self, exclude: &[usize]) -> Option<usize> {
        if self.wheel.exhausted(exclude) {
            return None;
        }
        let again = self.again.get_or_insert_with(|| Box::new(self.first.clone()));
        again.pick(&self.wheel, exclude)
    }
}

impl Cursor {
    /// Not all who have turns may be excluded: it would look for one for ever.
    #[inline]
    fn pick(&mut self, wheel: &Wheel, exclude: &[usize]) -> Option<usize> {
        match &mut self.turns {
            Turns::Written(schedule) => loop {
                let index = *schedule.get(self.position)? as usize;
                self.position += 1;
                if self.position == schedule.len() {
                    self.position = 0;
                }
                if !exclude.contains(&index) {
                    return Some(index);
                }
            },
            Turns::Queued { heap, passed_over } => {
                self.position += 1;
                if self.position as u64 >= wheel.period {
                    self.position = 0;
                }
                pick_queued(heap, passed_over, exclude)
            }
        }
    }
}

/// Excluded targets keep their turn: they are set aside and put back.
fn pick_queued(heap: &mut BinaryHeap<Turn>, passed_over: &mut Vec<Turn>, exclude: &[usize]) -> Option<usize> {
    while heap.peek().is_some_and(|turn| exclude.contains(&(turn.index as usize))) {
        passed_over.extend(heap.pop());
    }
    let index = take_first(heap);
    heap.extend(passed_over.drain(..));
    index.map(|index| index as usize)
}

fn take_first(heap: &mut BinaryHeap<Turn>) -> Option<u32> {
    let mut first = heap.peek_mut()?;
    first.taken += 1;
    Some(first.index)
}

/// The queue as it stands at the virtual time `position / period`.
fn queue(candidates: &[Candidate], position: u64, period: u64) -> BinaryHeap<Turn> {
    let mut by_weight: Vec<_> = candidates.iter().collect();
    by_weight.sort_by_key(|candidate| (candidate.weight, candidate.index));
    let classes = by_weight.chunk_by(|one, other| one.weight == other.weight);
    let turns = classes.flat_map(|class| {
        let peers = class.len() as u32;
        (0..peers).zip(class).map(move |(rank, candidate)| {
            let turn = Turn { taken: 0, weight: candidate.weight, peers, rank, index: candidate.index };
            let (spacing, first) = (2 * u128::from(peers) * u128::from(period), turn.numerator() * u128::from(period));
            let elapsed = u128::from(position) * turn.denominator();
            Turn { taken: elapsed.saturating_sub(first).div_ceil(spacing.max(1)) as u64, ..turn }
        })
    });
    turns.collect()
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Turn {
    /// The virtual time at which it is due is the numerator by the denominator.
    fn numerator(&self) -> u128 {
        2 * u128::from(self.taken) * u128::from(self.peers) + 2 * u128::from(self.rank) + 1
    }

    fn denominator(&self) -> u128 {
        2 * u128::from(self.peers) * u128::from(self.weight)
    }
}

impl Ord for Turn {
    /// The greatest is the one due first, as [`BinaryHeap`] wants it; the lower index where both are due at once.
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others) = (self.numerator() * other.denominator(), other.numerator() * self.denominator());
        others.cmp(&own).then_with(|| other.index.cmp(&self.index))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;
    use crate::pick::tests::{picker, picks, roster};
    use crate::pick::{Algorithm, Picker};

    #[track_caller]
    fn check(weights: &[u32], turns: &[usize]) {
        let mut picker = picker(Algorithm::RoundRobin, weights);
        assert_eq!(picks(&mut picker, turns.len() as u64, &[]), turns, "weights {weights:?}");
    }

    #[test]
    fn orders() {
        check(&[1, 1, 1], &[0, 1, 2, 0, 1, 2]);
        check(&[10, 20], &[1, 0, 1, 1, 0, 1]);
        check(&[1000, 1000], &[0, 1, 0, 1]);
        check(&[5, 1, 1], &[0, 1, 0, 0, 0, 2, 0]); // light ones between the turns of heavy ones
        check(&[4, 1, 1, 1, 1], &[0, 1, 0, 2, 0, 3, 0, 4]);
        check(&[7], &[0, 0, 0]);
        check(&[1, 0, 1], &[0, 2, 0, 2]);
    }

    /// In every window of one period each target has exactly its weight of turns, and never falls a whole turn behind.
    #[track_caller]
    fn check_exact(weights: &[u32]) {
        let divisor = weights.iter().fold(0, |divisor, weight| greatest_common_divisor(divisor, *weight));
        let period: usize = weights.iter().map(|weight| (weight / divisor) as usize).sum();
        let mut picker = picker(Algorithm::RoundRobin, weights);
        let seen = picks(&mut picker, 2 * period as u64 + 1, &[]);
        let mut counts = vec![0u32; weights.len()];
        for (turn, index) in seen.iter().enumerate() {
            counts[*index] += 1;
            if turn >= period {
                counts[seen[turn - period]] -= 1;
                let expected: Vec<_> = weights.iter().map(|weight| weight / divisor).collect();
                assert_eq!(counts, expected, "window ending at {turn}");
            } else {
                for (count, weight) in counts.iter().zip(weights) {
                    let fair = (turn + 1) as f64 * f64::from(*weight / divisor) / period as f64;
                    assert!((f64::from(*count) - fair).abs() < 1.5, "after {turn} turns {count} instead of {fair}");
                }
            }
        }
    }

    #[test]
    fn exact_in_every_window() {
        check_exact(&[10, 20]);
        check_exact(&[1, 2, 3, 4, 5]);
        check_exact(&[1000, 1000, 20]);
        check_exact(&[1, 999]);
        check_exact(&[3000, 1000, 980, 40, 7]);
        check_exact(&[50_021, 20_011, 3]); // too long to write down: the queue
    }

    #[test]
    fn the_queue_gives_the_same_order_as_the_schedule() {
        let candidates: Vec<Candidate> = (0..40u32)
            .map(|index| Candidate { index, weight: 1 + (mix(index.into()) % 97) as u32, key: crate::TargetKey(0) })
            .collect();
        let wheel = Wheel::build(&candidates);
        let schedule = wheel.schedule.clone().unwrap();
        let mut heap = queue(&wheel.candidates, 0, wheel.period);
        let queued: Vec<u32> = (0..schedule.len()).filter_map(|_| take_first(&mut heap)).collect();
        assert_eq!(queued.as_slice(), &*schedule);
        // From any other start, a whole period still has every target as often as its weight says.
        for start in [1, 17, 500] {
            let mut heap = queue(&wheel.candidates, start, wheel.period);
            let mut counts = vec![0; candidates.len()];
            for index in (0..schedule.len()).filter_map(|_| take_first(&mut heap)) {
                counts[index as usize] += 1;
            }
            assert!(counts.iter().zip(&candidates).all(|(count, candidate)| candidate.weight.abs_diff(*count) <= 1));
        }
    }

    #[test]
    fn workers_start_apart() {
        let mut first = Vec::new();
        for worker in 0..6 {
            let mut picker = Picker::new(Algorithm::RoundRobin);
            picker.update(&roster(Algorithm::RoundRobin, &[1, 1, 1]), worker);
            first.extend(picks(&mut picker, 1, &[]));
        }
        assert_eq!(first, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn the_turn_goes_on_through_updates() {
        // One request between any two publications: a turn that started over would always meet the first target.
        let mut picker = picker(Algorithm::RoundRobin, &[1, 1, 1, 1]);
        let mut counts = [0u32; 4];
        for _ in 0..40 {
            counts[picks(&mut picker, 1, &[])[0]] += 1;
            picker.update(&roster(Algorithm::RoundRobin, &[1, 1, 1, 1]), 0);
        }
        assert_eq!(counts, [10; 4]);
        // The same while weights move in both directions, as under slow start.
        let mut counts = [0u32; 4];
        for turn in 0..4000u32 {
            counts[picks(&mut picker, 1, &[])[0]] += 1;
            picker.update(&roster(Algorithm::RoundRobin, &[1000, 1000, 1000, 900 + 20 * (turn % 5)]), 0);
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    /// Every pick of the target 0 is followed by one without it: first attempts and what follows them are each in proportion.
    #[track_caller]
    fn check_retries(weights: &[u32], periods: usize) {
        let mut picker = picker(Algorithm::RoundRobin, weights);
        let period: usize = weights.iter().sum::<u32>() as usize;
        let (mut first, mut again) = (vec![0; weights.len()], vec![0; weights.len()]);
        for _ in 0..periods * period {
            let picked = picks(&mut picker, 1, &[])[0];
            first[picked] += 1;
            if picked == 0 {
                again[picks(&mut picker, 1, &[0])[0]] += 1;
            }
        }
        let expected: Vec<usize> = weights.iter().map(|weight| *weight as usize * periods).collect();
        assert_eq!(first, expected);
        let others: u32 = weights.iter().skip(1).sum();
        for (again, weight) in again.iter().zip(weights).skip(1) {
            let fair = (periods as f64) * f64::from(weights[0] * weight) / f64::from(others);
            assert!((f64::from(*again) - fair).abs() < 2.0, "{again} of {weights:?} instead of {fair}");
        }
        assert_eq!(again[0], 0);
    }

    #[test]
    fn who_fails_has_no_more_first_attempts_than_its_share() {
        check_retries(&[1, 1], 6);
        check_retries(&[1, 1, 1], 6);
        check_retries(&[1, 2, 3], 6);
        check_retries(&[3, 2, 1], 6);
        check_retries(&[50_021, 20_011, 3], 1);
    }
}
