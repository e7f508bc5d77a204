//! Weighted random: each pick independent, in proportion to the weights, in constant time by an alias table
//! (Walker 1977; built as in Vose, "A Linear Algorithm for Generating Random Numbers with a Given Distribution", 1991).
//!
//! Each cell holds one candidate up to a threshold and its alias above it. One 64-bit random number chooses the cell with
//! its high part and the side with its low part. All arithmetic is in integers, so a share is off by at most 2^-64.

use crate::hash::mix;
use crate::roster::Candidate;

#[derive(Debug)]
pub(crate) struct AliasTable {
    cells: Vec<Cell>,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    threshold: u64,
    below: u32,
    above: u32,
}

impl AliasTable {
    pub(crate) fn build(candidates: &[Candidate]) -> Self {
        let total: u128 = candidates.iter().map(|candidate| u128::from(candidate.weight)).sum();
        let count = candidates.len() as u128;
        // What each has left to place, in units in which a cell holds `total`.
        let (mut short, mut long): (Vec<_>, Vec<_>) = candidates
            .iter()
            .map(|candidate| (candidate.index, u128::from(candidate.weight) * count))
            .partition(|(_, left)| *left < total);
        let mut cells = Vec::with_capacity(candidates.len());
        while let Some((below, left)) = short.pop() {
            let Some((above, excess)) = long.pop() else {
                short.push((below, left));
                break;
            };
            let threshold = (left << 64).checked_div(total).unwrap_or(0).min(u128::from(u64::MAX)) as u64;
            cells.push(Cell { threshold, below, above });
            let remaining = excess - (total - left);
            if remaining < total { short.push((above, remaining)) } else { long.push((above, remaining)) }
        }
        cells.extend(long.iter().chain(&short).map(|(index, _)| Cell {
            threshold: u64::MAX,
            below: *index,
            above: *index,
        }));
        Self { cells, candidates: candidates.to_vec() }
    }

    #[inline]
    pub(crate) fn pick(&self, random: u64, exclude: &[usize]) -> Option<usize> {
        let scaled = u128::from(random) * self.cells.len() as u128;
        let cell = self.cells.get((scaled >> 64) as usize)?;
        let index = if (scaled as u64) < cell.threshold { cell.below } else { cell.above } as usize;
        if exclude.contains(&index) { self.pick_among_the_rest(mix(random), exclude) } else { Some(index) }
    }

    /// A draw among those not excluded, by weight. Only retries come here, so a scan is good enough.
    #[cold]
    fn pick_among_the_rest(&self, random: u64, exclude: &[usize]) -> Option<usize> {
        let rest = || self.candidates.iter().filter(|candidate| !exclude.contains(&(candidate.index as usize)));
        let total: u64 = rest().map(|candidate| u64::from(candidate.weight)).sum();
        let mut point = ((u128::from(random) * u128::from(total)) >> 64) as u64;
        for candidate in rest() {
            match point.checked_sub(candidate.weight.into()) {
                Some(beyond) => point = beyond,
                None => return Some(candidate.index as usize),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::hash::mix;
    use crate::pick::tests::{picker, picks};
    use crate::pick::{Algorithm, Choice};

    /// Each target's share of many picks is its share of the weight, within five standard deviations.
    #[track_caller]
    fn check(weights: &[u32], exclude: &[usize]) {
        let draws = 200_000u64;
        let mut picker = picker(Algorithm::WeightedRandom, weights);
        let mut counts = vec![0u64; weights.len()];
        for index in picks(&mut picker, draws, exclude) {
            counts[index] += 1;
        }
        let weight = |index: usize| if exclude.contains(&index) { 0.0 } else { f64::from(weights[index]) };
        let total: f64 = (0..weights.len()).map(weight).sum();
        for (index, count) in counts.iter().enumerate() {
            let share = weight(index) / total;
            let expected = share * draws as f64;
            let deviation = (expected * (1.0 - share)).sqrt();
            assert!(
                (*count as f64 - expected).abs() <= 5.0 * deviation,
                "{index} of {weights:?}: {count} for {expected}"
            );
        }
    }

    #[test]
    fn shares() {
        check(&[1, 1], &[]);
        check(&[10, 20], &[]);
        check(&[1, 0, 9, 90], &[]);
        check(&[1000, 20, 500, 999, 4_000_000], &[]);
        check(&[1, 2, 3, 4], &[3]);
        check(&[1, 2, 3, 4], &[0, 2]);
        check(&(1..=100).collect::<Vec<_>>(), &[]);
    }

    /// The table itself, exactly: sweep the random numbers evenly and count.
    #[test]
    fn a_sweep_of_all_random_numbers_gives_exact_shares() {
        let mut picker = picker(Algorithm::WeightedRandom, &[1, 2, 5, 8]);
        let mut counts = [0u32; 4];
        let steps = 1u64 << 12;
        for step in 0..steps {
            let random = (step << 52) | (mix(step) >> 12);
            counts[picker.pick(Choice { random, hash: 0, load: &|_| 0, exclude: &[] }).unwrap()] += 1;
        }
        for (count, weight) in counts.iter().zip([1, 2, 5, 8]) {
            assert!(count.abs_diff(weight * 256) <= 4, "{counts:?}");
        }
    }
}
