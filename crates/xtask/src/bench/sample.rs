//! Numbers of several runs, and what is said of them: smallest, median, largest.

use std::time::Duration;

/// One measured run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Microseconds on a core for each request.
    pub(crate) cpu_micros: f64,
    /// Share of the run that the proxy spent ready, waiting for its core.
    pub(crate) waited: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Median latency.
    pub(crate) p50: Duration,
    /// 99th percentile of the latency.
    pub(crate) p99: Duration,
    /// Resident bytes after the run.
    pub(crate) resident: u64,
    /// Requests that were not answered well.
    pub(crate) failed: u64,
}

/// Smallest, median and largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of any numbers; of none, zeros.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
        let middle = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) };
        Spread { min: at(0), median, max: at(sorted.len().wrapping_sub(1)) }
    }
}

/// A ratio to compare with a bar: that of the medians, and the extremes of those within one round.
///
/// What disturbs the machine disturbs the runs of one round alike; so the extremes say how far to trust the first number.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> Spread {
    let within = Spread::of(ours.iter().zip(theirs).map(|(a, b)| a / b));
    let median = Spread::of(ours.iter().copied()).median / Spread::of(theirs.iter().copied()).median;
    Spread { median, ..within }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(Spread::of([]), Spread { min: 0.0, median: 0.0, max: 0.0 });
    }

    #[test]
    fn a_ratio_is_of_medians_and_its_extremes_of_rounds() {
        let ratio = ratio(&[1.0, 2.0, 6.0], &[2.0, 4.0, 8.0]);
        assert_eq!(ratio, Spread { min: 0.5, median: 0.5, max: 0.75 });
    }
}
