//! When a request that has no answer yet is sent to a second target as well, the first answer of any being taken.
//!
//! Source: J. Dean, L. A. Barroso, "The Tail at Scale" (Communications of the ACM 56, 2013): a second request after the 95th
//! percentile of the latency adds a twentieth of load and takes most of the tail away.

use std::time::Duration;

/// How long a request is waited for before it is sent again beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// So long.
    Fixed(Duration),
    /// As long as 95 of 100 answers have taken of late.
    P95,
}

/// Hedging of one group's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// How long each wait is.
    pub after: HedgeAfter,
    /// How many requests are sent beside the first one, each after another wait.
    pub attempts: u32,
}

/// Below this a second request would only race the scheduler.
const SHORTEST: Duration = Duration::from_millis(1);

impl Hedge {
    /// How long to wait for what has been sent before another is, when `beside` have been sent beside the first. Nothing
    /// when there will be no other: all have been sent, or the latency is not known yet.
    #[must_use]
    pub fn wait(&self, beside: u32, p95: Option<Duration>) -> Option<Duration> {
        if beside >= self.attempts {
            return None;
        }
        match self.after {
            HedgeAfter::Fixed(wait) => Some(wait.max(SHORTEST)),
            HedgeAfter::P95 => p95.map(|wait| wait.max(SHORTEST)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        let ms = Duration::from_millis;
        let fixed = Hedge { after: HedgeAfter::Fixed(ms(100)), attempts: 2 };
        let p95 = Hedge { after: HedgeAfter::P95, attempts: 1 };
        let rows = [
            (fixed, 0, None, Some(ms(100))),
            (fixed, 1, Some(ms(7)), Some(ms(100))),
            (fixed, 2, None, None),
            (p95, 0, None, None),
            (p95, 0, Some(ms(7)), Some(ms(7))),
            (p95, 0, Some(Duration::from_micros(20)), Some(ms(1))),
            (p95, 1, Some(ms(7)), None),
        ];
        for (hedge, beside, latency, expected) in rows {
            assert_eq!(hedge.wait(beside, latency), expected, "{hedge:?} {beside} {latency:?}");
        }
    }
}
