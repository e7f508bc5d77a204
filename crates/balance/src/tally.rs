//! What workers observed of one target's answers since they last reported: plain counts, merged and fed to the group.

use serde::{Deserialize, Serialize};

/// How one request to a target ended, as far as the target's fitness is concerned: a server error or a connection failure
/// is a failure, every other answer a success. What the client did (went away, sent nonsense) is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObservedOutcome {
    /// The target answered, and not with a server error.
    Success,
    /// The target failed to connect, to answer in time, or answered with a server error.
    Failure,
}

/// Counts of one target over one reporting interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Tally {
    /// Requests that succeeded.
    pub successes: u32,
    /// Requests that failed.
    pub failures: u32,
    /// Failures since the last success: the run that is still open at the interval's end.
    pub consecutive_failures: u32,
}

impl Tally {
    /// Counts one request.
    #[inline]
    pub fn record(&mut self, outcome: ObservedOutcome) {
        match outcome {
            ObservedOutcome::Success => {
                self.successes = self.successes.saturating_add(1);
                self.consecutive_failures = 0;
            }
            ObservedOutcome::Failure => {
                self.failures = self.failures.saturating_add(1);
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
            }
        }
    }

    /// Adds what came after (or, from another worker, at the same time as) this tally. A run goes on through a later tally
    /// that saw no success.
    pub fn merge(&mut self, later: Self) {
        self.consecutive_failures = match later.successes {
            0 => self.consecutive_failures.saturating_add(later.consecutive_failures),
            _ => later.consecutive_failures,
        };
        self.successes = self.successes.saturating_add(later.successes);
        self.failures = self.failures.saturating_add(later.failures);
    }

    /// Whether nothing was observed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.successes == 0 && self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(intervals: &[&str], successes: u32, failures: u32, consecutive_failures: u32) {
        let mut whole = Tally::default();
        for interval in intervals {
            let mut tally = Tally::default();
            for letter in interval.chars() {
                tally.record(if letter == '.' { ObservedOutcome::Success } else { ObservedOutcome::Failure });
            }
            whole.merge(tally);
        }
        assert_eq!(whole, Tally { successes, failures, consecutive_failures });
    }

    #[test]
    fn runs_cross_intervals() {
        check(&["x.xx"], 1, 3, 2);
        check(&["x.xx", "xx"], 1, 5, 4);
        check(&["x.xx", "xx."], 2, 5, 0);
        check(&["x.xx", ""], 1, 3, 2);
        check(&["xxx", ".x"], 1, 4, 1);
    }
}
