//! Consistent hashing with a Maglev table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
//! NSDI 2016, section 3.4), with weights.
//!
//! Every target has its own permutation of the table's slots, derived from its key. Targets take turns to claim the next
//! free slot of their permutation; a heavier one has more turns. A pick is two reads. Candidates take turns in the order of
//! their keys, so that the table does not depend on the order of registration and is the same on every node.
//!
//! The size follows from how many targets are registered, not from how many are healthy: a failing health check must not
//! change the size, because a new size moves nearly every key. For the same reason there are only two sizes; a candidate that is
//! alone has every key, and one slot.

use crate::hash::{hash64, mix};
use crate::roster::Candidate;

/// Slots for up to [`FEW`] registered targets; a prime, as the permutations need.
const SMALL: u32 = 65_537;
/// Slots for more; a prime. Both sizes are the paper's.
const LARGE: u32 = 655_373;
/// Up to so many targets the small table gives each 64 slots. A larger table would move fewer keys for more than 50
/// targets, but crossing from one size to the other moves them all, so the crossing is put where few groups come.
const FEW: usize = 1_024;

/// How often [`Maglev::walk_on`] tries a slot before it takes any candidate.
const STEPS: u64 = 32;

#[derive(Debug)]
pub(crate) struct Maglev {
    slots: Slots,
    /// Roster indices, in the order of the candidates.
    indices: Box<[u32]>,
}

/// Whose each slot is: the place of its index. In as few bytes as do, for most groups are small, and a pick of a table that the
/// processor's near caches hold costs a fraction of one that they do not.
#[derive(Debug)]
enum Slots {
    Narrow(Box<[u8]>),
    Wide(Box<[u32]>),
}

/// A candidate while it claims slots.
struct Claimant {
    /// Among the candidates.
    place: u32,
    weight: u64,
    /// The slot to try next, and how far on the one after it lies.
    next: u32,
    skip: u32,
    /// The claimant has a turn once the round's number times its weight reaches this.
    due: u64,
}

impl Maglev {
    pub(crate) fn build(registered: usize, candidates: &[Candidate]) -> Self {
        let size = if registered <= FEW { SMALL } else { LARGE };
        let indices = candidates.iter().map(|candidate| candidate.index).collect();
        let slots = match candidates.len() {
            0 => Slots::Narrow(Box::default()),
            1 => Slots::Narrow(Box::new([0])),
            2..=256 => Slots::Narrow(fill(size, candidates).into_iter().map(|place| place as u8).collect()),
            _ => Slots::Wide(fill(size, candidates)),
        };
        Self { slots, indices }
    }

    #[inline]
    pub(crate) fn pick(&self, hash: u64, exclude: &[usize]) -> Option<usize> {
        let index = self.owner_of(hash)? as usize;
        if exclude.contains(&index) { self.walk_on(hash, exclude) } else { Some(index) }
    }

    /// The index that a hash belongs to.
    #[inline]
    fn owner_of(&self, hash: u64) -> Option<u32> {
        let place = match &self.slots {
            Slots::Narrow(slots) => (*slots.get(slot_of(hash, slots.len()))?).into(),
            Slots::Wide(slots) => *slots.get(slot_of(hash, slots.len()))?,
        };
        self.indices.get(place as usize).copied()
    }

    /// Another slot of the same request, and another, until one has an owner who is not excluded. Neighbouring slots would
    /// not do: their owners depend on each other, and one target would inherit most of what another cannot take.
    #[cold]
    fn walk_on(&self, hash: u64, exclude: &[usize]) -> Option<usize> {
        let allowed = |index: &u32| !exclude.contains(&(*index as usize));
        if !self.indices.iter().any(allowed) {
            return None;
        }
        let elsewhere = (1..=STEPS).filter_map(|step| self.owner_of(mix(hash ^ step << 56)));
        // With most targets excluded luck may run out; any slot is as good as another then.
        elsewhere.chain(self.indices.iter().copied()).find(allowed).map(|index| index as usize)
    }
}

/// Mixed first, because a caller's hash may be as poor as an address; then scaled, which is cheaper than a division.
#[inline]
fn slot_of(hash: u64, size: usize) -> usize {
    ((u128::from(mix(hash)) * size as u128) >> 64) as usize
}

/// The place of each slot's owner.
fn fill(size: u32, candidates: &[Candidate]) -> Box<[u32]> {
    const FREE: u32 = u32::MAX;
    let heaviest = candidates.iter().map(|candidate| u64::from(candidate.weight)).max().unwrap_or(1);
    let mut claimants = claimants(size, candidates);
    let mut slots = vec![FREE; size as usize].into_boxed_slice();
    let mut free = size;
    let mut round = 0u64;
    while free > 0 {
        round += 1;
        for claimant in &mut claimants {
            if round * claimant.weight < claimant.due {
                continue;
            }
            claimant.due += heaviest;
            while free > 0 {
                let at = claimant.next;
                claimant.next = (at + claimant.skip) % size;
                if let Some(slot) = slots.get_mut(at as usize).filter(|slot| **slot == FREE) {
                    *slot = claimant.place;
                    free -= 1;
                    break;
                }
            }
        }
    }
    slots
}

