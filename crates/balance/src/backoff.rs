//! How long a further attempt waits: exponential back-off with full jitter.
//!
//! Source: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): of the variants compared there, a wait
//! drawn evenly from nothing to the whole bound needs the fewest calls and the least time.

use std::time::Duration;

/// Doubling is bounded long before this.
const MOST_DOUBLINGS: u32 = 30;

/// Bounds of the wait before a further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest wait before the first further attempt.
    pub base: Duration,
    /// The longest wait before any.
    pub maximum: Duration,
}

impl Backoff {
    /// How long to wait before the further attempt of this number, counted from 0: evenly between nothing and the bound
    /// that doubles with each. `random` is 64 fresh random bits.
    #[must_use]
    pub fn wait(&self, number: u32, random: u64) -> Duration {
        let bound = self.base.saturating_mul(1 << number.min(MOST_DOUBLINGS)).min(self.maximum);
        let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(((u128::from(random) * u128::from(nanos)) >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;

    #[track_caller]
    fn check(number: u32, bound: u64) {
        let backoff = Backoff { base: Duration::from_millis(25), maximum: Duration::from_millis(250) };
        let waits: Vec<_> = (0..1000).map(|seed| backoff.wait(number, mix(seed)).as_millis() as u64).collect();
        assert!(waits.iter().all(|wait| *wait < bound), "further attempt {number} within {bound} ms");
        let mean = waits.iter().sum::<u64>() as f64 / 1000.0;
        assert!((mean / bound as f64 - 0.5).abs() < 0.05, "evenly: a mean of {mean} ms of {bound} ms");
    }

    #[test]
    fn bounds_double_up_to_the_maximum() {
        for (number, bound) in [(0, 25), (1, 50), (2, 100), (3, 200), (4, 250), (5, 250), (63, 250), (u32::MAX, 250)] {
            check(number, bound);
        }
        let none = Backoff { base: Duration::ZERO, maximum: Duration::from_secs(1) };
        assert_eq!(none.wait(9, u64::MAX), Duration::ZERO);
    }
}
