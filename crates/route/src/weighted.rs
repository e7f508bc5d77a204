//! The choice of one of several target groups by weight (R13).
//!
//! The caller brings the randomness, and knows which groups may be chosen at all.

/// The place of a weight, chosen in exact proportion to the weights when `random` is uniform; `None` when they are all 0.
///
/// `random` is taken modulo the sum, so that as many consecutive numbers as the sum of the weights choose each place
/// exactly as often as its weight. The bias of 2^64 not being a multiple of the sum is under 2^-45 for any real weights.
pub fn pick<W>(weights: W, random: u64) -> Option<usize>
where
    W: IntoIterator<Item = u16>,
    W::IntoIter: Clone,
{
    let weights = weights.into_iter();
    let sum: u64 = weights.clone().map(u64::from).sum();
    let mut ticket = random.checked_rem(sum)?;
    for (place, weight) in weights.enumerate() {
        match ticket.checked_sub(u64::from(weight)) {
            Some(left) => ticket = left,
            None => return Some(place),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[track_caller]
    fn check(weights: &[u16], expected: &[usize]) {
        let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        let mut counts = vec![0; weights.len()];
        for random in 0..sum * 3 {
            counts[pick(weights.iter().copied(), random).unwrap()] += 1;
        }
        assert_eq!(counts, expected.iter().map(|c| c * 3).collect::<Vec<_>>(), "{weights:?}");
    }

    #[test]
    fn shares_are_exact() {
        check(&[1], &[1]);
        check(&[80, 20], &[80, 20]);
        check(&[10, 20], &[10, 20]);
        check(&[0, 100], &[0, 100]);
        check(&[100, 0], &[100, 0]);
        check(&[0, 999, 0, 1, 0], &[0, 999, 0, 1, 0]);
    }

    #[test]
    fn nothing_to_choose_from_is_no_choice() {
        assert_eq!(pick([], 7), None);
        assert_eq!(pick([0, 0], 7), None);
        assert_eq!(pick([0, 5], u64::MAX), Some(1));
    }
}