fn claimants(size: u32, candidates: &[Candidate]) -> Vec<Claimant> {
    let mut ordered: Vec<_> = (0u32..).zip(candidates).collect();
    ordered.sort_by_key(|(_, candidate)| candidate.key);
    let below = |limit: u32, seed: u64, candidate: &Candidate| {
        (hash64(seed, &candidate.key.0.to_le_bytes()) % u64::from(limit)) as u32
    };
    ordered
        .into_iter()
        .map(|(place, candidate)| Claimant {
            place,
            weight: candidate.weight.into(),
            next: below(size, 1, candidate),
            skip: 1 + below(size - 1, 2, candidate),
            due: 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::TargetKey;

    fn candidates(weights: impl IntoIterator<Item = u32>) -> Vec<Candidate> {
        (0u32..)
            .zip(weights)
            .map(|(index, weight)| Candidate { index, weight, key: TargetKey::of(format!("10.0.0.{index}:80")) })
            .filter(|candidate| candidate.weight > 0)
            .collect()
    }

    /// The index that each slot belongs to.
    fn owners(table: &Maglev) -> Vec<usize> {
        let places: Vec<u32> = match &table.slots {
            Slots::Narrow(slots) => slots.iter().map(|place| (*place).into()).collect(),
            Slots::Wide(slots) => slots.to_vec(),
        };
        places.iter().map(|place| table.indices[*place as usize] as usize).collect()
    }

    fn shares(table: &Maglev, count: usize) -> Vec<f64> {
        let mut owned = vec![0u32; count];
        let owners = owners(table);
        for index in &owners {
            owned[*index] += 1;
        }
        owned.iter().map(|slots| f64::from(*slots) / owners.len() as f64).collect()
    }

    #[track_caller]
    fn check_shares(weights: &[u32], tolerance: f64) {
        let table = Maglev::build(weights.len(), &candidates(weights.iter().copied()));
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        for (share, weight) in shares(&table, weights.len()).iter().zip(weights) {
            let expected = f64::from(*weight) / total;
            assert!((share - expected).abs() <= expected * tolerance, "{share} for {expected} of {weights:?}");
        }
    }

    #[test]
    fn slots_follow_weights() {
        check_shares(&[1, 1, 1], 0.001);
        check_shares(&[1000, 2000, 3000], 0.001);
        check_shares(&[1000; 500], 0.01);
        check_shares(&[1000; 256], 0.01);
        check_shares(&[1000; 257], 0.01);
        check_shares(&[1000], 0.0);
        check_shares(&[0, 1000, 0], 0.0);
        check_shares(&[1000, 1000, 20], 0.02);
    }

    /// The share of slots that move when the target `changed` goes away (or, read backwards, comes).
    fn moved(count: u32, changed: u32) -> f64 {
        let all = Maglev::build(count as usize, &candidates(vec![1000; count as usize]));
        let weights = (0..count).map(|index| if index == changed { 0 } else { 1000 });
        let fewer = Maglev::build(count as usize, &candidates(weights));
        let (all, fewer) = (owners(&all), owners(&fewer));
        // one that is left has all, in a table of one slot
        let moved = all.iter().zip(fewer.iter().cycle()).filter(|(a, b)| a != b).count();
        moved as f64 / all.len() as f64
    }

    #[test]
    fn adding_or_removing_one_moves_little_else() {
        for count in [2, 3, 5, 10, 20, 50, 100, 200, 500, 1000] {
            let fewest = 1.0 / f64::from(count);
            let worst = (0..count.min(4)).map(|changed| moved(count, changed)).fold(0.0, f64::max);
            println!("{count} targets: {worst:.4} of the slots, {:.2} times the fewest", worst / fewest);
            assert!(count > 50 || worst < 1.3 * fewest, "{count} targets: {worst:.4} instead of {fewest:.4}");
            assert!(worst < fewest + 0.01, "{count} targets: {worst:.4} instead of {fewest:.4}");
        }
    }

    #[test]
    fn the_order_of_registration_does_not_matter() {
        let mut forwards = candidates([1, 2, 3, 4]);
        let one = Maglev::build(4, &forwards);
        forwards.reverse();
        assert_eq!(owners(&one), owners(&Maglev::build(4, &forwards)));
    }

    #[test]
    fn walking_on_spreads_what_the_excluded_had() {
        let table = Maglev::build(5, &candidates([1; 5]));
        let mut taken_over = [0u32; 5];
        for hash in 0..50_000u64 {
            if table.pick(hash, &[]) == Some(2) {
                taken_over[table.pick(hash, &[2]).unwrap()] += 1;
            }
        }
        assert_eq!(taken_over[2], 0);
        assert!([0, 1, 3, 4].iter().all(|index| (2_000..3_000).contains(&taken_over[*index])), "{taken_over:?}");
    }

    #[test]
    fn poor_hashes_are_spread() {
        let table = Maglev::build(4, &candidates([1; 4]));
        let mut counts = [0u32; 4];
        for hash in 0..40_000u64 {
            counts[table.pick(hash << 8, &[]).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }
}
