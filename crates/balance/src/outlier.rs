//! Latency against peers: which targets of a group are so much slower than the others that they are better left alone.
//!
//! Medians are compared: half of a target's answers must be slow, so that a few slow requests, which every target has, say
//! nothing. Failures are another matter, and answers that never came are failures.

use std::time::Duration;

/// With fewer targets than this there is no telling which of them is the odd one.
const FEWEST: usize = 3;
/// Smaller differences than this harm nobody, however many times the peers' latency they are.
const FLOOR: Duration = Duration::from_millis(5);

/// What one target's answers took, over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many there were.
    pub answers: u64,
    /// Half of them took less than this.
    pub median: Duration,
}

/// Places of the targets whose median is over `factor` times the median of the others', the slowest first. Those with fewer
/// than `fewest` answers are neither judged nor compared with.
pub(crate) fn slow(targets: &[Latency], factor: f64, fewest: u64) -> Vec<usize> {
    let judged: Vec<usize> =
        (0..targets.len()).filter(|i| targets.get(*i).is_some_and(|t| t.answers >= fewest.max(1))).collect();
    if judged.len() < FEWEST {
        return Vec::new();
    }
    let median = |place: usize| targets.get(place).map_or(Duration::ZERO, |target| target.median);
    let mut found: Vec<usize> = judged
        .iter()
        .copied()
        .filter(|place| {
            let mut others: Vec<_> = judged.iter().copied().filter(|other| other != place).map(median).collect();
            others.sort_unstable();
            // of an even number, the upper one: where half of the others are as slow, slow is what is usual
            let peers = others.get(others.len() / 2).copied().unwrap_or_default();
            median(*place) > peers.mul_f64(factor.max(1.0)) && median(*place) > peers + FLOOR
        })
        .collect();
    found.sort_by_key(|place| std::cmp::Reverse(median(*place)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Medians in milliseconds, each of 100 answers. Expected: places of those that are slow.
    #[track_caller]
    fn check(medians: &[u64], factor: f64, expected: &[usize]) {
        let of = |median: &u64| Latency { answers: 100, median: Duration::from_millis(*median) };
        let targets: Vec<_> = medians.iter().map(of).collect();
        assert_eq!(slow(&targets, factor, 20), expected, "{medians:?}");
    }

    #[test]
    fn against_peers() {
        check(&[10, 10, 50], 3.0, &[2]);
        check(&[10, 10, 30], 3.0, &[]);
        check(&[10, 50], 3.0, &[]); // which of two is the odd one?
        check(&[10, 11, 90, 50], 3.0, &[2, 3]);
        check(&[1, 1, 5], 3.0, &[]); // too little to matter
        check(&[500, 510, 490, 505], 3.0, &[]); // all slow alike
        check(&[10, 400, 410], 3.0, &[]); // most of them are: it is the quick one that is odd
    }

    #[test]
    fn too_few_answers_say_nothing() {
        let of = |answers, median| Latency { answers, median: Duration::from_millis(median) };
        assert_eq!(slow(&[of(100, 10), of(100, 10), of(3, 500)], 3.0, 20), Vec::<usize>::new());
        assert_eq!(slow(&[of(100, 10), of(3, 10), of(100, 500)], 3.0, 20), Vec::<usize>::new());
    }
}
